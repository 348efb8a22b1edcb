//! What commands print on hosts: line by line while it comes, folded or compared when all is there.
//!
//! Bytes stay bytes: what is not UTF-8 is passed on as it is, unless it goes to a terminal.

mod fold;
mod own_name;
mod prefix;

pub use fold::{HostOutput, OutputGroup, diff_outputs, fold_outputs, group_outputs};
pub use prefix::Prefixer;

#[cfg(test)]
mod tests;
