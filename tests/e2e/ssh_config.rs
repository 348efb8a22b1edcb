//! What ssh_config says counts where the inventory is silent.

use crate::support::{Controller, Place, assert_shown};

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_reached_as_ssh_config_says() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("inventory.toml", "[groups.fleet]\nhosts = [\"login01\", \"login02\"]\n");
    let mut text = String::from("Frobnicate yes\n");
    for host in place.fleet.hosts() {
        let addr = host.addrs()[0];
        text.push_str(&format!("Host {}\nHostName {}\nPort {}\n", host.name(), addr.ip(), addr.port()));
    }
    text.push_str(&format!(
        "Match originalhost login01 exec \"test %r = root\"\nIdentityFile {0:?}\nMatch all\nIdentityFile /absent/%n\nIdentityFile {0:?}\n\
         UserKnownHostsFile {1:?}\n",
        place.fleet.identity(),
        place.fleet.known_hosts(),
    ));
    ctl.write("ssh_config", &text);
    let plan = ctl.run("plan nologin-on --all -F ssh_config --json").await.code(0);
    let port = place.host(2).addrs()[0].port();
    assert!(plan.out.contains(&format!("\"port\": {port}")), "{}", plan.out);
    let said = ctl.run("status --all -F ssh_config").await.code(0).says("unknown keyword \"frobnicate\"");
    assert_eq!(said.err.matches("frobnicate").count(), 1, "{}", said.err);
    // Nothing else says where they are.
    ctl.run("status -l login01 -F none").await.code(4);
    // What the inventory names wins, for one host as for the other.
    ctl.write(
        "inventory.toml",
        "[groups.fleet]\nhosts = [\"login01\", \"login02\"]\n[hosts.login02]\nport = 1\n",
    );
    let said = ctl.run("status --all -F ssh_config").await.code(4);
    assert!(
        said.out.contains("login01  none") && said.out.contains("127.0.0.1:1: "),
        "{}\n{}",
        said.out,
        said.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_says_where_it_comes_from() {
    let ctl = Controller::new();
    ctl.write(
        "inventory.toml",
        "[defaults]\nuser = \"ops\"\n\n[groups.web]\nhosts = \"web[1-2]\"\nknown_hosts = \"/srv/known\"\n\n[hosts.web2]\nport = 2200\n",
    );
    ctl.write(
        "ssh_config",
        "Host web*\n  HostName %h.example.net\n  User deploy\n  IdentityFile /keys/%r\n  ProxyJump bastion,inner:2222\n  \
         ForwardAgent yes\nMatch exec \"true\" host *.net\n  Ciphers ^aes128-ctr\n  ServerAliveInterval 1m\n\
         Host bastion\n  User jump\n  Port 2022\nMatch host inner\n  User deep\n",
    );
    let table = ctl.run("hosts web2 --effective -F ssh_config").await.code(0);
    let json = ctl.run("hosts bastion --effective -q --json -F ssh_config").await.code(0);
    let first: Vec<&str> = json.out.lines().take(4).collect();
    let listed = ctl.run("hosts -F ssh_config").await.code(0);
    assert_shown!(ctl, format!("{}\n{}\n\n{}", table.out, first.join("\n"), listed.out));
    ctl.run("hosts --effective").await.code(64);
    ctl.run("hosts '@wb' --effective -F ssh_config").await.code(64).says("did you mean `web`?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_used_stops_before_any_host() {
    let ctl = Controller::new();
    ctl.write("inventory.toml", "[groups.web]\nhosts = \"web[1-2]\"\n");
    let mut said = String::new();
    for text in
        ["Host web1\n  Port 22x\n", "Host *\n  ProxyJump gate\n", "IdentityFile ~/${NOT_SET_HERE}/key\n"]
    {
        ctl.write("ssh_config", text);
        let ended = ctl.run("plan nologin-on --all -F ssh_config").await.code(65);
        said.push_str(&format!("{}\n", ended.err));
    }
    let absent = ctl.run("status --all -F absent").await.code(65);
    assert_shown!(ctl, format!("{said}{}", absent.err));
}
