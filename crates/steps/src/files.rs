//! Copies files to a host, and fetches files from it, each over a channel of its own.
//!
//! What is there is looked at first: what is the same is left alone. Bytes go to a part beside the file, which gets the
//! file's name when its sum is right; a part that a broken link has left is gone on with.

mod batch;
mod bundle;
mod channel;
mod copy;
mod fetch;
mod list;
mod local;
mod make;
mod put;
mod seen;

pub use channel::{Channels, Starting};
pub use copy::{Copied, copy};
pub use fetch::{Fetched, fetch};
pub use local::{hash_file, part_name};

#[cfg(test)]
mod tests;
