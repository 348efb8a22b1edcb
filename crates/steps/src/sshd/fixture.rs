//! Hosts for the tests of this folder.

use chrono::DateTime;
use pipedown_model::{SshdMatch, SshdSetting, SshdStep, SshdUnset, TextId};

use super::config::keyword_and_value;
use super::patterns::glob;
use super::{
    RecentLogin, SshdChange, SshdEffective, SshdFile, SshdIdentity, SshdInclude, SshdSeen, SshdService,
    SshdState, SshdVerdict,
};

pub(super) const MAIN: &str = "/etc/ssh/sshd_config";
pub(super) const OURS: &str = "/etc/ssh/sshd_config.d/00-pipedown.conf";
pub(super) const BULLSEYE: &str = include_str!("testdata/debian-bullseye.sshd_config");
pub(super) const BOOKWORM: &str = include_str!("testdata/debian-bookworm.sshd_config");
pub(super) const TRIXIE: &str = include_str!("testdata/debian-trixie.sshd_config");
pub(super) const CLOUD_INIT: (&str, &str) =
    ("/etc/ssh/sshd_config.d/50-cloud-init.conf", include_str!("testdata/50-cloud-init.conf"));

fn file((path, text): (&str, &str)) -> SshdFile {
    SshdFile {
        path: path.to_owned(),
        mode: 0o644,
        owner: "0:0".to_owned(),
        hash: TextId::of(text.as_bytes()),
        text: text.to_owned(),
        exact: true,
    }
}

/// A host with 9.2 and these files, the main one first.
pub(super) fn host(files: &[(&str, &str)]) -> SshdSeen {
    let mut seen = SshdSeen {
        binary: "/usr/sbin/sshd".to_owned(),
        version: "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17".to_owned(),
        service_file: String::new(),
        service: SshdService::Service { unit: "ssh.service".to_owned(), socket: None },
        listener: None,
        main: files[0].0.to_owned(),
        extra: Vec::new(),
        files: files.iter().map(|f| file(*f)).collect(),
        includes: Vec::new(),
        selinux: false,
        instance: "default".to_owned(),
        baseline: SshdVerdict { ok: true, text: Vec::new() },
        connection: None,
        effective: Vec::new(),
        logins: Vec::new(),
        sessions: 0,
        others: Vec::new(),
        state: SshdState::default(),
        survives_reboot: true,
        now: DateTime::from_timestamp(1_760_000_000, 0).unwrap(),
    };
    include(&mut seen);
    seen
}

fn include(seen: &mut SshdSeen) {
    seen.includes.clear();
    for file in &seen.files {
        for (line, text) in (1u32..).zip(file.text.split('\n')) {
            let Some((keyword, value)) = keyword_and_value(text) else { continue };
            if !keyword.eq_ignore_ascii_case("Include") {
                continue;
            }
            for pattern in value.split_whitespace() {
                let mut matches: Vec<String> =
                    seen.files.iter().map(|f| f.path.clone()).filter(|path| glob(pattern, path)).collect();
                matches.sort();
                let (file, pattern) = (file.path.clone(), pattern.to_owned());
                seen.includes.push(SshdInclude { file, line, pattern, matches });
            }
        }
    }
}

/// The host after the changes.
pub(super) fn changed(seen: &SshdSeen, changes: &[SshdChange]) -> SshdSeen {
    let mut seen = seen.clone();
    for change in changes {
        seen.files.retain(|file| file.path != change.path);
        if let Some(text) = &change.text {
            seen.files.push(file((&change.path, text)));
        }
    }
    let main = seen.main.clone();
    seen.files.sort_by_key(|file| (file.path != main, file.path.clone()));
    include(&mut seen);
    seen
}

pub(super) fn text<'a>(seen: &'a SshdSeen, path: &str) -> Option<&'a str> {
    seen.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

fn settings(settings: &[&str]) -> Vec<SshdSetting> {
    settings
        .iter()
        .map(|setting| setting.split_once(' ').unwrap())
        .map(|(keyword, value)| SshdSetting { keyword: keyword.into(), value: value.into() })
        .collect()
}

/// A step: settings for everyone, and Match blocks.
pub(super) fn step(global: &[&str], blocks: &[(&str, &[&str])]) -> SshdStep {
    SshdStep {
        settings: settings(global),
        matches: blocks
            .iter()
            .map(|(criteria, lines)| SshdMatch { criteria: (*criteria).into(), settings: settings(lines) })
            .collect(),
        unset: Vec::new(),
        confirm_within_s: 120,
        keep_for_s: None,
    }
}

/// A step that takes away: keywords, each with criteria where it is of a block.
pub(super) fn unset(keywords: &[(&str, Option<&str>)]) -> SshdStep {
    let unset = keywords.iter().map(|(keyword, criteria)| SshdUnset {
        keyword: (*keyword).into(),
        criteria: criteria.map(str::to_owned),
    });
    SshdStep { unset: unset.collect(), ..step(&[], &[]) }
}

/// Effective values for a user.
pub(super) fn effective(user: &str, lines: &[&str]) -> SshdEffective {
    let pair =
        |line: &&str| line.split_once(' ').map(|(key, value)| (key.to_owned(), value.to_owned())).unwrap();
    SshdEffective {
        identity: SshdIdentity { user: user.to_owned(), address: None },
        values: lines.iter().map(pair).collect(),
        error: None,
    }
}

/// Somebody who logged in lately.
pub(super) fn login(user: &str, groups: &[&str], address: Option<&str>, method: Option<&str>) -> RecentLogin {
    RecentLogin {
        user: user.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        address: address.map(str::to_owned),
        method: method.map(str::to_owned),
        at: None,
        on: false,
        locked: false,
    }
}
