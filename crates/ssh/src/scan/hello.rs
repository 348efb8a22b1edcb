//! The server's version line, and what some servers say instead.

/// How much may stand before the version line (RFC 4253, section 4.2 sets no limit).
const MAX_BEFORE: usize = 8 * 1024;
/// A version line is no longer, with its end.
const MAX_LINE: usize = 255;

/// What the first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hello {
    /// A version line; it has been taken off.
    Version(String),
    /// No SSH.
    NotSsh(String),
    /// sshd says that it takes no more connections for now.
    Throttled(String),
}

/// Looks for the version line and takes everything up to its end off `buffer`; `None` as long as nothing is decided.
pub(super) fn take_hello(buffer: &mut Vec<u8>) -> Option<Hello> {
    let mut start = 0;
    while let Some(length) = buffer.get(start..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
    {
        let end = start.saturating_add(length);
        let line = shown(buffer.get(start..end).unwrap_or_default());
        if is_refusal(&line) {
            return Some(Hello::Throttled(line));
        }
        if line.starts_with("SSH-2.0-") || line.starts_with("SSH-1.99-") {
            buffer.drain(..=end);
            return Some(Hello::Version(line));
        }
        if line.starts_with("SSH-") || line.starts_with("HTTP/") || length > MAX_LINE.saturating_mul(8) {
            return Some(Hello::NotSsh(line));
        }
        start = end.saturating_add(1);
    }
    (buffer.len() > MAX_BEFORE).then(|| Hello::NotSsh(first_line(buffer)))
}

/// What to make of a connection that ended before the version line.
pub(super) fn ended(buffer: &[u8]) -> Hello {
    let line = first_line(buffer);
    if buffer.is_empty() {
        return Hello::Throttled("closed before the version line".to_owned());
    }
    if is_refusal(&line) { Hello::Throttled(line) } else { Hello::NotSsh(line) }
}

/// OpenSSH's words for MaxStartups (since 8.3), and for PerSourcePenalties (since 9.8).
fn is_refusal(line: &str) -> bool {
    line.starts_with("Exceeded MaxStartups") || line.starts_with("Not allowed at this time")
}

fn first_line(buffer: &[u8]) -> String {
    shown(buffer.split(|byte| *byte == b'\n').next().unwrap_or_default())
}

/// Text from outside, for a terminal.
fn shown(bytes: &[u8]) -> String {
    let text = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    text.iter().take(MAX_LINE).flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}
