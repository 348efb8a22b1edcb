//! The procedure that changes sshd's configuration on one host; `docs/SSHD.md` tells it.
//!
//! | file | what it does |
//! |---|---|
//! | `machine` | what is asked of a host, and of the network to it |
//! | `gates` | what stands in the way, as findings; pure |
//! | `effects` | what the candidate changes; pure |
//! | `change` | look, candidate, gates, canary, trial, confirm: the order of things |
//! | `proof` | what the daemon shows on the wire |
//! | `back` | rolling back, and what the host serves then |

mod back;
mod change;
mod effects;
mod gates;
mod machine;
mod proof;
mod turn;

#[cfg(test)]
mod tests;

pub(crate) use change::Changed;
pub(crate) use turn::{change, look_again, take_back, timed};
