//! sshguard watches, as strict as it comes: our own verification is no attack, an attack is one.

use crate::harness::{Lab, secs};
use crate::sshd_hosts::{effective, inventory};

const HOST: &str = "guarded41";
/// With root, ten.
const PEOPLE: [&str; 9] = ["deploy", "user1", "user2", "user3", "user4", "user5", "user6", "user7", "user8"];

pub fn ten_logins(lab: &Lab) {
    for user in &PEOPLE[1..] {
        lab.sh(
            HOST,
            &format!(
                "useradd --create-home --shell /bin/sh {user} && install -d -m 700 -o {user} -g {user} ~{user}/.ssh && \
                 install -m 600 -o {user} -g {user} /root/.ssh/authorized_keys ~{user}/.ssh/authorized_keys"
            ),
        );
    }
    let logins = PEOPLE.map(|user| format!("{user:?}")).join(", ");
    let controller = lab.controller_with(&inventory(lab, &[HOST], &logins));
    let run = ["run", "keepalive-rollout", "-l", HOST, "--interval", "1", "--count", "2", "--yes"];
    let ran = controller.run(&run).expect(0);
    println!("{}{}", ran.out, ran.err);
    for user in ["root"].iter().chain(&PEOPLE) {
        assert!(ran.err.contains(&format!("login as {user}")), "{user}: {}", ran.err);
    }
    assert_eq!(effective(lab, HOST, "user8", "clientaliveinterval"), "1");
    let guard = || lab.sh(HOST, "nft list set ip sshguard attackers; journalctl -q --no-pager -t sshguard");
    let said = guard();
    println!("{said}");
    assert!(!said.contains("elements = "), "somebody is banned");
    assert!(!said.contains("danger 10"), "a login was taken for an attack");

    // The guard is awake: the same controller, with logins that are none.
    let banned = || lab.sh(HOST, "nft list set ip sshguard attackers").contains("10.77.0.1");
    for _ in 0..20 {
        if banned() {
            break;
        }
        // One that is banned in its middle would hang.
        let lab = lab.command(&["ssh", &format!("intruder@{HOST}"), "true"]);
        let mut ssh = std::process::Command::new("timeout");
        ssh.arg("10").arg(lab.get_program()).args(lab.get_args());
        ssh.envs(lab.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let _ = ssh.stderr(std::process::Stdio::null()).status().unwrap();
    }
    lab.wait_until(HOST, "nft list set ip sshguard attackers | grep -q 10.77.0.1", secs(30));
    let banned = controller.run(&[&run[..], &["--connect-timeout", "3s"]].concat());
    println!("{}{}", banned.out, banned.err);
    assert_ne!(banned.code, Some(0));
}
