//! Questions to whoever is at the keyboard: passphrases, passwords, and what servers ask.

use std::path::Path;

use zeroize::Zeroizing;

/// A secret text. It is wiped when it is dropped.
pub type SecretText = Zeroizing<String>;

/// Answers questions for secrets. One question is asked at a time, on a thread that may block; no deadline of ours
/// runs meanwhile.
pub trait Secrets: Send + Sync {
    /// The passphrase of a private key file, or `None` to do without this key. Asked at most once per file.
    fn passphrase(&self, file: &Path) -> Option<SecretText>;

    /// The password of a user on a host, or `None` to do without; `attempt` counts from 1.
    fn password(&self, _user: &str, _host: &str, _attempt: u32) -> Option<SecretText> {
        None
    }

    /// One answer for each of a server's prompts, or `None` to do without.
    fn answers(&self, _asked: &ServerQuestions) -> Option<Vec<SecretText>> {
        None
    }
}

/// What a server asks (RFC 4256, section 3.2). All texts are the server's: escape them before they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerQuestions {
    /// The user who logs in.
    pub user: String,
    /// The host, as the user knows it.
    pub host: String,
    /// How often the method has been tried on this connection, this time included.
    pub attempt: u32,
    /// The title; often empty.
    pub name: String,
    /// What comes before the prompts; often empty.
    pub instructions: String,
    /// The prompts; never none.
    pub prompts: Vec<ServerPrompt>,
}

/// One of a server's prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPrompt {
    /// The text.
    pub text: String,
    /// Whether what is typed may be seen.
    pub echo: bool,
}
