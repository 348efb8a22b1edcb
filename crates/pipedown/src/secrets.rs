//! Secrets: asked once, kept in memory that is wiped, never shown.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pipedown_ssh::{SecretText, Secrets, ServerPrompt, ServerQuestions};
use pipedown_steps::Secret;
use zeroize::Zeroizing;

use crate::cli::ReachArgs;
use crate::stop::Stop;
use crate::terminal;

/// How much of a server's text is shown.
const SHOWN: usize = 500;

/// Asks on the terminal for passphrases and passwords, and passes servers' questions on.
#[derive(Default)]
pub struct Prompt {
    /// The login password of all hosts, if the user said that there is one.
    password: Option<SecretText>,
}

impl Prompt {
    /// Takes the login password of all hosts from the terminal or from a command, if one of them is asked for.
    ///
    /// # Errors
    /// When it was asked for and cannot be had.
    pub fn new(reach: &ReachArgs) -> Result<Self, Stop> {
        let source = Source {
            what: "login password",
            ask: reach.ask_password,
            command: reach.password_command.as_deref(),
            option: "--password-command",
        };
        Ok(Self { password: source.text()? })
    }
}

impl Secrets for Prompt {
    fn passphrase(&self, file: &Path) -> Option<SecretText> {
        hidden(&format!("passphrase of {}: ", file.display()))
    }

    fn password(&self, user: &str, host: &str, attempt: u32) -> Option<SecretText> {
        match &self.password {
            // It will not be right the second time.
            Some(password) => (attempt == 1).then(|| password.clone()),
            None => hidden(&format!("password of {}@{}: ", shown(user), shown(host))),
        }
    }

    fn answers(&self, asked: &ServerQuestions) -> Option<Vec<SecretText>> {
        if let (Some(password), [prompt]) = (&self.password, asked.prompts.as_slice())
            && is_for_password(prompt)
        {
            return (asked.attempt == 1).then(|| vec![password.clone()]);
        }
        if !terminal::can_ask() {
            return None;
        }
        terminal::say(&format!("{}@{} asks:", shown(&asked.user), shown(&asked.host)));
        for text in [&asked.name, &asked.instructions].into_iter().filter(|text| !text.trim().is_empty()) {
            terminal::say(&format!("  {}", shown(text.trim())));
        }
        asked.prompts.iter().map(answer).collect()
    }
}

/// Whether a server asks for the account's password: PAM's words for it, in what it does not want to be seen.
fn is_for_password(prompt: &ServerPrompt) -> bool {
    let text = prompt.text.trim().to_ascii_lowercase();
    !prompt.echo && text.ends_with("password:") && !text.contains("new") && !text.contains("one-time")
}

fn answer(prompt: &ServerPrompt) -> Option<SecretText> {
    let text = format!("  {} ", shown(prompt.text.trim()));
    if !prompt.echo {
        return hidden(&text);
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().read_line(&mut line).ok()?;
    (read > 0).then(|| Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Asks for something that must not be seen, if somebody can be asked.
fn hidden(question: &str) -> Option<SecretText> {
    if !terminal::can_ask() {
        return None;
    }
    rpassword::prompt_password(question).ok().map(Zeroizing::new)
}

/// A text from outside, without control characters and of bounded length.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect::<String>().replace("\\n", " ")
}

/// Where one password for all hosts comes from.
struct Source<'a> {
    what: &'static str,
    ask: bool,
    command: Option<&'a str>,
    /// The option that names the command.
    option: &'static str,
}

impl Source<'_> {
    /// One prompt, or the first line of the command's output.
    fn text(&self) -> Result<Option<SecretText>, Stop> {
        let (what, option) = (self.what, self.option);
        if self.ask {
            let typed = rpassword::prompt_password(format!("{what} (for all hosts): "))
                .map_err(|e| Stop::failed(format!("ask for the {what}: {e}")).hint(option))?;
            return Ok(Some(Zeroizing::new(typed)));
        }
        let Some(command) = self.command else { return Ok(None) };
        let words = shlex::split(command).filter(|w| !w.is_empty());
        let words = words.ok_or_else(|| Stop::usage(format!("{option}: unbalanced quotes, or empty")))?;
        let (program, arguments) =
            words.split_first().ok_or_else(|| Stop::usage(format!("{option}: empty")))?;
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::inherit())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| Stop::failed(format!("start {program} for the {what}: {e}")))?;
        if !output.status.success() {
            return Err(Stop::failed(format!("get the {what}: {program}: {}", output.status)));
        }
        let text = Zeroizing::new(
            String::from_utf8(output.stdout)
                .map_err(|_| Stop::failed(format!("read the output of {program}: not UTF-8")))?,
        );
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Some(Zeroizing::new(line.to_owned()))),
            _ => Err(Stop::failed(format!("get the {what}: {program} printed nothing"))),
        }
    }
}

/// The sudo password, if one is to be used: one prompt, or the first line of a command's output.
///
/// # Errors
/// When it was asked for and cannot be had.
pub fn become_password(reach: &ReachArgs) -> Result<Option<Secret>, Stop> {
    let source = Source {
        what: "sudo password",
        ask: reach.ask_become_password,
        command: reach.become_password_command.as_deref(),
        option: "--become-password-command",
    };
    Ok(source.text()?.map(|text| Secret::new(text.as_str().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str, echo: bool, attempt: u32) -> ServerQuestions {
        ServerQuestions {
            user: "ops".to_owned(),
            host: "web1".to_owned(),
            attempt,
            name: String::new(),
            instructions: String::new(),
            prompts: vec![ServerPrompt { text: text.to_owned(), echo }],
        }
    }

    #[test]
    fn one_password_for_all_hosts_answers_their_question_for_it_once_and_no_other() {
        let reach = ReachArgs { password_command: Some("echo 'for all'".to_owned()), ..ReachArgs::usual() };
        let prompt = Prompt::new(&reach).unwrap();
        let text = |answers: Option<Vec<SecretText>>| answers.map(|all| all[0].as_str().to_owned());
        assert_eq!(prompt.password("ops", "web1", 1).unwrap().as_str(), "for all");
        assert_eq!(prompt.password("ops", "web2", 1).unwrap().as_str(), "for all");
        assert!(prompt.password("ops", "web1", 2).is_none());
        assert_eq!(text(prompt.answers(&asked("Password: ", false, 1))).unwrap(), "for all");
        assert_eq!(text(prompt.answers(&asked("(ops@web1) Password: ", false, 1))).unwrap(), "for all");
        assert!(!is_for_password(&asked("New password: ", false, 1).prompts[0]));
        assert!(!is_for_password(&asked("Password: ", true, 1).prompts[0]));
        assert!(!is_for_password(&asked("One-time password:", false, 1).prompts[0]));
        assert!(!is_for_password(&asked("Verification code: ", false, 1).prompts[0]));
        assert!(prompt.answers(&asked("Password: ", false, 2)).is_none());
    }

    #[test]
    fn what_a_server_says_cannot_move_the_cursor() {
        assert_eq!(shown("two\nlines \u{1b}[2J"), "two lines \\u{1b}[2J");
        assert_eq!(shown(&"x".repeat(10_000)).len(), SHOWN);
    }
}
