//! An embedded SSH server for demos, tests and hosts without one.
//!
//! [`Server`] serves the machine that it runs on, [`EmbeddedHost`] serves a directory that looks like a host
//! to POSIX sh scripts, and [`Fleet`] serves many of those on the loopback interface of one process. A [`Crowd`] is thousands of hosts that
//! answer commands without running them.
//!
//! One server costs a listener and two tasks until somebody connects. Nothing that a client sends makes it
//! wait or grow without bound: see [`Limits`].

mod accept;
mod answers;
mod confine;
mod connection;
mod crowd;
mod error;
mod faults;
mod fleet;
mod host;
mod input;
mod keys;
mod launch;
mod processes;
mod server;
mod service;
mod session;
mod signals;
mod supervisor;
mod switch;
mod tools;
mod tree;
mod wire;

pub use answers::{Answer, Answers};
pub use confine::{Confine, confine_main};
pub use crowd::{Crowd, CrowdFault, CrowdHost, CrowdOptions, Share};
pub use error::Error;
pub use faults::Faults;
pub use fleet::{Addressing, Fleet, FleetOptions};
pub use host::{DownKind, EmbeddedHost, HostEvent, HostOptions, HostState, RunningHost};
pub use keys::{AuthorizedKeys, KeyPair};
pub use server::{Limits, RunningServer, Server};
pub use wire::{Wire, WireTap};
