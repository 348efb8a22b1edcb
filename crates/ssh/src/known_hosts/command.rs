//! `KnownHostsCommand` (ssh_config(5)): a program that prints known_hosts lines.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{KnownHost, KnownHosts};
use crate::host_key::HostKey;

/// The name under which its lines appear in messages, as with OpenSSH.
const FILE: &str = "KnownHostsCommand";
/// More output is no list of a host's keys.
const MOST_OUTPUT: u64 = 4 * 1024 * 1024;
/// These tokens stand for what the host offers.
const OF_THE_KEY: [&str; 4] = ["%I", "%K", "%t", "%f"];

/// The command for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownHostsCommand {
    /// The command and its arguments, with the tokens that cannot be replaced before the host is asked.
    pub(crate) template: String,
    /// The host's names in known_hosts, the one that counts most first.
    pub(crate) names: Vec<String>,
    /// Its port as known_hosts has it.
    pub(crate) port: u16,
    /// The first of them with the port, for `%H`.
    pub(crate) name: String,
    /// How long it may take.
    pub(crate) limit: Duration,
}

impl KnownHostsCommand {
    /// Whether its answer may depend on the key that is offered.
    pub(crate) fn depends_on_key(&self) -> bool {
        let without_percents = self.template.replace("%%", "");
        OF_THE_KEY.iter().any(|token| without_percents.contains(token))
    }

    /// Asks; without a key, to learn which types to ask the host for.
    ///
    /// # Errors
    /// A fragment that says what went wrong. Nothing is known then.
    pub(crate) async fn known(&self, offered: Option<&HostKey>) -> Result<KnownHost, String> {
        let output = self.output(offered).await?;
        let mut known = KnownHosts::default();
        known.add(Path::new(FILE), &String::from_utf8_lossy(&output));
        Ok(known.find(&self.names.iter().map(String::as_str).collect::<Vec<_>>(), self.port))
    }

    async fn output(&self, offered: Option<&HostKey>) -> Result<Vec<u8>, String> {
        let words = shlex::split(&self.template).ok_or("a quote is not closed")?;
        let (program, arguments) = words.split_first().ok_or("it is empty")?;
        if !program.starts_with('/') {
            return Err("it must begin with an absolute path".to_owned());
        }
        let arguments: Result<Vec<_>, _> =
            arguments.iter().map(|argument| self.expand(argument, offered)).collect();
        let mut command = Command::new(program);
        command.args(arguments?).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A group of its own: what it starts ends with it.
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("{program} cannot be started: {e}"))?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let ended = timeout(self.limit, read(&mut child)).await;
        if ended.is_ok() {
            // It has been waited for: its number may be another's by now.
            group.0 = None;
        }
        match ended {
            Err(_) => Err(format!("it took longer than {} s", self.limit.as_secs_f64())),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok((_, status))) if !status.success() => Err(format!("it failed with {status}")),
            Ok(Ok((output, _))) if u64::try_from(output.len()).is_ok_and(|n| n > MOST_OUTPUT) => {
                Err("it prints too much".to_owned())
            }
            Ok(Ok((output, _))) => Ok(output),
        }
    }

    fn expand(&self, argument: &str, offered: Option<&HostKey>) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = argument.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                text.push(char);
                continue;
            }
            match chars.next() {
                Some('%') => text.push('%'),
                Some('I') => text.push_str(if offered.is_some() { "HOSTNAME" } else { "ORDER" }),
                Some('K') => text.push_str(&said(offered, |key| BASE64.encode(key.blob()))),
                Some('t') => text.push_str(&said(offered, |key| key.algorithm().to_owned())),
                Some('f') => text.push_str(&said(offered, HostKey::fingerprint)),
                Some('H') => text.push_str(&self.name),
                Some(token) => return Err(format!("the token %{} is not known", token.escape_debug())),
                None => return Err("a % stands at the end".to_owned()),
            }
        }
        Ok(text)
    }
}

fn said(offered: Option<&HostKey>, say: impl FnOnce(&HostKey) -> String) -> String {
    offered.map_or_else(|| "NONE".to_owned(), say)
}

/// A process group that ends with the value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Most often nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

async fn read(child: &mut Child) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MOST_OUTPUT.saturating_add(1)).read_to_end(&mut output).await?;
    }
    Ok((output, child.wait().await?))
}
