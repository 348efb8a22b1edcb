//! What a trace consists of.

use std::borrow::Cow;

use super::agreement::Agreement;

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Client,
    /// We were connected to.
    Server,
}

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From us.
    Sent,
    /// To us.
    Received,
}

/// The layers of SSH (RFC 4251, section 1), by message number (RFC 4250, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// 1 to 49: RFC 4253.
    Transport,
    /// 50 to 79: RFC 4252.
    Authentication,
    /// 80 to 127: RFC 4254.
    Connection,
    /// 128 to 255: for local use. 0 is none at all, and counted among these.
    Local,
}

impl Layer {
    /// The layer of a message number.
    pub fn of(number: u8) -> Self {
        match number {
            1..=49 => Self::Transport,
            50..=79 => Self::Authentication,
            80..=127 => Self::Connection,
            0 | 128..=255 => Self::Local,
        }
    }

    /// The layer's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Authentication => "authentication",
            Self::Connection => "connection",
            Self::Local => "local",
        }
    }

    /// The document that defines it.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Transport => "RFC 4253",
            Self::Authentication => "RFC 4252",
            Self::Connection => "RFC 4254",
            Self::Local => "RFC 4250 4.1.1",
        }
    }
}

/// A message that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which way.
    pub direction: Direction,
    /// Its number.
    pub number: u8,
    /// Its name, `SSH_MSG_KEXINIT` for example.
    pub name: Cow<'static, str>,
    /// Its layer.
    pub layer: Layer,
    /// Where it is defined, `RFC 4253 7.1` for example.
    pub reference: &'static str,
    /// Its sequence number in its direction (RFC 4253, section 6.4), counted by us.
    pub sequence: u32,
    /// Bytes of its payload: without lengths, padding and MAC. `None` where nobody told.
    pub length: Option<usize>,
    /// Whether it was encrypted.
    pub encrypted: bool,
}

/// Something that a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// What it is.
    pub name: Cow<'static, str>,
    /// What it says; as the peer sent it, not fit for a terminal.
    pub value: String,
}

impl Detail {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A step of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A line before the first packet: the version line (RFC 4253, section 4.2), or another one before it.
    Line {
        /// Which way.
        direction: Direction,
        /// The line without its end; as the peer sent it, not fit for a terminal.
        text: String,
        /// Whether it is the version line.
        version: bool,
    },
    /// A message.
    Message(Message),
    /// Something that the last message of a direction says.
    Detail {
        /// Which way that message went.
        direction: Direction,
        /// That message's number.
        number: u8,
        /// What it says.
        detail: Detail,
    },
    /// What the two proposals come to.
    Agreed(Agreement),
    /// Bytes that are no SSH; this direction is not read any further.
    Garbage {
        /// Which way.
        direction: Direction,
        /// What is wrong with them.
        reason: String,
    },
}
