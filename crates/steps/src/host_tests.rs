//! The real fragments under the shells of this machine, against a folder that stands for a host's root.

mod interrupted;
mod once;
mod place;
mod sshd;
mod windows;

pub(crate) use place::{Draft, from_now, owner, seen_at, usual};
use place::{Place, places};
