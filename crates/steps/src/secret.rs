//! A password on its way to sudo.

use std::fmt;

use zeroize::Zeroizing;

/// A password: wiped from memory when it is dropped, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password as it was typed, without the final newline.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The line that answers a prompt. `None` when the password holds a line break and so cannot be one line.
    pub(crate) fn line(&self) -> Option<Zeroizing<Vec<u8>>> {
        if self.0.contains(['\n', '\r', '\0']) {
            return None;
        }
        let mut line = Zeroizing::new(Vec::with_capacity(self.0.len().saturating_add(1)));
        line.extend_from_slice(self.0.as_bytes());
        line.push(b'\n');
        Some(line)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_and_never_shown() {
        let secret = Secret::new("pass word \u{e4}".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.line().unwrap().as_slice(), "pass word \u{e4}\n".as_bytes());
        assert!(Secret::new("two\nlines".to_owned()).line().is_none());
    }
}
