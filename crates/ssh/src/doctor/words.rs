//! Words of others, made safe to show.

/// How many characters of a foreign text are shown.
const SHOWN: usize = 240;

/// A foreign text as one line: escaped, white space folded, bounded.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    for (count, c) in text.split_whitespace().collect::<Vec<_>>().join(" ").chars().enumerate() {
        if count == SHOWN {
            line.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => line.push(c),
            // Marks that change the direction of writing would disguise what follows (Unicode UAX #9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                line.extend(c.escape_unicode());
            }
            _ => line.extend(c.escape_debug()),
        }
    }
    line
}

/// The same for bytes; what is not text is escaped as `\xNN`.
pub(super) fn shown_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => shown(text),
        _ => {
            let some = bytes.get(..bytes.len().min(SHOWN / 4)).unwrap_or(bytes);
            format!("{}{}", some.escape_ascii(), if some.len() < bytes.len() { "…" } else { "" })
        }
    }
}

/// A list as it is read aloud, or `nothing`.
pub(super) fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { shown(&items.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_escaped_and_bounded() {
        assert_eq!(shown("a\u{1b}[2J \n\t\"b\" \u{202e}c"), "a\\u{1b}[2J \"b\" \\u{202e}c");
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), SHOWN + 1);
        assert_eq!(shown_bytes(b"\x15\x03\x01\x00\x02"), "\\x15\\x03\\x01\\x00\\x02");
        assert!(shown_bytes(&[0; 10_000]).len() < 1000);
    }
}
