//! Faults that a server can be told to have, so that a client's guards can be tested.

/// What a server does wrong on purpose; the default is nothing.
///
/// A connection takes the faults that stand when it is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// Closes every connection right after it was accepted.
    pub refuse: bool,
    /// Accepts, and never sends the version line.
    pub stall_banner: bool,
    /// Sends the version line, and never answers the key exchange.
    pub stall_kex: bool,
    /// Rejects every key.
    pub deny_auth: bool,
    /// Drops the connection without a goodbye once a channel has sent this many bytes.
    pub drop_after: Option<u64>,
    /// Sends no more output of a command after this many bytes, and never ends it.
    pub freeze_after: Option<u64>,
    /// Takes commands, and neither runs nor answers them.
    pub hang: bool,
    /// Prints without end instead of running a command, as fast as the client takes it.
    pub flood: bool,
    /// Prints half a line instead of running a command, and drops the connection without a goodbye.
    pub break_off: bool,
    /// Runs commands that it has an answer for ([`crate::Answers`]).
    pub deaf_to_answers: bool,
}

impl Faults {
    /// Names no fault at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}
