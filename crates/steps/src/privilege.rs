//! Becoming root: the command that starts the privileged shell, and what sudo and doas answer.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use pipedown_model::Become;

use crate::lane::find;

/// What sshd's exec runs, between single quotes.
const BOOTSTRAP: &str = include_str!("../fragments/bootstrap.sh");

/// Words that only this process knows. They are no secrets: hosts see them in argv.
struct Words {
    ready: String,
    prompt: String,
}

static WORDS: LazyLock<Words> =
    LazyLock::new(|| Words { ready: random_word(), prompt: format!("pipedown-asks-{}", random_word()) });

/// The word that leads the driver's line.
pub(crate) fn token() -> &'static str {
    &WORDS.ready
}

/// What the bootstrap prints on both streams when it reads from standard input.
pub(crate) fn ready_text() -> String {
    format!("pipedown ready {}\n", WORDS.ready)
}

/// 128 bits that nobody guesses, in hexadecimal.
pub(crate) fn random_word() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // The standard library's hash keys are the only other source; enough for markers.
        let half = || std::collections::hash_map::RandomState::new().build_hasher().finish();
        bytes = ((u128::from(half()) << 64) | u128::from(half())).to_ne_bytes();
    }
    HEXLOWER.encode(&bytes)
}

/// The command that starts the privileged shell, for `exec`.
///
/// Any login shell takes it (sh, csh, fish). `with_password` must say whether [`HostShell::open`] will be given one;
/// only sudo takes it.
///
/// [`HostShell::open`]: crate::HostShell::open
pub fn command(become_: Become, with_password: bool) -> String {
    let root = prefix(become_, with_password);
    format!("exec {root}sh -c '{}' pipedown {}", bootstrap(), WORDS.ready)
}

/// What stands before a command that is run as root, with a blank behind it.
pub(crate) fn prefix(become_: Become, with_password: bool) -> String {
    match (become_, with_password) {
        (Become::None, _) => String::new(),
        (Become::Sudo, false) => "sudo -n ".to_owned(),
        (Become::Sudo, true) => format!("sudo -S -p {} ", WORDS.prompt),
        (Become::Doas, _) => "doas -n ".to_owned(),
    }
}

fn bootstrap() -> &'static str {
    BOOTSTRAP.lines().find(|line| !line.starts_with('#')).unwrap_or_default()
}

/// Where sudo's prompt ends, if these bytes of standard error end with it.
///
/// A prompt has no newline behind it; the same word echoed by a trace has. sudo-rs adds words of its own around it.
pub(crate) fn prompt_end(stderr: &[u8]) -> Option<usize> {
    let prompt = WORDS.prompt.as_bytes();
    let line = stderr.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
    find(stderr.get(line..)?, prompt)?;
    Some(stderr.len())
}

/// Why sudo or doas did not start the shell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) text: String,
    pub(crate) hint: &'static str,
}

impl Denial {
    pub(crate) fn wrong_password() -> Self {
        Self {
            text: "sudo did not take the password".to_owned(),
            hint: "check the password; it was tried once, so that the account is not locked",
        }
    }
}

/// Words of sudo, sudo-rs and doas, and what to do about them.
const DENIALS: &[(&[&str], &str)] = &[
    (
        &["incorrect password", "incorrect authentication", "Authentication failed", "Sorry, try again"],
        "check the password; it was tried once, so that the account is not locked",
    ),
    (
        &["you must have a tty", "a terminal is required", "no tty present", "askpass"],
        "sudo wants a password or a terminal: give the password (--ask-become-password), allow NOPASSWD in sudoers, and see \
         that `requiretty` is off for this account",
    ),
    (
        &["password is required", "interactive authentication is required", "Authentication required"],
        "give the password (--ask-become-password), or allow NOPASSWD for this account in sudoers",
    ),
    (
        &["not in the sudoers", "may not run sudo", "is not allowed to", "I'm afraid I can't do that"],
        "the account has no right to run sh as root: add it to sudoers",
    ),
    (
        &[
            "account validation failure",
            "account expired",
            "password expired",
            "Account or password is expired",
        ],
        "the account or its password has expired on the host: renew it there",
    ),
    (
        &[
            "parse error",
            "syntax error",
            "no valid sudoers",
            "is owned by uid",
            "is world writable",
            "is mode",
        ],
        "sudo's own configuration is broken on the host: repair it as root (visudo -c)",
    ),
    (
        &["effective uid is not 0", "no new privileges"],
        "sudo cannot work in this environment: it may not gain privileges",
    ),
];

