//! SSHFP records (RFC 4255), and what DNSSEC proves about them.
//!
//! Answers are validated here, from a trust anchor down (RFC 4035), and not by believing the AD bit of a
//! resolver: the bit is worth what the path to the resolver is worth, and a forged answer must never count as
//! proven. What a validator has to tell apart stays apart: [`DnsFinding::Bogus`] is an answer that contradicts its
//! own signatures, [`DnsFinding::Failed`] is no answer.

mod anchors;
mod lookup;
mod record;
mod verdict;

pub use anchors::Anchors;
pub use lookup::{DnsError, SshfpLookup};
pub use record::{DigestType, SshfpRecord};
pub use verdict::{DnsFinding, DnsVerdict, DnsVoice};

#[cfg(test)]
pub(crate) mod tests;
