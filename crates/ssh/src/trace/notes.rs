//! Notes that this crate leaves for a trace where the library's log is silent. They name what the next message of
//! a number says: methods, kinds, identities. Never a secret, a command or data.

use super::overheard::NOTES;

fn note(number: u8, name: &str, value: &str) {
    // Without a trace there is no logger, and this costs a comparison.
    log::debug!(target: NOTES, "{number}\t{name}\t{value}");
}

/// Notes what the next authentication request asks for. `with` names an identity.
pub(crate) fn note_login(method: &str, user: &str, with: &str) {
    note(50, "user", user);
    note(50, "method", method);
    note(50, "with", with);
}

/// Notes the type of the channel that is opened next.
pub(crate) fn note_open(kind: &str) {
    note(90, "channel type", kind);
}

/// Notes what the next channel request asks for.
pub(crate) fn note_request(kind: &str) {
    note(98, "request", kind);
}
