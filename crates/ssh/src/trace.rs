//! What passes on the wire, message by message, with the names of RFC 4251 to 4254.
//!
//! Two sources are brought together. The beginning of a connection is not encrypted: [`ClearText`] reads it from
//! the bytes, with all its contents. From NEWKEYS on only the SSH library knows what passes; it says so in its
//! debug log, number by number. [`Conversation`] takes both and puts them in order, with names: 30 to 49 depend on
//! the key exchange, 60 to 79 on the authentication method.
//!
//! Everything here is pure: no clock, no I/O. A [`Watcher`] in [`Settings`](crate::Settings) brings the bytes.

mod agreement;
mod clear_text;
mod conversation;
mod entry;
mod notes;
mod overheard;
mod payload;
mod reader;
mod table;
mod tapped;

#[cfg(test)]
mod tests;

pub use agreement::Agreement;
pub use clear_text::ClearText;
pub use conversation::Conversation;
pub use entry::{Detail, Direction, Entry, Layer, Message, Role};
pub use overheard::Overheard;
pub use table::{KeyExchange, Meaning, Method, meaning};
pub use tapped::{Tap, Watcher};

pub(crate) use notes::{note_login, note_open, note_request};
pub(crate) use tapped::Tapped;
