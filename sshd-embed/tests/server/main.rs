//! The server against real clients: OpenSSH's `ssh`, and russh where `ssh` cannot say what is to be said.

mod binary;
mod faults;
mod hosts;
mod protocol;
mod sessions;
mod support;
