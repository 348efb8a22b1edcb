//! `*` and `?`, as in a shell.

/// Whether a text fits a pattern as a whole: `*` is any text, also none, `?` one character.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last `*`, and the text that it has not swallowed yet.
    let mut again = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before;
                again = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(c)) if wanted == c => {}
            // The last `*` swallows one character more; earlier ones need not.
            _ => {
                let Some((behind, mut left)) = again.take() else { return false };
                if left.next().is_none() {
                    return false;
                }
                pattern = behind.clone();
                text = left.clone();
                again = Some((behind, left));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_fit_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("web*", "web1.example.org", true),
            ("web*", "web", true),
            ("web?", "web", false),
            ("web?", "web12", false),
            ("*.example.*", "a.b.example.org", true),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxa", false),
            ("**", "", true),
            ("?", "ü", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
