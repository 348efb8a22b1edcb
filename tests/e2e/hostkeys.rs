//! Host keys in files: shown, compared, found, hashed, removed, written down for others. No host is asked.

use crate::support::{Controller, assert_shown};

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILq20AEads2D1+3gvt1XDLAW9cZonEFSZDl6bXDmaxBs";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDHtLhy3rhsbir+nrLqbU6rULjoZk2Jk8p2RHMfXCyIw";

const INVENTORY: &str = r#"
[groups.web]
hosts = "web[1-3]"

[hosts.web2]
address = "192.0.2.2"
port = 2222
"#;

/// A controller whose user knows some hosts.
fn controller() -> Controller {
    let controller = Controller::new();
    controller.write("inventory.toml", INVENTORY);
    let known = format!(
        "# mine\nweb1,WEB9 {ED25519} a comment\n[web2]:2222,[192.0.2.2]:2222 {OTHER}\nbroken\n\
         *.example.com {OTHER}\n@cert-authority web* {ED25519}\n@revoked web9 {OTHER}\n"
    );
    controller.write("../home/.ssh/known_hosts", &known);
    controller.write("one.pub", &format!("{ED25519} root@web1\n"));
    controller.write("other.pub", &format!("{OTHER} root@web1\n"));
    controller
}

fn known(ctl: &Controller) -> String {
    std::fs::read_to_string(ctl.here().join("../home/.ssh/known_hosts")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_and_compared() {
    let ctl = controller();
    let hosts = ctl.run("hostkeys show web1").await.code(0);
    let equal = ctl.run("hostkeys show one.pub --md5 --expect one.pub").await.code(0);
    let print = "SHA256:rvfWuezNQiIeC7MtLurWLN8WhLPeaQpGwNcPqJ/oDBk";
    ctl.run(&format!("hostkeys show one.pub --expect {print}")).await.code(0);
    ctl.run(&format!("hostkeys show other.pub --expect {print}")).await.code(3);
    let different = ctl.run("hostkeys show one.pub -v --expect other.pub").await.code(3);
    ctl.run("hostkeys show inventory.toml").await.code(65).says("holds no key");
    ctl.run("hostkeys show one.pub --expect nonsense").await.code(65).says("cannot be read");
    let json = ctl.run("hostkeys show one.pub --json").await.code(0);
    assert_shown!(ctl, [hosts.out, equal.out, different.out, json.out].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_found_by_all_their_names() {
    let ctl = controller();
    let found = ctl.run("hostkeys find @web").await.code(0);
    ctl.run("hostkeys find nobody.example.org").await.code(3).says("nobody.example.org: not found");
    let port = ctl.run("hostkeys find [192.0.2.2]:2222").await.code(0);
    assert_shown!(ctl, [found.out, port.out].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn known_hosts_is_hashed_and_lines_are_removed() {
    let ctl = controller();
    let before = known(&ctl);
    let dry = ctl.run("hostkeys remove web9 --dry-run").await.code(0).says("--markers removes it");
    assert_eq!(known(&ctl), before);
    ctl.run("hostkeys remove nobody").await.code(3).says("nobody: not found");
    assert_eq!(known(&ctl), before);
    let hashed = ctl.run("hostkeys hash").await.code(0).says("it has patterns");
    assert!(known(&ctl).contains("|1|") && !known(&ctl).contains("WEB9"));
    assert!(!ctl.here().join("../home/.ssh/known_hosts.old").exists());
    let removed = ctl.run("hostkeys remove web9 --markers --backup").await.code(0);
    let left = known(&ctl);
    assert!(
        left.contains("broken\n") && left.contains("@cert-authority") && !left.contains("@revoked"),
        "{left}"
    );
    assert!(ctl.here().join("../home/.ssh/known_hosts.old").exists());
    assert_shown!(ctl, [dry.out, hashed.out, removed.out].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_written_down_for_others() {
    let ctl = controller();
    let mut text = String::new();
    for format in ["known-hosts", "cert-authority", "sshfp-zone", "json"] {
        let said = ctl.run(&format!("hostkeys export web[1-2] --format {format}")).await;
        text += &format!("# {format}: {}\n{}", said.code, said.out);
    }
    ctl.run("hostkeys export").await.code(3).says("web3: nothing is known");
    text += &ctl.run("hostkeys sshfp one.pub --name web1.example.org. --generic").await.code(0).out;
    ctl.run("hostkeys sshfp one.pub").await.code(64).says("which host has this key?");
    assert_shown!(ctl, text);
}
