//! Revoked keys as ssh-keygen writes them.

use std::process::Command;

use super::*;
use crate::host_key::krl::Krl;

/// Runs ssh-keygen in a folder; `false` if there is none.
fn keygen(dir: &Path, args: &[&str]) -> bool {
    match Command::new("ssh-keygen").args(args).current_dir(dir).output() {
        Ok(output) => {
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            println!("skipped: there is no ssh-keygen");
            false
        }
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A folder with two keys, two authorities, and a certificate of each key by the first authority.
fn folder() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two", "ca", "other_ca"] {
        if !keygen(dir.path(), &["-q", "-t", "ed25519", "-f", name, "-N", "", "-C", name]) {
            return None;
        }
    }
    for (name, serial) in [("one", "7"), ("two", "70")] {
        keygen(
            dir.path(),
            &["-q", "-s", "ca", "-I", &format!("id {name}"), "-h", "-z", serial, &format!("{name}.pub")],
        );
    }
    Some(dir)
}

fn key(dir: &Path, file: &str) -> HostKey {
    let file = dir.join(file);
    read_keys(&file, &std::fs::read(&file).unwrap()).remove(0).key
}

/// Which of the plain keys and certificates a file revokes.
fn revoked(dir: &Path, file: &str) -> Vec<&'static str> {
    let revoked = RevokedKeys::read(&[dir.join(file)]);
    let all = ["one.pub", "one-cert.pub", "two.pub", "two-cert.pub", "ca.pub"];
    all.into_iter().filter(|name| revoked.objection(&key(dir, name)).is_some()).collect()
}

/// What ssh-keygen says of the same.
fn by_keygen(dir: &Path, file: &str) -> Vec<&'static str> {
    let all = ["one.pub", "one-cert.pub", "two.pub", "two-cert.pub", "ca.pub"];
    let revokes = |name: &&str| {
        let output = Command::new("ssh-keygen").args(["-Q", "-f", file, name]).current_dir(dir).output();
        !output.unwrap().status.success()
    };
    all.into_iter().filter(revokes).collect()
}

#[test]
fn binary_lists_revoke_what_ssh_keygen_says_they_revoke() {
    let Some(dir) = folder() else { return };
    let dir = dir.path();
    let print = |name: &str| key(dir, name).fingerprint();
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("key", format!("key: {}", key(dir, "one.pub").to_openssh()), &["one.pub", "one-cert.pub"]),
        ("sha1", format!("sha1: {}", key(dir, "one.pub").to_openssh()), &["one.pub", "one-cert.pub"]),
        ("hash", format!("hash: {}", print("two.pub")), &["two.pub", "two-cert.pub"]),
        ("serial", "serial: 7".to_owned(), &["one-cert.pub"]),
        ("range", "serial: 60-80".to_owned(), &["two-cert.pub"]),
        ("bitmap", "serial: 1\nserial: 3\nserial: 5\nserial: 7\nserial: 9".to_owned(), &["one-cert.pub"]),
        ("id", "id: id two".to_owned(), &["two-cert.pub"]),
        (
            "ca",
            format!("key: {}", key(dir, "ca.pub").to_openssh()),
            &["one-cert.pub", "two-cert.pub", "ca.pub"],
        ),
        ("nothing", "serial: 8".to_owned(), &[]),
    ];
    for (name, spec, expected) in cases {
        write(&dir.join("spec"), &(spec + "\n"));
        keygen(dir, &["-q", "-k", "-f", name, "-s", "ca.pub", "spec"]);
        assert_eq!(revoked(dir, name), expected, "{name}");
        assert_eq!(by_keygen(dir, name), expected, "{name}");
    }
    write(&dir.join("spec"), "serial: 7\n");
    keygen(dir, &["-q", "-k", "-f", "elsewhere", "-s", "other_ca.pub", "spec"]);
    assert!(revoked(dir, "elsewhere").is_empty());
}

#[test]
fn plain_lists_revoke_keys_and_authorities() {
    let Some(dir) = folder() else { return };
    let dir = dir.path();
    write(&dir.join("list"), &format!("# gone\n{} old\n", key(dir, "one.pub").to_openssh()));
    assert_eq!(revoked(dir, "list"), ["one.pub", "one-cert.pub"]);
    write(&dir.join("list"), &format!("{}\n", key(dir, "ca.pub").to_openssh()));
    assert_eq!(revoked(dir, "list"), ["one-cert.pub", "two-cert.pub", "ca.pub"]);
    write(&dir.join("list"), "");
    assert!(revoked(dir, "list").is_empty());
}

#[test]
fn a_missing_or_broken_file_revokes_everything() {
    let Some(dir) = folder() else { return };
    let dir = dir.path();
    assert_eq!(revoked(dir, "missing").len(), 5);
    keygen(dir, &["-q", "-k", "-f", "krl", "one.pub"]);
    let whole = std::fs::read(dir.join("krl")).unwrap();
    for cut in (8..whole.len()).filter(|cut| *cut != 44) {
        assert!(Krl::parse(&whole[..cut]).is_err(), "cut at {cut}");
    }
    write(&dir.join("krl"), "SSHKRL\n\0nonsense");
    assert_eq!(revoked(dir, "krl").len(), 5);
    let reason = RevokedKeys::read(&[dir.join("missing")]).objection(&key(dir, "one.pub"));
    assert!(matches!(reason, Some(HostKeyProblem::RevocationUnknown { .. })), "{reason:?}");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Krl::parse(&[b"SSHKRL\n\0\0\0\0\x01", bytes.as_slice()].concat());
    }
}
