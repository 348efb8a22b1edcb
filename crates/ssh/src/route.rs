//! The ways to a host: TCP by ourselves, a command that carries the bytes, a tunnel through another host.
//!
//! Hosts behind a bastion share few connections to it ([`bastion`]), each host has a tunnel of its own
//! ([`tunnel`]), and nobody is greeted by more of us at once than its `MaxStartups` allows ([`door`]).

mod bastion;
mod command;
mod door;
mod tunnel;

use std::net::SocketAddr;

pub(crate) use bastion::{Bastions, hop_of};
pub(crate) use command::start as start_command;
pub(crate) use door::{Doors, Turn, pause};
pub(crate) use tunnel::Refusals;
pub use tunnel::TunnelProblem;

/// The way that a connection takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A TCP connection of our own.
    Tcp {
        /// Our end.
        local: SocketAddr,
        /// The host's end.
        peer: SocketAddr,
    },
    /// A command's standard input and output (`ProxyCommand`).
    Command,
    /// A tunnel through this bastion, the last one of the way (`ProxyJump`).
    Bastion(String),
    /// A command on another connection to the same host ([`Carrier`](crate::Carrier)).
    Channel,
}
