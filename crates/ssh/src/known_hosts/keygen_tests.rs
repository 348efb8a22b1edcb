//! Our answers beside ssh-keygen's, and files after an edit.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use proptest::prelude::*;

use super::*;
use crate::host_key::{FingerprintHash, read_keys};

fn keygen(dir: &Path, args: &[&str]) -> Option<Output> {
    let output = Command::new("ssh-keygen").args(args).current_dir(dir).output();
    if output.is_err() {
        println!("skipped: there is no ssh-keygen");
    }
    output.ok()
}

fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Keys of all kinds, made by ssh-keygen.
fn keys(dir: &Path) -> Option<Vec<HostKey>> {
    let kinds = [("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")];
    let make = |(kind, bits): (&str, &str)| {
        let name = format!("{kind}{bits}");
        keygen(dir, &["-q", "-t", kind, "-b", bits, "-f", &name, "-N", "", "-C", "a comment"])?;
        let file = dir.join(name + ".pub");
        Some(read_keys(&file, &std::fs::read(&file).unwrap()).remove(0).key)
    };
    kinds.into_iter().map(make).collect()
}

/// The lines that `ssh-keygen -F` finds.
fn found_by_keygen(dir: &Path, name: &str) -> BTreeSet<usize> {
    let output = keygen(dir, &["-F", name, "-f", "kh"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found = text.lines().filter(|line| line.starts_with("# Host "));
    found
        .map(|line| line.split("line ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect()
}

fn found_by_us(dir: &Path, name: &str) -> BTreeSet<usize> {
    KnownHosts::read(&[dir.join("kh")]).lines(name).iter().map(|line| line.place.line).collect()
}

const NAMES: [&str; 20] = [
    "web1",
    "WEB1",
    "web1.example.org",
    "Web1.Example.ORG",
    "db1.example.org",
    "db10.example.org",
    "192.0.2.1",
    "2001:db8::1",
    "[web1]:2222",
    "[WEB1]:2222",
    "[web1]:22",
    "[2001:db8::1]:2222",
    "web",
    "web11",
    "web1:2222",
    "x.y.example.org",
    "example.org",
    "[db1.example.org]:2200",
    "a",
    "*",
];

const FIELDS: [&str; 20] = [
    "web1",
    "WEB1,192.0.2.1",
    "*.example.org",
    "*.example.org,!db?.example.org",
    "!db1.example.org,*",
    "[web1]:2222",
    "[*]:2222",
    "[*.example.org]:22??",
    "web?",
    "web*,!web11",
    "2001:db8::1,[2001:db8::1]:2222",
    "web1,,a",
    "*",
    "?",
    "!web1",
    "a,b,c,web1.example.org",
    "Web1.Example.*",
    "[web1]:22",
    "192.0.2.*",
    "db10.example.org",
];

#[test]
fn the_same_lines_are_found_by_both() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(keys) = keys(dir) else { return };
    let mut text = String::from("# a comment\n\n");
    for (number, field) in FIELDS.iter().enumerate() {
        let marker = ["", "", "", "@cert-authority ", "@revoked "][number % 5];
        let key = keys[number % keys.len()].to_openssh();
        text += &format!("{marker}{field} {key}{}\n", ["", " a comment", "\t# more"][number % 3]);
        let salt = [u8::try_from(number).unwrap(); 20];
        for part in field.split(',').filter(|part| !part.is_empty()) {
            text += &format!("{} {key}\n", pattern::hash_name(&part.to_ascii_lowercase(), &salt).unwrap());
        }
        text += "not a line\n";
    }
    write(&dir.join("kh"), text.as_bytes());
    let mut hits = 0;
    for name in NAMES {
        let ours = found_by_us(dir, name);
        // ssh makes names small before it looks; ssh-keygen forgets that for hashed lines.
        assert_eq!(ours, found_by_keygen(dir, &name.to_ascii_lowercase()), "{name}");
        hits += ours.len();
    }
    assert!(hits > 100, "{hits}");
}

#[test]
fn keys_are_shown_as_by_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let Some(keys) = keys(dir.path()) else { return };
    let names = ["ed25519256.pub", "rsa2048.pub", "ecdsa256.pub", "ecdsa384.pub", "ecdsa521.pub"];
    for (key, file) in keys.iter().zip(names) {
        let says = |args: &[&str]| {
            String::from_utf8(keygen(dir.path(), &[args, &["-f", file]].concat()).unwrap().stdout).unwrap()
        };
        for (hash, name) in [(FingerprintHash::Sha256, "sha256"), (FingerprintHash::Md5, "md5")] {
            let line = format!("{} {} a comment ({})", key.bits(), key.fingerprint_by(hash), key.kind());
            let art = format!("{line}\n{}\n", key.randomart(hash));
            assert_eq!(says(&["-l", "-v", "-E", name]), art);
        }
        assert!(says(&["-B"]).contains(&key.bubble_babble()));
        for (is_generic, options) in [(false, &["-r", "web1."][..]), (true, &["-g", "-r", "web1."])] {
            let records: String =
                key.sshfp().iter().map(|record| record.record("web1.", is_generic) + "\n").collect();
            assert_eq!(says(options), records);
        }
    }
}

#[test]
fn what_we_hash_and_remove_is_hashed_and_removed_for_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(keys) = keys(dir) else { return };
    let path = dir.join("kh");
    let key = |n: usize| keys[n].to_openssh();
    let text = format!(
        "# mine\r\nweb1,WEB2 {} me\n*.org {}\n@revoked web1 {}\nbroken\n[web1]:2222 {}",
        key(0),
        key(1),
        key(2),
        key(3)
    );
    write(&path, text.as_bytes());
    let mut file = KnownHostsFile::open(&path).unwrap();
    let done = file.hash_names().unwrap();
    assert_eq!(done.names, 3);
    assert_eq!(done.kept.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(file.save().unwrap());
    drop(file);
    let hashed = std::fs::read_to_string(&path).unwrap();
    assert!(hashed.starts_with("# mine\r\n|1|") && hashed.contains(" me\n|1|"), "{hashed}");
    assert!(!hashed.contains("web2") && !hashed.contains("[web1]") && !hashed.ends_with('\n'), "{hashed}");
    for (name, lines) in [("web1", &[2, 5][..]), ("web2", &[3]), ("[web1]:2222", &[7]), ("a.org", &[4])] {
        assert_eq!(found_by_keygen(dir, name), lines.iter().copied().collect(), "{name}");
        assert_eq!(found_by_us(dir, name), lines.iter().copied().collect(), "{name}");
    }
    let mut file = KnownHostsFile::open(&path).unwrap();
    for line in file.naming("WEB2") {
        assert!(line.is_literal && file.remove(line.number));
    }
    assert!(!file.naming("a.org")[0].is_literal);
    assert!(file.save().unwrap());
    let kept: String =
        hashed.split_inclusive('\n').enumerate().filter(|(n, _)| *n != 2).map(|(_, l)| l).collect();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
    assert!(found_by_keygen(dir, "web2").is_empty());
}

#[test]
fn a_plain_line_is_removed_as_by_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let Some(keys) = keys(dir) else { return };
    let hashed = known_hosts_line("web1", &keys[1], true).unwrap();
    let text = format!(
        "# mine\nweb1,web2 {}\nweb2 {}\n{hashed}\n@revoked web1 {}\n",
        keys[0].to_openssh(),
        keys[0].to_openssh(),
        keys[2].to_openssh()
    );
    let path = dir.join("kh");
    write(&path, text.as_bytes());
    let mut file = KnownHostsFile::open(&path).unwrap();
    for line in file.naming("web1").iter().filter(|line| line.marker.is_none()) {
        file.remove(line.number);
    }
    let ours = file.bytes();
    drop(file);
    assert!(keygen(dir, &["-R", "web1", "-f", "kh"]).unwrap().status.success());
    assert_eq!(ours, std::fs::read(&path).unwrap());
}

#[test]
fn a_file_is_replaced_whole_with_its_mode_and_through_its_link() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    write(&real, b"# mine");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    let mut file = KnownHostsFile::open(&link).unwrap();
    file.add("web1 key");
    assert!(file.save().unwrap());
    drop(file);
    assert_eq!(std::fs::read(&real).unwrap(), b"# mine\nweb1 key\n");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    let mut file = KnownHostsFile::open(&real).unwrap();
    file.add("web2 key");
    write(&real, b"somebody else's\n");
    assert!(matches!(file.save(), Err(crate::SshError::FileChanged(_))));
    assert_eq!(std::fs::read(&real).unwrap(), b"somebody else's\n");
}

