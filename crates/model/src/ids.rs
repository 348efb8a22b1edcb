//! Newtypes for every id.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An id that a file or a person gave and that does not have the required form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use {0:?} as {1}: {2}")]
pub struct InvalidId(pub String, pub &'static str, pub &'static str);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Borrows the id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// The name of a host as the inventory has it.
    HostName
}
text_id! {
    /// The id of a run: `[a-z0-9-]{1,64}`, because it becomes file and unit names on hosts.
    RunId
}
text_id! {
    /// The id of a step within a playbook: `[a-z0-9-]{1,48}`.
    StepId
}
text_id! {
    /// Who acts: `user@controller`.
    Operator
}

fn is_slug(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl HostName {
    /// Makes a host name.
    ///
    /// # Errors
    /// When it is empty, starts with `-` (it could be taken for an option), or holds white space or
    /// control characters.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.starts_with('-') {
            return Err(InvalidId(text.into(), "a host name", "it must not be empty or start with '-'"));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(InvalidId(text.into(), "a host name", "it must not hold white space"));
        }
        Ok(Self(text.into()))
    }
}

impl RunId {
    /// Makes a run id.
    ///
    /// # Errors
    /// When it is not of the form `[a-z0-9-]{1,64}`.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if is_slug(text, 64) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId(text.into(), "a run id", "1 to 64 of a-z, 0-9 and '-', not '-' first"))
        }
    }
}

impl StepId {
    /// Makes a step id.
    ///
    /// # Errors
    /// When it is not of the form `[a-z0-9-]{1,48}`.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        if is_slug(text, 48) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId(text.into(), "a step id", "1 to 48 of a-z, 0-9 and '-', not '-' first"))
        }
    }

    /// The act of arming a host's agenda, which is one step for the journal.
    pub fn arm() -> Self {
        Self("arm".into())
    }
}

impl Operator {
    /// Makes an operator's name; control characters are dropped, since it is shown and logged.
    pub fn new(user: &str, controller: &str) -> Self {
        Self::parse(&format!("{user}@{controller}"))
    }

    /// The controller's part of the name.
    pub fn controller(&self) -> &str {
        self.as_str().rsplit_once('@').map_or("", |(_, controller)| controller)
    }

    /// Takes a name as a host recorded it.
    pub fn parse(text: &str) -> Self {
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        Self(clean.into())
    }
}

/// The SHA-256 of a text, which is how plans and hosts name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId([u8; 32]);

impl TextId {
    /// Hashes a text.
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Names what has been hashed already, piece by piece.
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(hex: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId(hex.into(), "a SHA-256", "64 lower-case hexadecimal digits");
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).map_err(|_| wrong())?;
        Ok(Self(bytes.try_into().map_err(|_| wrong())?))
    }
}

/// The hash of a text that is written bit by bit.
#[derive(Default)]
pub(crate) struct TextHash(Sha256);

impl TextHash {
    /// The hash of all that was written.
    pub(crate) fn finish(self) -> TextId {
        TextId(self.0.finalize().into())
    }
}

impl std::io::Write for TextHash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl Serialize for TextId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for TextId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        Self::parse(&hex).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_become_an_option_or_a_path() {
        assert!(HostName::new("-oProxyCommand=x").is_err());
        assert!(HostName::new("a b").is_err());
        assert!(HostName::new("fe80::1%eth0").is_ok());
        assert!(RunId::new("../x").is_err());
        assert!(RunId::new("20261122-7f3kq2").is_ok());
        assert!(StepId::new("-x").is_err());
    }

    #[test]
    fn a_text_id_survives_its_hex_form() {
        let id = TextId::of(b"all hands");
        assert_eq!(TextId::parse(&id.hex()).unwrap(), id);
        assert!(TextId::parse("abc").is_err());
    }
}
