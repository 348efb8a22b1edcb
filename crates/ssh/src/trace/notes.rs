//! Notes that this crate leaves for a trace where the library's log is silent.

use super::overheard::NOTES;

/// Notes what the next authentication request asks for. `with` names a key, never a secret.
pub(crate) fn note_login(method: &str, user: &str, with: &str) {
    // Without a trace there is no logger, and this costs a comparison.
    log::debug!(target: NOTES, "{method}\t{user}\t{with}");
}
