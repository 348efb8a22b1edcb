//! Hosts for the tests of this folder.

use chrono::DateTime;
use pipedown_model::TextId;
use pipedown_steps::sshd::{
    SshdEffective, SshdFile, SshdIdentity, SshdInclude, SshdListener, SshdSeen, SshdService, SshdState,
    SshdVerdict,
};

/// A host with these files: the main file first, and what it includes in its first line.
pub fn seen(files: &[(&str, &str)]) -> SshdSeen {
    let file = |(path, text): &(&str, &str)| SshdFile {
        path: (*path).to_owned(),
        mode: 0o644,
        owner: "0:0".to_owned(),
        hash: TextId::of(text.as_bytes()),
        text: (*text).to_owned(),
        exact: true,
    };
    let main = files[0].0.to_owned();
    let matches: Vec<String> = files[1..].iter().map(|(path, _)| (*path).to_owned()).collect();
    let pattern = "/etc/ssh/sshd_config.d/*.conf".to_owned();
    SshdSeen {
        binary: "/usr/sbin/sshd".to_owned(),
        version: "OpenSSH_9.2p1".to_owned(),
        service: SshdService::Service { unit: "ssh.service".to_owned(), socket: None },
        listener: Some(SshdListener { pid: 812, started: 1, image: "a".to_owned(), inodes: vec![1] }),
        main: main.clone(),
        extra: Vec::new(),
        files: files.iter().map(file).collect(),
        includes: vec![SshdInclude { file: main, line: 1, pattern, matches }],
        selinux: false,
        instance: "etc-ssh-sshd_config".to_owned(),
        baseline: SshdVerdict { ok: true, text: Vec::new() },
        connection: None,
        effective: Vec::new(),
        logins: Vec::new(),
        sessions: 0,
        others: Vec::new(),
        state: SshdState::default(),
        survives_reboot: true,
        now: DateTime::from_timestamp(1_760_000_000, 0).unwrap(),
        service_file: String::new(),
    }
}

/// What sshd prints for a user.
pub fn effective(user: &str, lines: &[&str]) -> SshdEffective {
    let pair = |line: &&str| line.split_once(' ').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
    SshdEffective {
        identity: SshdIdentity { user: user.to_owned(), address: None },
        values: lines.iter().map(pair).collect(),
        error: None,
    }
}
