//! Our resolution against `ssh -G`, for every keyword that is honoured.
//!
//! What `-G` prints in another way: `true`/`false` for some that are `yes`/`no`; files unexpanded (`IdentityFile`,
//! `CertificateFile`, `RevokedHostKeys`, `KnownHostsCommand`, `ProxyCommand`), others expanded
//! (`UserKnownHostsFile`, `IdentityAgent`); lists of algorithms relative to its own.

use std::process::{Command, Stdio};

use super::super::effective::{Way, effective};
use super::super::jump::parse_jump;
use super::super::keywords::{KEYWORDS, Key};
use super::super::name_list::assemble;
use super::super::value::Value;
use super::generator::{CASES, Generator};
use super::*;
use crate::Agent;

/// What `-G` prints: values by keyword, in order.
type Printed = BTreeMap<String, Vec<String>>;

/// How many configurations are made up.
const GENERATED: u64 = 300;

/// An ssh to compare with.
struct Ssh {
    home: Home,
    local: Local,
    /// What it says when nothing is configured.
    usual: Printed,
}

impl Ssh {
    fn find() -> Option<Self> {
        let home = Home::new();
        let empty = home.write("empty", "");
        let usual = printed(&empty, "nothing.invalid", home.path())?.ok()?;
        // ssh knows the home from the user database, not from $HOME.
        let known = usual.get("userknownhostsfile")?.first()?.split("/.ssh/").next()?.to_owned();
        let user = usual.get("user")?.first()?.clone();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let local = Local { home: Some(known.into()), user, host, ..home.local() };
        Some(Self { home, local, usual })
    }

    /// Compares one configuration for one host: whether it is valid, or the differences.
    fn compare(&self, name: &str, text: &str, host: &str) -> Result<bool, String> {
        let file = self.home.write(name, text);
        let theirs = printed(&file, host, self.home.path()).unwrap();
        let ours = SshConfig::read(&ConfigSource::File(file.clone()), self.local.clone());
        let found = ours.and_then(|config| {
            match self.ours(&config, host, Way::Own) {
                // ssh looks no further than the next host here, and compares names.
                Err(ConfigError::Circle { .. }) if theirs.is_ok() => self.ours(&config, host, Way::Given),
                found => found,
            }
        });
        std::fs::remove_file(file).unwrap();
        match (found, theirs) {
            (Err(_), Err(_)) => Ok(false),
            (Err(ours), Ok(_)) => Err(format!("ssh takes it, we do not: {ours}")),
            (Ok(_), Err(theirs)) => Err(format!("we take it, ssh does not: {theirs}")),
            (Ok(ours), Ok(theirs)) => self.differences(&ours, &theirs).map(|()| true),
        }
    }

