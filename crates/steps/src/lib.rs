//! Sees, changes, verifies and undoes one thing on one host.