#[test]
fn many_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/kh");
    let key = HostKey::from_blob(b"\0\0\0\x0bssh-ed25519\0\0\0\0".to_vec()).unwrap();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let (path, key) = (&path, &key);
            scope.spawn(move || record(path, &format!("web{n}"), key, false).unwrap());
        }
    });
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 16);
}

proptest! {
    #[test]
    fn an_edit_keeps_all_other_bytes(
        lines in prop::collection::vec("[^\n]{0,20}(\n|\r\n)", 0..8), tail in prop::collection::vec(any::<u8>(), 0..9), at in 0_usize..9,
    ) {
        let tail: Vec<u8> = tail.into_iter().filter(|byte| *byte != b'\n').collect();
        let before = [lines.concat().as_bytes(), &tail].concat();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kh");
        write(&path, &before);
        let mut file = KnownHostsFile::open(&path).unwrap();
        prop_assert_eq!(file.bytes(), before.clone());
        prop_assert!(!file.save().unwrap());
        let mut parts: Vec<&[u8]> = before.split_inclusive(|byte| *byte == b'\n').collect();
        prop_assert_eq!(file.remove(at), at >= 1 && at <= parts.len());
        if at >= 1 && at <= parts.len() {
            parts.remove(at - 1);
        }
        prop_assert_eq!(file.bytes(), parts.concat());
        let _ = (file.hash_names().unwrap(), file.damaged(), file.naming("a"));
    }
}