    fn differences(&self, ours: &Printed, theirs: &Printed) -> Result<(), String> {
        let mut differences = String::new();
        for (keyword, values) in ours {
            let said = theirs.get(keyword).cloned().unwrap_or_default();
            if *values != said {
                differences.push_str(&format!("  {keyword}: ours {values:?}, ssh's {said:?}\n"));
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// What `-G` would print of what we found; keywords that nobody set have ssh's default.
    fn ours(&self, config: &SshConfig, host: &str, way: Way) -> Result<Printed, ConfigError> {
        let found = effective(config, &Request::new(host), way, &mut Vec::new())?;
        let mut printed = Printed::new();
        for keyword in KEYWORDS.iter().filter(|keyword| keyword.inert.is_none()) {
            let name = keyword.name.to_ascii_lowercase();
            if printed.contains_key(&name) || !self.prints(keyword.key, &name) {
                continue;
            }
            let set: Vec<&Value> = match keyword.key {
                key @ (Key::IdentityFile | Key::CertificateFile) => {
                    found.values.all(key).iter().map(|found| found.value).collect()
                }
                Key::Proxy => {
                    let set = found.values.get(Key::Proxy).filter(|set| set.keyword.name == keyword.name);
                    set.map(|found| found.value).into_iter().collect()
                }
                key => found.values.get(key).map(|found| found.value).into_iter().collect(),
            };
            if set.is_empty() {
                // Those that ssh makes up from others.
                let derived = ["updatehostkeys", "serveraliveinterval"].contains(&name.as_str());
                if !derived && let Some(usual) = self.usual.get(&name) {
                    printed.insert(name, usual.clone());
                }
                continue;
            }
            let values = set.into_iter().filter_map(|value| self.value(keyword.key, &name, value)).collect();
            printed.insert(name, values);
        }
        let target = &found.target;
        printed.insert("hostname".to_owned(), vec![target.address.clone()]);
        printed.insert("user".to_owned(), vec![target.user.clone()]);
        printed.insert("port".to_owned(), vec![target.port.to_string()]);
        if let Some(files) = &target.trust.user_files {
            let shown: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(" ") };
            printed.insert("userknownhostsfile".to_owned(), vec![shown]);
        }
        if let Agent::Socket(path) = &target.login.agent {
            printed.insert("identityagent".to_owned(), vec![path.display().to_string()]);
        } else {
            printed.remove("identityagent");
        }
        Ok(printed)
    }

    /// Whether the ssh here knows a keyword, and `-G` prints it.
    fn prints(&self, key: Key, name: &str) -> bool {
        let silent =
            [Key::Host, Key::Match, Key::Include, Key::IgnoreUnknown, Key::Tag, Key::RefuseConnection];
        let unset = ["bindaddress", "certificatefile", "hostkeyalias", "identityagent", "knownhostscommand"];
        let unset_too = ["preferredauthentications", "proxycommand", "proxyjump", "revokedhostkeys"];
        let known = self.usual.contains_key(name) || unset.contains(&name) || unset_too.contains(&name);
        !silent.contains(&key) && known
    }

    fn value(&self, key: Key, name: &str, value: &Value) -> Option<String> {
        Some(match value {
            Value::Choice(choice) => (*choice).to_owned(),
            Value::Word(list) if is_list(key) => {
                let usual = self.usual[name].join("");
                let usual: Vec<&str> = usual.split(',').collect();
                // Of host keys, `-G` shows the list as it stands.
                if key == Key::HostKeyAlgorithms {
                    list.clone()
                } else {
                    assemble(list, &usual, &[]).join(",")
                }
            }
            Value::Word(word) if word == "none" && key == Key::RevokedHostKeys => return None,
            Value::Word(word) if key == Key::HostKeyAlias => word.to_ascii_lowercase(),
            Value::Word(word) => word.clone(),
            Value::Words(words) if words.is_empty() => "none".to_owned(),
            Value::Words(words) => words.join(" "),
            Value::Number(number) => number.to_string(),
            Value::Time(None) => "none".to_owned(),
            Value::Time(Some(seconds)) => seconds.to_string(),
            Value::Command(command) if command.eq_ignore_ascii_case("none") => return None,
            Value::Command(command) => command.clone(),
            Value::Jump(hops) if hops.is_empty() => return None,
            Value::Jump(hops) => format!("{hops:?}"),
        })
    }
}

fn is_list(key: Key) -> bool {
    matches!(
        key,
        Key::KexAlgorithms
            | Key::HostKeyAlgorithms
            | Key::Ciphers
            | Key::Macs
            | Key::PubkeyAcceptedAlgorithms
    )
}

/// Runs `ssh -G`: nothing if there is none, else what it printed, or what it said when it refused.
fn printed(file: &Path, host: &str, home: &Path) -> Option<Result<Printed, String>> {
    let mut ssh = Command::new("ssh");
    ssh.env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("SITE", "paris")
        .env("SHELL", "/bin/sh");
    ssh.arg("-G").arg("-F").arg(file).arg("--").arg(host).stdin(Stdio::null());
    let output = ssh.output().ok()?;
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let mut printed = Printed::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = match (keyword, value) {
            (
                "stricthostkeychecking"
                | "verifyhostkeydns"
                | "updatehostkeys"
                | "pubkeyauthentication"
                | "canonicalizehostname",
                "true",
            ) => "yes".to_owned(),
            (
                "stricthostkeychecking"
                | "verifyhostkeydns"
                | "updatehostkeys"
                | "pubkeyauthentication"
                | "canonicalizehostname",
                "false",
            ) => "no".to_owned(),
            ("proxyjump", jump) => format!("{:?}", parse_jump(jump).unwrap()),
            (_, value) => value.to_owned(),
        };
        printed.entry(keyword.to_owned()).or_default().push(value);
    }
    Some(Ok(printed))
}

/// Compares all, four at a time; how many were valid.
fn compare_all(ssh: &Ssh, cases: &[(String, String)]) -> usize {
    let compare = |part: usize, (text, host): &(String, String)| {
        let compared = ssh.compare(&format!("config{part}"), text, host);
        compared.map_err(|differences| format!("{text}--- for {host}:\n{differences}"))
    };
    let compared: Vec<Result<bool, String>> = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(4).max(1)).enumerate();
        let threads: Vec<_> = parts
            .map(|(part, cases)| {
                scope.spawn(move || cases.iter().map(|case| compare(part, case)).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let failures: Vec<&str> = compared.iter().filter_map(|c| c.as_ref().err()).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
    compared.iter().filter(|valid| **valid == Ok(true)).count()
}

#[test]
fn configurations_that_were_made_up() {
    let Some(ssh) = Ssh::find() else {
        println!("skipped: there is no ssh here");
        return;
    };
    let cases: Vec<(String, String)> = (0..GENERATED).map(|seed| Generator::new(seed).case()).collect();
    let valid = compare_all(&ssh, &cases);
    assert!(valid * 2 > cases.len(), "only {valid} of {} are valid: they compare little", cases.len());
}

#[test]
fn configurations_that_are_odd() {
    let Some(ssh) = Ssh::find() else {
        println!("skipped: there is no ssh here");
        return;
    };
    let folder = ssh.home.path().display().to_string();
    ssh.home.write("parts/10", "User ten\nHost b*\nPort 10\nMatch final\nHostKeyAlias final-in-part\n");
    ssh.home.write("parts/20", "User twenty\nPort 20\n");
    ssh.home.write("parts/.30", "BindAddress 127.0.0.30\n");
    ssh.home.write("parts/exec", "Match exec \"false\"\nUser never\nMatch exec \"true\"\nUser exec\n");
    let cases: Vec<(String, String)> =
        CASES.iter().map(|(text, host)| (text.replace("FOLDER", &folder), (*host).to_owned())).collect();
    assert!(compare_all(&ssh, &cases) * 2 > cases.len());
}
