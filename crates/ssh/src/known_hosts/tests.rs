//! known_hosts files as OpenSSH would read them.

use std::path::Path;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha1::Sha1;

use super::line::parse_line;
use super::*;
use crate::host_key::HostKeyProblem;

/// Made with OpenSSH 9.2p1's ssh-keygen: five keys, each hashed for five spellings of a host.
const HASHED: &str = include_str!("testdata/known_hosts.hashed");

fn key(algorithm: &str, seed: u8) -> HostKey {
    let mut blob = u32::try_from(algorithm.len()).unwrap().to_be_bytes().to_vec();
    blob.extend(algorithm.bytes());
    blob.extend([0, 0, 0, 1, seed]);
    HostKey::from_blob(blob).unwrap()
}

fn ed25519(seed: u8) -> HostKey {
    key("ssh-ed25519", seed)
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("kh"), text);
    known
}

fn line(hosts: &str, key: &HostKey) -> String {
    format!("{hosts} {}\n", key.to_openssh())
}

fn verdict(text: &str, name: &str, port: u16, offered: &HostKey) -> String {
    match known(text).find(&[name], port).check(offered) {
        Verdict::Trusted { place } => format!("trusted by {place}"),
        Verdict::Refused(refusal) => match refusal.problem {
            HostKeyProblem::Unknown { authorities } if authorities.is_empty() => "unknown".to_owned(),
            HostKeyProblem::Unknown { authorities } => format!("unknown, authority {}", authorities[0]),
            HostKeyProblem::Changed { known } => {
                let places: Vec<_> = known.iter().map(|(place, _)| place.to_string()).collect();
                format!("changed, known {}", places.join(" "))
            }
            HostKeyProblem::Revoked { place } => format!("revoked by {place}"),
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn plain_names_are_found_whatever_their_case() {
    let text = line("Web1.Example.ORG,192.0.2.1", &ed25519(1));
    assert_eq!(verdict(&text, "web1.example.org", 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&text, "WEB1.example.org", 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&text, "192.0.2.1", 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&text, "web2.example.org", 22, &ed25519(1)), "unknown");
}

#[test]
fn another_key_and_another_type_are_both_changes() {
    let text = line("web1", &key("ssh-rsa", 1));
    assert_eq!(verdict(&text, "web1", 22, &key("ssh-rsa", 2)), "changed, known kh:1");
    assert_eq!(verdict(&text, "web1", 22, &ed25519(1)), "changed, known kh:1");
}

#[test]
fn several_keys_of_one_type_are_all_good() {
    let text = line("web1", &ed25519(1)) + &line("web1", &ed25519(2));
    assert_eq!(verdict(&text, "web1", 22, &ed25519(2)), "trusted by kh:2");
    assert_eq!(verdict(&text, "web1", 22, &ed25519(3)), "changed, known kh:1 kh:2");
}

#[test]
fn wildcards_and_negations() {
    let text = line("*.example.org,!db?.example.org", &ed25519(1));
    assert_eq!(verdict(&text, "web1.example.org", 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&text, "db1.example.org", 22, &ed25519(1)), "unknown");
    assert_eq!(verdict(&text, "db10.example.org", 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&line("!web1,*", &ed25519(1)), "web1", 22, &ed25519(1)), "unknown");
}

#[test]
fn ports_come_before_bare_names() {
    let both = line("[web1]:2222", &ed25519(1)) + &line("web1", &ed25519(2));
    assert_eq!(verdict(&both, "web1", 2222, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&both, "web1", 2222, &ed25519(2)), "changed, known kh:1");
    assert_eq!(verdict(&both, "web1", 22, &ed25519(1)), "changed, known kh:2");
    let bare = line("web1", &ed25519(2));
    assert_eq!(verdict(&bare, "web1", 2222, &ed25519(2)), "trusted by kh:1");
    assert_eq!(verdict(&bare, "web1", 2222, &ed25519(3)), "unknown");
    assert_eq!(verdict(&line("[*.org]:2222", &ed25519(1)), "a.org", 2222, &ed25519(1)), "trusted by kh:1");
}

#[test]
fn revoked_keys_are_refused_whatever_else_is_said() {
    let good = line("web1", &ed25519(1));
    let text = good.clone() + "@revoked " + &line("*", &ed25519(1));
    assert_eq!(verdict(&text, "web1", 22, &ed25519(1)), "revoked by kh:2");
    assert_eq!(verdict(&text, "web1", 2222, &ed25519(1)), "revoked by kh:2");
    let elsewhere = good + "@revoked " + &line("web2", &ed25519(1));
    assert_eq!(verdict(&elsewhere, "web1", 22, &ed25519(1)), "trusted by kh:1");
}

#[test]
fn authorities_are_reported_not_trusted() {
    let text = "@cert-authority ".to_owned() + &line("*.example.org", &ed25519(1));
    assert_eq!(verdict(&text, "a.example.org", 22, &ed25519(1)), "unknown, authority kh:1");
    assert!(known(&text).find(&["a.example.org"], 22).types().is_empty());
}

#[test]
fn the_address_counts_only_when_the_name_says_nothing() {
    let text = line("192.0.2.1", &ed25519(1)) + &line("web1", &ed25519(2));
    let check = |names: &[&str], seed| known(&text).find(names, 22).check(&ed25519(seed));
    assert!(matches!(check(&["web9", "192.0.2.1"], 1), Verdict::Trusted { .. }));
    assert!(matches!(check(&["web1", "192.0.2.1"], 1), Verdict::Refused(_)));
}

#[test]
fn known_types_follow_the_files() {
    let text = line("web1", &key("ssh-rsa", 1)) + &line("web1", &ed25519(1)) + &line("web1", &ed25519(2));
    assert_eq!(known(&text).find(&["web1"], 22).types(), ["ssh-rsa", "ssh-ed25519"]);
    assert_eq!(known(&text).find(&["web1"], 2222).types(), ["ssh-rsa", "ssh-ed25519"]);
}

#[test]
fn hashes_made_by_openssh_are_found() {
    let known = known(HASHED);
    assert_eq!(known.warnings(), []);
    let parsed: Vec<_> = HASHED.lines().map(|raw| parse_line(raw).unwrap().unwrap()).collect();
    for (name, port) in [
        ("web1.example.com", 22),
        ("WEB1.example.com", 22),
        ("web1.example.com", 2222),
        ("192.0.2.10", 22),
        ("2001:db8::1", 22),
        ("2001:db8::1", 2222),
    ] {
        let hits = known.matching(&lookup_name(name, port)).len();
        assert_eq!(hits, 5, "{name} {port}");
        for line in parsed.iter().take(1) {
            assert!(matches!(known.find(&[name], port).check(&line.key), Verdict::Trusted { .. }));
        }
    }
    assert!(known.matching("web2.example.com").is_empty());
}

#[test]
fn bad_lines_are_named_and_the_rest_counts() {
    let text = [
        "# a comment".to_owned(),
        String::new(),
        "web1".to_owned(),
        "web1 ssh-ed25519".to_owned(),
        "web1 ssh-ed25519 ***".to_owned(),
        "web1 ssh-rsa ".to_owned() + &BASE64.encode(ed25519(1).blob()),
        "@trusted web1 ssh-ed25519 AAAA".to_owned(),
        "|1|AAAA|BBBB ".to_owned() + &ed25519(1).to_openssh(),
        "web1,,web2 ".to_owned() + &ed25519(2).to_openssh(),
        "  web1\t".to_owned() + &ed25519(1).to_openssh() + " root@web1 # comment\r",
    ]
    .join("\n");
    let warnings: Vec<_> = known(&text).warnings().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    kh:3: ignored: the key's type is missing
    kh:4: ignored: the key is missing
    kh:5: ignored: the key is not base64
    kh:6: ignored: the key is not of the type that the line names
    kh:7: ignored: the marker is neither @cert-authority nor @revoked
    kh:8: ignored: the salt or the hash is not 20 bytes in base64
    ");
    assert_eq!(verdict(&text, "web1", 22, &ed25519(1)), "trusted by kh:10");
}

#[test]
fn missing_files_are_no_news_and_unreadable_ones_are() {
    let dir = tempfile::tempdir().unwrap();
    let known = KnownHosts::read(&[dir.path().join("none"), dir.path().to_owned()]);
    assert_eq!(known.warnings().len(), 1);
    assert_eq!(known.warnings()[0].line, None);
}

#[test]
fn many_stars_do_not_stall() {
    let text = line(&"*a".repeat(200), &ed25519(1));
    assert_eq!(verdict(&text, &"a".repeat(5000), 22, &ed25519(1)), "trusted by kh:1");
    assert_eq!(verdict(&text, &("a".repeat(5000) + "b"), 22, &ed25519(1)), "unknown");
}

/// A matcher that is obviously right, and obviously slow.
fn slow_glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if slow_glob(rest, name) => true,
        (Some((b'*', _)), Some((_, tail))) => slow_glob(pattern, tail),
        (Some((b'?', rest)), Some((_, tail))) => slow_glob(rest, tail),
        (Some((a, rest)), Some((b, tail))) if a == b => slow_glob(rest, tail),
        _ => false,
    }
}

fn hashed(name: &str, salt: [u8; 20]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", BASE64.encode(&salt), BASE64.encode(&mac.finalize().into_bytes()))
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(?s).{0,200}", name in "\\PC{0,20}", port: u16) {
        known(&text).find(&[&name], port).check(&ed25519(1));
    }

    #[test]
    fn almost_lines_are_survived(text in "(@[a-z-]{0,9} )?[a-z0-9*?!,|\\[\\]:=+/]{0,40} ssh-[a-z0-9]{1,9} [A-Za-z0-9+/=]{0,60}") {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), &text);
        prop_assert_eq!(known.entries.len() + known.warnings.len(), 1);
    }

    #[test]
    fn globs_agree_with_the_slow_matcher(pattern in "[ab*?]{0,8}", name in "[ab]{1,8}") {
        prop_assume!(!pattern.is_empty());
        let text = line(&pattern, &ed25519(1));
        let trusted = verdict(&text, &name, 22, &ed25519(1)) == "trusted by kh:1";
        prop_assert_eq!(trusted, slow_glob(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn what_is_written_is_found_plain_and_hashed(
        name in "[A-Za-z0-9.-]{1,30}", port in 1u16.., salt: [u8; 20], blob in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = b"\0\0\0\x0bssh-ed25519".to_vec();
        bytes.extend(blob);
        let offered = HostKey::from_blob(bytes).unwrap();
        let lookup = lookup_name(&name, port);
        for hosts in [lookup.clone(), hashed(&lookup, salt)] {
            let text = line(&hosts, &offered);
            prop_assert_eq!(verdict(&text, &name, port, &offered), "trusted by kh:1");
            prop_assert_eq!(verdict(&text, &name, port, &ed25519(9)), "changed, known kh:1");
        }
    }
}
