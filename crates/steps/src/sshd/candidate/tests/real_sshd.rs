//! Candidates beside what the sshd of this machine makes of them.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::super::super::fixture::{changed, host, login, step};
use super::super::super::patterns::{Somebody, applies};
use super::super::super::{SshdChange, SshdConnection, SshdEffective, SshdHolds, SshdIdentity, sshd_compare};
use super::*;

struct Real {
    folder: tempfile::TempDir,
}

impl Real {
    /// None, with words, where there is no sshd that can be asked.
    fn find() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        let real = Self { folder };
        std::fs::create_dir(real.path().join("d")).unwrap();
        real.put(&real.main(), "");
        let asked = made.is_ok_and(|made| made.success()) && real.effective("root").is_ok();
        if !asked {
            eprintln!(
                "skipped: there is no sshd on this machine that can be asked (as root, with /run/sshd)"
            );
        }
        asked.then_some(real)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn main(&self) -> String {
        self.path().join("sshd_config").display().to_string()
    }

    fn in_d(&self, name: &str) -> String {
        self.path().join("d").join(name).display().to_string()
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a test, read by nobody but the sshd it starts")]
    fn put(&self, path: &str, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    fn write(&self, seen: &SshdSeen) {
        std::fs::remove_dir_all(self.path().join("d")).unwrap();
        std::fs::create_dir(self.path().join("d")).unwrap();
        seen.files.iter().for_each(|file| self.put(&file.path, &file.text));
    }

    /// `sshd -T -C` for a user from 192.0.2.7.
    fn effective(&self, user: &str) -> Result<SshdEffective, String> {
        let whom = format!("user={user},host=h.example.org,addr=192.0.2.7,laddr=192.0.2.1,lport=22");
        let output = Command::new("/usr/sbin/sshd")
            .args(["-T", "-C", &whom, "-f", &self.main(), "-h"])
            .arg(self.path().join("key"))
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let values = text.lines().filter_map(|line| line.split_once(' '));
        Ok(SshdEffective {
            identity: SshdIdentity { user: user.to_owned(), address: None },
            values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            error: None,
        })
    }
}

/// What sshd would use for somebody, by our own reading.
fn predicted(config: &SshdConfig, keyword: &str, who: &Somebody<'_>) -> Option<String> {
    let inside = |block: &super::super::super::SshdBlock| {
        let mut next = Some(block);
        while let Some(block) = next {
            if applies(&block.criteria, who) != Some(true) {
                return false;
            }
            next = block.within.map(|index| &config.blocks[index]);
        }
        true
    };
    let matched = config.matched(keyword).find(|(block, _)| inside(block)).map(|(_, line)| line);
    matched.or_else(|| config.global(keyword).next()).map(|line| line.value.clone())
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("INCLUDE".to_owned()),
        Just("Match User root".to_owned()),
        Just("Match Group nobody,daemon User *".to_owned()),
        Just("match address 192.0.2.0/24,!192.0.2.9".to_owned()),
        Just("Match All".to_owned()),
        Just("Match LocalPort 23".to_owned()),
        "(MaxSessions|X11DisplayOffset)( |=|\t=  ?)\"?[1-9]".prop_map(|line| {
            let quoted = line.contains('"');
            line + if quoted { "\"" } else { "" }
        }),
        Just("# comment".to_owned()),
    ];
    proptest::collection::vec(line, 0..9).prop_map(|lines| lines.join("\n"))
}

#[test]
fn sshd_reads_files_as_we_do_and_candidates_hold() {
    let Some(real) = Real::find() else { return };
    let strategy = (lines(), lines(), lines(), any::<bool>(), any::<bool>());
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    proptest!(config, |((main, first, second, global, block) in strategy)| {
        let include = format!("Include {}", real.in_d("*.conf"));
        let (main, first, second) = (
            main.replace("INCLUDE", &include),
            first.replace("INCLUDE", "# no"),
            second.replace("INCLUDE", "# no"),
        );
        let (path, one, two) = (real.main(), real.in_d("00-a.conf"), real.in_d("50-b.conf"));
        let mut seen = host(&[(&path, &main), (&one, &first), (&two, &second)]);
        let address = |text: &str| text.to_owned();
        seen.connection = Some(SshdConnection {
            client: address("192.0.2.7"),
            client_port: 5,
            server: address("192.0.2.1"),
            server_port: 22,
        });
        seen.logins = vec![login("root", &["root"], None, None), login("daemon", &["daemon"], None, None)];
        let blocks: &[(&str, &[&str])] = &[("User daemon", &["MaxSessions 77"])];
        let wanted = step(
            if global { &["MaxSessions 88", "X11DisplayOffset 99"] } else { &[] },
            if block { blocks } else { &[] },
        );
        let candidate = sshd_candidate(&seen, &wanted).unwrap();
        let after = changed(&seen, &candidate.changes);
        for state in [&seen, &after] {
            real.write(state);
            let config = SshdConfig::of(state);
            for login in &seen.logins {
                let who = Somebody {
                    user: &login.user,
                    groups: Some(&login.groups),
                    address: "192.0.2.7".parse().ok(),
                    local: Some(("192.0.2.1".parse().unwrap(), 22)),
                };
                let effective = real.effective(&login.user).unwrap();
                for keyword in ["MaxSessions", "X11DisplayOffset"] {
                    let value = predicted(&config, keyword, &who);
                    let value = value.map_or("10".to_owned(), |value| value.replace('"', ""));
                    let name = keyword.to_ascii_lowercase();
                    prop_assert!(
                        effective.values.contains(&(name, value.clone())),
                        "{keyword} {value} for {}: {:#?}", login.user, config
                    );
                }
                if state == &after {
                    for outcome in &sshd_compare(&seen, &candidate, &[], &[effective])[0].outcomes {
                        let named = matches!(&outcome.holds, SshdHolds::No { because: Some(_) });
                        prop_assert!(outcome.holds == SshdHolds::Yes || named, "{outcome}");
                    }
                }
            }
        }
    });
}

#[test]
fn blocks_in_a_main_file_of_other_line_ends_hold() {
    let Some(real) = Real::find() else { return };
    let path = real.main();
    let seen = host(&[(&path, "X11Forwarding yes\r\nMatch User root\r\nMaxSessions 3")]);
    let blocks: &[(&str, &[&str])] = &[("User root", &["MaxSessions 4", "PermitTTY no"])];
    let candidate = sshd_candidate(&seen, &step(&["X11Forwarding no"], blocks)).unwrap();
    let text = candidate.changes[0].text.clone();
    real.write(&changed(&seen, &[SshdChange { path, text }]));
    let effective = real.effective("root").unwrap();
    let outcomes = &sshd_compare(&seen, &candidate, &[], &[effective])[0].outcomes;
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|outcome| outcome.holds == SshdHolds::Yes), "{outcomes:?}");
}
