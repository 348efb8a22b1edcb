//! An embedded SSH server for demos, tests and hosts without one.
