//! Host sets: `login[01-40].example.org,@web!web[07-08]&@paris`.
//!
//! Operators have equal precedence and run from left to right, as in ClusterShell: `,` unites, `!`
//! takes away, `&` keeps what is in both. A pattern is text with bracketed lists of numbers, ranges and
//! steps (`[0-8/2,11]`); the width of a number with leading zeros is kept. `@name` is a group of the
//! inventory, `@all` and `*` are all of it.

mod evaluate;
mod fold;
mod parse;
mod pattern;

pub(crate) use evaluate::{World, evaluate, names};
pub use fold::fold;
pub use parse::HostSet;
pub(crate) use parse::{Atom, Op};
pub(crate) use pattern::Pattern;

#[cfg(test)]
mod tests;
