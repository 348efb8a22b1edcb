//! Which keys hosts offer, before anybody decides to trust them.
//!
//! A scan goes as far as the server's answer to the first message of the key exchange, in which its key stands, and
//! no further: no secret is derived, nobody logs in. So the conversation is a few unencrypted packets, which are
//! written down here: a whole client would do the expensive half of the exchange for nothing, and would not show
//! which key types the server offers. That list is in the server's first packet, and so there is one connection for
//! each key that exists, instead of one for each that might.
//!
//! Nothing is proven by a scan: whoever answers may have copied the public key. It is proven when it is used.

mod answer;
mod hello;
mod packet;
mod probe;

pub use probe::{HostScan, ScanFailure, ScanFailureKind, ScanOptions, Scanned, scan_host};

#[cfg(test)]
mod tests;