/// Names what sudo or doas said before the stream ended without a shell.
pub(crate) fn denial(become_: Become, stderr: &str, status: Option<u32>) -> Denial {
    let tool = match become_ {
        Become::Doas => "doas",
        Become::None | Become::Sudo => "sudo",
    };
    let said = last_line(stderr);
    let absent = ["not found", "Unknown command", "No such file"].iter().any(|words| stderr.contains(words));
    let (text, hint) = if status == Some(127) || absent {
        (format!("the host has no {tool}"), "install it, or set `become` for this host in the inventory")
    } else if become_ == Become::Doas {
        (said, "doas takes no password here: allow `permit nopass` for this account in doas.conf")
    } else {
        let known = DENIALS.iter().find(|(words, _)| words.iter().any(|words| stderr.contains(words)));
        (said, known.map_or("try `sudo -n true` on the host as this user", |(_, hint)| hint))
    };
    let text = if text.is_empty() { format!("{tool} ended without a word") } else { text };
    Denial { text, hint }
}

/// The last line that says something, without control characters and not too long.
pub(crate) fn last_line(text: &str) -> String {
    let text = text.replace(WORDS.prompt.as_str(), "");
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_for_the_login_shell() {
        let plain = |become_, password| {
            let text = command(become_, password);
            text.replace(WORDS.prompt.as_str(), "PROMPT").replace(WORDS.ready.as_str(), "TOKEN")
        };
        let commands = [
            plain(Become::None, false),
            plain(Become::Sudo, false),
            plain(Become::Sudo, true),
            plain(Become::Doas, false),
        ];
        insta::assert_snapshot!(commands.join("\n"));
        for command in commands {
            assert!(!command.contains(['\\', '!', '\n']), "csh and fish would read it differently");
            assert_eq!(command.matches('\'').count(), 2);
        }
    }

    #[test]
    fn only_our_own_prompt_at_the_end_is_a_prompt() {
        let prompt = WORDS.prompt.as_str();
        let asks = |text: String| prompt_end(text.as_bytes()).is_some();
        assert!(asks(format!("We trust you have received the usual lecture.\n\n{prompt}")));
        assert!(asks(format!("[sudo: {prompt}] Password: ")), "sudo-rs");
        assert!(asks(format!("{prompt}Sorry, try again.\n{prompt}")));
        assert!(!asks(format!("+ sudo -S -p {prompt} sh\n")), "a trace");
        assert!(!asks("[sudo] password for ops: ".to_owned()));
        assert!(!asks(format!("{prompt}\nSorry")));
        assert!(!asks(prompt[..prompt.len() - 1].to_owned()));
    }

    #[test]
    fn what_sudo_and_doas_say() {
        let cases = [
            (Become::Sudo, "sudo: a password is required\n", 1),
            (Become::Sudo, "sudo: interactive authentication is required\n", 1),
            (Become::Sudo, "sudo: sorry, you must have a tty to run sudo\n", 1),
            (
                Become::Sudo,
                "sudo: a terminal is required to read the password; either use the -S option\nsudo: a password is required\n",
                1,
            ),
            (Become::Sudo, "alice is not in the sudoers file.\n", 1),
            (Become::Sudo, "Sorry, user alice may not run sudo on login01.\n", 1),
            (Become::Sudo, "sudo: I'm sorry alice. I'm afraid I can't do that\n", 1),
            (Become::Sudo, "sudo: 1 incorrect password attempt\n", 1),
            (
                Become::Sudo,
                "/etc/sudoers:3:1: syntax error\nsudo: no valid sudoers sources found, quitting\n",
                1,
            ),
            (
                Become::Sudo,
                "sudo: effective uid is not 0, is /usr/bin/sudo on a file system with the 'nosuid' option set\n",
                1,
            ),
            (Become::Sudo, "sh: 1: exec: sudo: not found\n", 127),
            (Become::Sudo, "sudo: Command not found.\n", 1),
            (Become::Sudo, "fish: Unknown command: sudo\n", 127),
            (Become::Sudo, "sudo: ein Passwort ist notwendig\n", 1),
            (Become::Sudo, "", 1),
            (Become::Doas, "doas: Authorization required\n", 1),
            (Become::Doas, "doas: Operation not permitted\n", 1),
            (Become::Doas, "sh: 1: exec: doas: not found\n", 127),
        ];
        let lines = cases.map(|(become_, said, status)| {
            let Denial { text, hint } = denial(become_, said, Some(status));
            format!("{text}\n    {hint}")
        });
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn words_are_new_each_time() {
        assert_ne!(random_word(), random_word());
        assert_eq!(random_word().len(), 32);
    }
}
