//! How sshd cuts a line into words (`argv_split` of OpenSSH 8.7 and later).

/// Cuts what stands behind a keyword into words: single and double quotes, `\'`, `\"`, `\\`, outside of quotes `\ `, and a comment
/// from a `#` that begins a word. None when a quote is not closed.
pub fn sshd_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return Some(words);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next() {
            match (c, quote) {
                ('\\', _) => {
                    let escaped = chars.next_if(|next| {
                        matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                    });
                    word.push(escaped.unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_sshd_cuts_them() {
        for (text, words) in [
            ("a  b\tc", Some(vec!["a", "b", "c"])),
            ("\"a b\" 'c d' e\\ f", Some(vec!["a b", "c d", "e f"])),
            ("\"it's\" 'say \"x\"'", Some(vec!["it's", "say \"x\""])),
            ("a#b # c", Some(vec!["a#b"])),
            ("a\\n \"b\\ c\" \\\\", Some(vec!["a\\n", "b\\ c", "\\"])),
            ("x\"\"y \"\"", Some(vec!["xy", ""])),
            ("\"open", None),
            ("a 'b", None),
            (" \t ", Some(vec![])),
        ] {
            assert_eq!(sshd_words(text), words.map(|w| w.into_iter().map(str::to_owned).collect()), "{text}");
        }
    }
}
