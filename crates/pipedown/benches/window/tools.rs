//! What else runs a command on many hosts, as far as it is installed. Each runs `true`.

use std::path::Path;
use std::process::Command;

use crate::realm::Realm;

/// How many hosts at once: pipedown's default.
pub const AT_ONCE: &str = "64";

/// What ratios refer to.
pub const REFERENCE: &str = "xargs and ssh: true on every host";

/// A tool.
pub struct Tool {
    /// The program.
    pub name: &'static str,
    /// What it does, in words.
    pub shown: &'static str,
    arguments: fn(&mut Command, &Realm),
}

/// All that are known.
pub const ALL: &[Tool] = &[
    Tool { name: "xargs", shown: REFERENCE, arguments: xargs },
    Tool { name: "clush", shown: "clush: true on every host", arguments: clush },
    Tool { name: "pdsh", shown: "pdsh: true on every host", arguments: pdsh },
    Tool { name: "ansible", shown: "ansible raw: true on every host", arguments: ansible },
];

impl Tool {
    /// The command, if it is installed.
    pub fn command(&self, realm: &Realm) -> Option<Command> {
        let path = std::env::var_os("PATH")?;
        if !std::env::split_paths(&path).any(|folder| folder.join(self.name).is_file()) {
            return None;
        }
        let mut command = Command::new(self.name);
        command.env_remove("SSH_AUTH_SOCK");
        (self.arguments)(&mut command, realm);
        Some(command)
    }
}

fn config(realm: &Realm) -> String {
    format!("-F {}", realm.path("ssh_config").display())
}

fn list(realm: &Realm, separator: &str) -> String {
    realm.names.join(separator)
}

fn xargs(command: &mut Command, realm: &Realm) {
    let file = realm.path("names");
    // A list that cannot be written is missed by xargs, whose failure is told.
    let _ = write(&file, &list(realm, "\n"));
    command.arg("-a").arg(file).args(["-P", AT_ONCE, "-I", "HOST", "ssh", "-n", "-F"]);
    command.arg(realm.path("ssh_config")).args(["HOST", "true"]);
}

fn clush(command: &mut Command, realm: &Realm) {
    command.args(["-f", AT_ONCE, "-o", &config(realm), "-w", &list(realm, ","), "true"]);
}

fn pdsh(command: &mut Command, realm: &Realm) {
    command.env("PDSH_SSH_ARGS_APPEND", config(realm));
    command.args(["-R", "ssh", "-f", AT_ONCE, "-w", &list(realm, ","), "true"]);
}

fn ansible(command: &mut Command, realm: &Realm) {
    command.env("ANSIBLE_SSH_ARGS", config(realm)).env("ANSIBLE_LOCAL_TEMP", realm.path("ansible"));
    // The comma at the end makes it a list of hosts.
    let hosts = format!("{},", list(realm, ","));
    command.args(["all", "-i", &hosts, "-f", AT_ONCE, "-m", "raw", "-a", "true"]);
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::File::create(path)?.write_all(text.as_bytes())
}
