//! Changes to the configuration of a real sshd: tried, confirmed, put back, interrupted.

mod faults;
mod place;
mod trials;
