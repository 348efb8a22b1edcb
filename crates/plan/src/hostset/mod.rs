//! Host sets: `login[01-40].example.org,@web!web[07-08]&@paris`.
//!
//! ```text
//! set  = term (op term)*         op: `,` unites, `!` takes away, `&` keeps what is in both, `^` what is in one only
//! term = `(` set `)` | pattern | `@` pattern | `@all` | `*` | `@var:` name `=` value
//!      | `^` file | `-` | `@failed:` run | `@unreachable:` run | `@done:` run
//! ```
//!
//! Operators have equal precedence and run from left to right, as in ClusterShell; parentheses are ours. Where a
//! term is expected `^` begins the name of a file, elsewhere it is the operator. A pattern is text with bracketed
//! lists of numbers, ranges and steps (`[0-8/2,11]`); the width of a number with leading zeros is kept. `*` and `?`
//! in it choose among the hosts of the inventory. `@name` is a group of the inventory, `@all` and `*` are all of it.
//! What is neither in the text nor in the inventory is asked of an [`Outside`].

mod block;
mod evaluate;
mod fold;
mod outside;
mod parse;
mod pattern;
mod wildcard;

pub(crate) use evaluate::{Need, World, evaluate, names};
pub use fold::fold;
pub(crate) use outside::Nothing;
pub use outside::{Outcome, Outside, Unavailable};
pub use parse::HostSet;
pub(crate) use parse::{Atom, Op, VarIs};
pub(crate) use pattern::{Pattern, Wildcards};
pub(crate) use wildcard::fits;

#[cfg(test)]
mod tests;
