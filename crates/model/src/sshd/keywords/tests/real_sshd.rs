//! The table beside the sshd of this machine.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

struct Sshd {
    program: String,
    keys: tempfile::TempDir,
    version: SshdVersion,
}

impl Sshd {
    /// The sshd of this machine, if there is one that can be asked.
    fn find() -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
        let program = program.iter().find(|path| std::path::Path::new(path).exists())?;
        let keys = tempfile::tempdir().ok()?;
        let key = keys.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        let said = Command::new(program).arg("-V").output().ok()?;
        let version = SshdVersion::parse(&String::from_utf8_lossy(&said.stderr))?;
        let sshd = Self { program: (*program).to_owned(), keys, version };
        (made.is_ok_and(|made| made.success()) && sshd.ask("-t", "").0).then_some(sshd)
    }

    /// Whether it takes a configuration, and what it says.
    fn ask(&self, how: &str, text: &str) -> (bool, String) {
        let mut child = Command::new(&self.program)
            .args([how, "-f", "/dev/stdin", "-h"])
            .arg(self.keys.path().join("key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

fn sshd() -> Option<Sshd> {
    let sshd = Sshd::find();
    if sshd.is_none() {
        eprintln!("skipped: there is no sshd on this machine that can be asked (as root, with /run/sshd)");
    }
    sshd
}

/// Values to be asked of a kind: good ones, nearly good ones, bad ones.
fn pool(value: &SshdValue) -> Vec<String> {
    let mut pool: Vec<String> =
        ["yes", "no", "YES", "nO", "true", "none", "1", "x", "\"yes\"", "yes no", "0", "\"\""]
            .map(str::to_owned)
            .into();
    match value {
        Words(words) | ExactWords(words) | Options(words) => {
            pool.extend(words.iter().flat_map(|word| {
                [(*word).to_owned(), word.to_ascii_uppercase(), word.to_ascii_lowercase(), format!("{word}x")]
            }));
        }
        Flag => {}
        _ => pool.extend(
            [
                "65535",
                "65536",
                "2147483647",
                "2147483648",
                "-1",
                "08",
                "0x10",
                "1m",
                "1h30m",
                "1m30",
                "5x",
                "1.5",
                "3551w",
                "1 2",
                "10:30:100",
                "10:30",
                "24:64",
                "33:64",
                "99999999999999999999",
            ]
            .map(str::to_owned),
        ),
    }
    pool
}

#[test]
fn what_the_table_takes_sshd_takes_and_nothing_else() {
    let Some(sshd) = sshd() else { return };
    let mut wrong = Vec::new();
    let simple = |k: &&SshdKeyword| {
        matches!(
            k.value,
            Flag | Words(_) | ExactWords(_) | Options(_) | Number | NumberOrNone | Time { .. } | Port
        )
    };
    for keyword in KEYWORDS.iter().filter(|k| k.until.is_none()).filter(simple) {
        if sshd.version < SshdVersion::new(8, 7) || sshd.version < keyword.since {
            continue;
        }
        for value in pool(&keyword.value) {
            let (taken, said) = sshd.ask("-t", &format!("{} {value}\n", keyword.name));
            // What a build leaves out, and what other settings forbid.
            if ["Unsupported option", "not supported", "Bad configuration option"]
                .iter()
                .any(|w| said.contains(w))
            {
                assert!(keyword.name.contains("GSSAPI") || keyword.name.starts_with("Kerberos"), "{said}");
                continue;
            }
            if taken != keyword.value.check(&value).is_ok() {
                wrong.push(format!("{} {value}: sshd {taken}: {said}", keyword.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn sshd_prints_no_keyword_that_the_table_does_not_have() {
    let Some(sshd) = sshd() else { return };
    let all = "AllowUsers a\nAllowGroups a\nDenyUsers b\nDenyGroups b\nAcceptEnv A\nSetEnv A=b\nSubsystem sftp internal-sftp\n";
    let (taken, said) = sshd.ask("-T", all);
    assert!(taken, "{said}");
    for line in said.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(sshd_keyword(name).is_some(), "{line}");
    }
    assert!(said.lines().count() > 60, "{said}");
}

#[test]
fn match_blocks_take_what_the_table_says() {
    let Some(sshd) = sshd() else { return };
    for keyword in KEYWORDS.iter().filter(|k| k.until.is_none()) {
        let text = format!("Match User nobody\n{} zz\n", keyword.name);
        let (_, said) = sshd.ask("-T", &text);
        if said.contains("Bad configuration option") || sshd.version < keyword.since {
            continue;
        }
        let refused = said.contains("not allowed within a Match block");
        assert_eq!(refused, !keyword.allowed_in_match(sshd.version), "{}: {said}", keyword.name);
    }
}
