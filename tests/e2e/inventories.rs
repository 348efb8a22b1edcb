//! Inventories of other tools: taken as they are, printed as each other, and pointed at where they are wrong.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::{Controller, Place, assert_shown};

const TOML: &str = r#"
[defaults]
user = "ops"
become = "sudo"
vars = { ntp = ["a", "b"] }

[groups.web]
hosts = "web[1-2].example.org"
port = 2222
vars = { role = "front" }

[groups.site]
hosts = ["@web", "db1"]

[hosts.db1]
address = "192.0.2.7"
zone = "Europe/Paris"
vars = { primary = true, weight = 3 }

[hosts.lone]
"#;

const INI: &str = "\
lone ansible_become=no
[web]
web[1:2].example.org weight=0644
[db]
db1:2222 ansible_host=192.0.2.7 tags=\"['a', 1]\"
[site:children]
web
db
[all:vars]
ansible_user=ops
where=room 2.14
";

const YAML: &str = "\
all:
  vars: &shared {ansible_user: ops, where: room 2.14}
  hosts: {lone: }
  children:
    web: {hosts: {'web[1:2].example.org': {weight: 0o644}}}
    db: {hosts: {db1: {<<: *shared, ansible_host: 192.0.2.7}}}
";

const JSON: &str = r#"{
  "_meta": {"hostvars": {"db1": {"ansible_host": "192.0.2.7", "spare": null}, "web1": {"weight": 3}}},
  "web": {"hosts": ["web1", "web2"], "vars": {"ansible_user": "ops"}},
  "site": {"children": ["web"], "hosts": ["db1"]}
}
"#;

const CLUSTERSHELL: &str = "all: @site,lone\nweb: web[1-2]\nsite: @web,db1\n";

const SSH_CONFIG: &str = "Host web1 web2\n  User ops\nHost db1 *.example.org\n  Port 2222\n";

/// The formats, with a document of each.
const FORMATS: [(&str, &str); 6] = [
    ("toml", TOML),
    ("ansible-ini", INI),
    ("ansible-yaml", YAML),
    ("json", JSON),
    ("clustershell", CLUSTERSHELL),
    ("ssh-config", SSH_CONFIG),
];

/// What `-i` calls a format that `--to` calls so.
fn prefix(format: &str) -> &str {
    if format == "json" { "ansible-json" } else { format }
}

