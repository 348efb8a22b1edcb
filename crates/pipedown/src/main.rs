//! The pipedown command.
fn main() {}
