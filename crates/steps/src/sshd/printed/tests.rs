use pipedown_model::sshd_keyword;

use super::*;

/// Values whose printed form differs on purpose: 8.4 lets times overflow, 10.0 has dropped old service classes, `le` has two
/// names; and what sshd takes by accident.
const DIFFERENT: &[&str] = &[
    "99999999999",
    "2147483648",
    "3551w",
    "IPQoS lowdelay",
    "IPQoS reliability",
    "AcceptEnv A=B",
    "1T",
    "0o177",
    "Ciphers aes128-ctr,",
];

#[test]
fn what_sshd_prints_is_recognised() {
    let mut wrong = Vec::new();
    let mut unknown = 0;
    let table = include_str!("printed.txt");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let (written, shown) = line.split_once(" => ").unwrap();
        let (name, value) = written.split_once(' ').unwrap();
        let lines: Vec<String> =
            shown.split(';').map(|line| line.split_once(' ').map_or("", |l| l.1).to_owned()).collect();
        match printed(sshd_keyword(name).unwrap(), value, &lines) {
            Printed::Same => {}
            Printed::Unknown => unknown += 1,
            Printed::Other if DIFFERENT.iter().any(|known| written.contains(known)) => {}
            Printed::Other => wrong.push(line),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unknown < 10, "{unknown}");
}

#[test]
fn another_value_is_another_one() {
    for (name, value, lines) in [
        ("X11Forwarding", "no", "yes"),
        ("ClientAliveInterval", "1m", "61"),
        ("PermitRootLogin", "prohibit-password", "yes"),
        ("Port", "2222", "22"),
        ("AllowUsers", "a b", "a"),
        ("Ciphers", "aes128-ctr", "aes128-ctr,aes256-ctr"),
        ("Ciphers", "-aes*", "chacha20-poly1305@openssh.com,aes256-ctr"),
        ("Ciphers", "+3des-cbc", "aes128-ctr"),
        ("Ciphers", "^aes256-ctr", "aes128-ctr,aes256-ctr"),
        ("HostKeyAlgorithms", "ssh-*", "ssh-ed25519,rsa-sha2-256"),
        ("ListenAddress", "192.0.2.1:22", "192.0.2.1:2222"),
        ("ListenAddress", "192.0.2.1", "192.0.2.10:22"),
        ("ListenAddress", "::1", "[::11]:22"),
        ("ForceCommand", "/bin/false", "none"),
        ("AuthorizedKeysFile", "none", ".ssh/authorized_keys .ssh/authorized_keys2"),
        ("RekeyLimit", "1G 1h", "1073741824 0"),
        ("StreamLocalBindMask", "0177", "0777"),
        ("PermitOpen", "a:1 b:2", "a:1"),
        ("PerSourcePenalties", "authfail:10", "crash:90 authfail:5"),
        ("PerSourcePenalties", "yes", "no"),
        ("IPQoS", "ef", "ef cs1"),
    ] {
        let printed = printed(sshd_keyword(name).unwrap(), value, &[lines.to_owned()]);
        assert_eq!(printed, Printed::Other, "{name} {value} / {lines}");
    }
}

#[test]
fn what_is_not_printed_is_not_guessed() {
    let keyword = |name: &str| sshd_keyword(name).unwrap();
    assert_eq!(printed(keyword("DebianBanner"), "no", &[]), Printed::Unknown);
    assert_eq!(printed(keyword("ChannelTimeout"), "none", &[]), Printed::Same);
    assert_eq!(
        printed(keyword("ListenAddress"), "host.example.org", &["192.0.2.1:22".to_owned()]),
        Printed::Unknown
    );
}
