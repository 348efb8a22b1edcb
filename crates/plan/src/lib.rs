//! Turns inventory, host set, playbook and time into a plan, offline.
