//! The `sshd-embed` command.
fn main() {}