/// Writes a program. Not by this process: what it has open for writing, the commands that other tests start at the same time
/// have open too, for a moment, and what is open for writing cannot be run.
async fn program(ctl: &Controller, name: &str, text: &str) {
    let text = ctl.write(&format!("{name}.text"), text);
    let path = ctl.here().join(name);
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(&path);
    let wrote = command.stdin(Stdio::from(std::fs::File::open(text).unwrap())).status().await.unwrap();
    assert!(wrote.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_is_printed_in_every_format() {
    let ctl = Controller::new();
    ctl.write("inventory.toml", TOML);
    let mut shown = String::new();
    for (format, _) in FORMATS {
        let line = format!("hosts --from inventory.toml --to {format}");
        let said = ctl.run(&line).await.code(0);
        shown.push_str(&format!("$ pipedown {line}\n{}{}\n", said.err, said.out));
    }
    assert_shown!(ctl, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_printed_as_every_other_and_what_is_lost_is_told() {
    let ctl = Controller::new();
    let mut lost = String::new();
    for (from, text) in FORMATS {
        ctl.write("given", text);
        let hosts = ctl.run(&format!("hosts --fold -i {}:given", prefix(from))).await.code(0).out;
        for (to, _) in FORMATS {
            let said = ctl.run(&format!("hosts --from given,{from} --to {to}")).await.code(0);
            ctl.write("printed", &said.out);
            let again = ctl.run(&format!("hosts --fold -i {}:printed", prefix(to))).await.code(0);
            assert_eq!(again.out, hosts, "{from} to {to}:\n{}", said.out);
            let notes = said.err.lines().filter(|line| !line.starts_with("inventory: "));
            lost.extend(notes.map(|note| format!("{from} to {to}: {note}\n")));
        }
    }
    assert_shown!(ctl, lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_from_another_format_is_the_same() {
    let ctl = Controller::new();
    // Hosts in the order that those formats give them, groups as they sort them, and nothing that they cannot hold.
    let text = TOML.replace("zone = \"Europe/Paris\"\n", "");
    let text = text.replace("[groups.site]\nhosts = [\"@web\", \"db1\"]\n", "");
    ctl.write("inventory.toml", &text);
    let ours = ctl.run("hosts --from inventory.toml").await.code(0).out;
    for format in ["ansible-ini", "ansible-yaml", "json"] {
        let printed = ctl.run(&format!("hosts --from inventory.toml --to {format}")).await.code(0);
        ctl.write("printed", &printed.out);
        let back = ctl.run(&format!("hosts --from printed,{}", prefix(format))).await.code(0);
        ctl.write("back.toml", &back.out);
        // Each host is reached in the same way, and has the same variables.
        let of = async |file: &str| ctl.run(&format!("hosts --from {file} --to json")).await.code(0).out;
        let vars = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["_meta"].clone();
        assert_eq!(vars(of("back.toml").await), vars(of("inventory.toml").await), "{format}:\n{}", back.out);
        let again = ctl.run("hosts --from back.toml").await.code(0).out;
        assert_eq!(again, back.out, "{format}: what is our own stays as it is");
    }
    assert_eq!(ours.trim(), ctl.run("hosts --from inventory.toml,toml --to toml").await.code(0).out.trim());
}

#[tokio::test(flavor = "multi_thread")]
async fn inventories_of_other_tools_choose_hosts() {
    let ctl = Controller::new();
    ctl.write("ansible.ini", INI);
    ctl.write("hosts.yml", YAML);
    ctl.write("groups.d/local.cfg", CLUSTERSHELL);
    ctl.write("group_vars/web.yml", "role: front\nansible_port: 2200\n");
    ctl.write("host_vars/db1/main.yml", "role: db\n");
    let mut shown = String::new();
    for line in [
        "hosts -i ansible.ini",
        "hosts -i ansible.ini '@site!@var:role=db' --fold",
        "hosts -i hosts.yml --group-by group",
        "hosts -i hosts.yml '@var:where=room*' --count",
        "hosts -i groups.d/local.cfg '@site!db1' --expand",
    ] {
        let said = ctl.run(line).await.code(0);
        shown.push_str(&format!("$ pipedown {line}\n{}{}\n", said.err, said.out));
    }
    let effective = ctl.run("hosts -i ansible-ini:ansible.ini db1 --effective").await.code(0).out;
    effective.lines().take(4).for_each(|line| shown.push_str(&format!("{line}\n")));
    assert_shown!(ctl, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gives_the_inventory() {
    let ctl = Controller::new();
    // What a program prints, but for `--list`, is its own business.
    program(&ctl, "cloud", "#!/bin/sh\ntest \"$*\" = --list && echo asked >&2 && exec cat \"$0.json\"\n")
        .await;
    ctl.write("cloud.json", JSON);
    ctl.write("group_vars/web.yml", "role: front\n");
    let said = ctl.run("hosts -i cloud @site --fold").await.code(0);
    assert_eq!(said.out, "db1,web[1-2]\n");
    assert!(said.err.contains("asked"), "{}", said.err);
    assert_eq!(ctl.run("hosts -i cloud @var:role=front --count").await.code(0).out, "2\n");
    assert_eq!(ctl.run("hosts -i ansible-json:cloud --count").await.code(0).out, "3\n");
    // It is asked once, whatever needs the inventory.
    let here = r#"{"site": {"hosts": ["here"], "vars": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}"#;
    ctl.write("cloud.json", here);
    let said = ctl.run("exec -i cloud -l here --max-down @site=1 -- true").await.code(4);
    assert_eq!(said.err.matches("asked\n").count(), 1, "{}", said.err);
    let mut shown = String::new();
    ctl.write("cloud.json", "{\"web\": {\"hosts\": [\"a\"]},\n \"db\": {\"hosts\": [\"b\",]}}\n");
    shown.push_str(&ctl.run("hosts -i cloud").await.code(65).err);
    ctl.write("cloud.json", "{\"web\": {\"hosts\": [\"a\"]},\n \"db\": {\"host\": [\"b\"]}}\n");
    shown.push_str(&ctl.run("hosts -i cloud").await.code(65).err);
    program(&ctl, "broken", "#!/bin/sh\necho 'no token' >&2\nexit 3\n").await;
    shown.push_str(&ctl.run("hosts -i broken").await.code(65).err);
    assert_shown!(ctl, shown.replace("asked\n", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_others_can_change_is_not_run() {
    let ctl = Controller::new();
    program(&ctl, "cloud", "#!/bin/sh\n>\"$0.ran\"\necho '{}'\n").await;
    let open = |name: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(ctl.here().join(name), permissions).unwrap();
    };
    for (name, mode) in [("cloud", 0o757), (".", 0o777)] {
        open(name, mode);
        let said = ctl.run("hosts -i cloud --count").await.code(65);
        assert!(said.err.contains("is not run: others can change it"), "{}", said.err);
        assert!(said.err.contains("must belong to you or root"), "{}", said.err);
        assert!(!ctl.here().join("cloud.ran").exists());
        open(name, 0o755);
    }
    // Nothing else kept it from running.
    assert_eq!(ctl.run("hosts -i cloud --count").await.code(0).out, "0\n");
    assert!(ctl.here().join("cloud.ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_them_is_named_with_its_line_and_key() {
    let ctl = Controller::new();
    ctl.write("kind.ini", "[web:hosst]\na\n");
    ctl.write("port.ini", "[web]\na ansible_port=ssh\n");
    ctl.write("child.ini", "[web]\na\n[site:children]\nwbe\n");
    ctl.write("key.yml", "all:\n  hosts: {a: }\n  childern:\n    web: {hosts: {b: }}\n");
    ctl.write("tab.yml", "all:\n  hosts:\n\ta:\n");
    ctl.write("local.cfg", "web: n[1-3]\nsite: @wbe\n");
    ctl.write("vars/hosts", "[web]\na\n");
    ctl.write("vars/group_vars/web.yml", "role: front\nansible_port: many\n");
    ctl.write("port.json", "{\"web\": {\"hosts\": [\"a\", \"b\"]}, \"_meta\": {\"hostvars\": {\n  \"a\": {\"ansible_port\": 22},\n  \"b\": {\"ansible_port\": \"ssh\"}\n}}}\n");
    ctl.write("good.ini", "[web]\na\n");
    let mut shown = String::new();
    for (line, code) in [
        ("hosts -i kind.ini", 65),
        ("hosts -i port.ini", 65),
        ("hosts -i port.json", 65),
        ("hosts -i child.ini", 65),
        ("hosts -i key.yml", 65),
        ("hosts -i tab.yml", 65),
        ("hosts -i local.cfg", 65),
        ("hosts -i vars/hosts", 65),
        ("hosts -i ansibl-ini:good.ini", 64),
        ("hosts -i nowhere.ini", 65),
        ("hosts --from nowhere.ini --to toml", 65),
        ("hosts --from good.ini,ansibel-ini --to toml", 64),
        ("hosts --from good.ini --to yaml", 64),
        ("hosts --to toml", 64),
        ("hosts -i good.ini @wbe", 64),
    ] {
        let said = ctl.run(line).await;
        shown.push_str(&format!("$ pipedown {line}\n{}\n", said.err));
        assert_eq!(said.code, code, "{line}\n{}", said.err);
    }
    assert_shown!(ctl, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_an_ansible_inventory_are_reached() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let mut text = "[fleet]\n".to_owned();
    for host in place.fleet.hosts() {
        let addr = host.addrs()[0];
        text.push_str(&format!("{} ansible_host={} ansible_port={}\n", host.name(), addr.ip(), addr.port()));
    }
    text.push_str(&format!(
        "[fleet:vars]\nansible_user=root\nansible_ssh_private_key_file={}\n\
         ansible_ssh_common_args=-o UserKnownHostsFile={}\n",
        place.fleet.identity().display(),
        place.fleet.known_hosts().display()
    ));
    ctl.write("fleet.ini", &text);
    let said = ctl.run("exec -i fleet.ini -l @fleet -b -- echo reached").await.code(0);
    assert!(said.out.contains("reached") && said.out.contains("login[01-02]"), "{}\n{}", said.out, said.err);
}
