//! Services that answer in the place of sshd, known by their first bytes.

/// Names the protocol that begins like this, with what to do about it.
pub(super) fn name(first: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(first);
    let starts = |begin: &str| text.starts_with(begin);
    let name = match first {
        [0x15 | 0x16, 0x03, ..] => "TLS",
        [0xff, 0xfb..=0xfe, ..] => "telnet",
        _ if starts("HTTP/") || starts("<!DOCTYPE") || starts("<html") => "HTTP",
        _ if starts("220") && text.contains("SMTP") => "SMTP",
        _ if starts("220") => "FTP or SMTP",
        _ if starts("+OK") => "POP3",
        _ if starts("* OK") => "IMAP",
        _ if starts("RFB 00") => "VNC",
        _ if starts("-ERR") || starts("-DENIED") => "Redis",
        _ if text.contains("mysql") || text.contains("MariaDB") => "MySQL",
        _ => return None,
    };
    Some(name)
}

/// What an sshd says instead of a version line, and what to do about it.
pub(super) fn refusal(first: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(first);
    if text.contains("MaxStartups") {
        Some(
            "too many logins are under way on the server: log in to fewer hosts at once, or raise MaxStartups there",
        )
    } else if text.contains("Not allowed at this time") {
        Some(
            "the server penalises our address after failed logins (PerSourcePenalties): wait, mend the cause of the \
             failures, or exempt the address with PerSourcePenaltyExemptList",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_known_by_their_first_bytes() {
        let names: Vec<_> = [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x46",
            b"220 mail.example.org ESMTP Postfix\r\n",
            b"+OK ready",
            b"* OK IMAP4",
            b"\xff\xfd\x18",
            b"hello",
            b"",
        ]
        .iter()
        .map(|first| name(first))
        .collect();
        let expected =
            [Some("HTTP"), Some("TLS"), Some("SMTP"), Some("POP3"), Some("IMAP"), Some("telnet"), None, None];
        assert_eq!(names, expected);
        assert!(refusal(b"Not allowed at this time\r\n").unwrap().contains("PerSourcePenalties"));
    }
}
