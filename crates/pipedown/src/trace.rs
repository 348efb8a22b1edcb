//! A trace: every SSH message with its number and name, as it passes.
//!
//! `Ears` hear the bytes of connections and the SSH library's debug log, wherever they are polled; a thread of its
//! own brings both in order and prints them. Nobody who moves bytes ever waits for the terminal.

mod ears;
mod page;
mod scribe;

pub use page::Page;
pub use scribe::Trace;
