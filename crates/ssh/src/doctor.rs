//! The layered checklist: what stands between us and a working session, layer by layer.
//!
//! [`examine`] makes one real connect, as everything else does, and judges what it saw; then it asks the session for
//! what hosts are commonly configured to refuse. Each [`Layer`] has a verdict, the time it took, evidence, and a hint
//! that says what to change and on which side. About ten causes of a refused login look the same on the wire; with
//! another credential ([`LogVia`]) the server's log tells them apart.

mod authentication;
mod causes;
mod checkup;
mod examine;
mod exchange;
mod keys;
mod modes;
mod server_log;
mod session;
mod strangers;
mod way;
mod words;

pub use checkup::{Checkup, Layer, LayerKind, Section, Verdict};
pub use examine::{DoctorOptions, examine};
pub use server_log::LogVia;
