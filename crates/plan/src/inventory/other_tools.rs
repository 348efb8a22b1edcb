//! Inventories of other tools: what is recognised, what is told, what is refused.

use std::path::Path;

use pipedown_model::{Become, HostName};

use super::{Beside, Format, Inventory};
use crate::{InputError, Source};

fn read(name: &str, text: &str) -> Result<Inventory, InputError> {
    let source = Source::new(name, text);
    let beside = Beside { folder: Path::new("/etc/fleet"), home: Some(Path::new("/home/ops")), vars: &[] };
    Inventory::read(&source, Inventory::recognise(&source), &beside)
}

fn target(inventory: &Inventory, name: &str) -> pipedown_model::Target {
    inventory.host(&HostName::new(name).unwrap()).unwrap().target()
}

#[test]
fn kinds_are_recognised() {
    let cases = [
        ("hosts", "[web]\nweb1\n", Format::AnsibleIni),
        ("hosts", "web1\nweb2 ansible_user=ops\n", Format::AnsibleIni),
        ("hosts", "# x\n---\nall:\n  hosts: {a: }\n", Format::AnsibleYaml),
        ("hosts", "all:\n  hosts:\n", Format::AnsibleYaml),
        ("hosts", "\n{\"web\": [\"a\"]}", Format::AnsibleJson),
        ("config", "Include x\nHost a b\n  User ops\n", Format::SshConfig),
        ("local.cfg", "all: n[1-9]\nrack: n[1-3]\n", Format::ClusterShell),
        ("groups.yaml", "roles:\n  adm: example0\n", Format::ClusterShell),
        ("x.yml", "roles:\n  hosts:\n    a:\n", Format::AnsibleYaml),
        ("x", "[groups.a]\nhosts = 'b'\n", Format::Toml),
        ("inventory.toml", "", Format::Toml),
    ];
    for (name, text, format) in cases {
        assert_eq!(Inventory::recognise(&Source::new(name, text)), format, "{text}");
    }
    assert_eq!(Format::prefixed("ansible-ini:/etc/x").unwrap(), (Some(Format::AnsibleIni), "/etc/x"));
    assert_eq!(Format::prefixed("a:b").unwrap(), (None, "a:b"));
    assert!(Format::prefixed("ansible-yml:x").unwrap_err().suggestions()[0].contains("ansible-yaml"));
}

#[test]
fn variables_say_how_hosts_are_reached() {
    let text = "a.example.org:2222 ansible_user=root\nb ansible_host=192.0.2.2 ansible_ssh_port=23\nc\n\
                [g]\nc\n[g:vars]\nansible_become_method=doas\nansible_become=no\n\
                [all:vars]\nansible_become=true\nansible_user=ops\nlan=example.lan\n\
                ansible_host={{ inventory_hostname_short }}.{{ lan }}\n\
                ansible_ssh_private_key_file=~/.ssh/fleet\n";
    let inventory = read("hosts", text).unwrap();
    let a = target(&inventory, "a.example.org");
    assert_eq!(
        (a.address.as_str(), a.port, a.user.as_str(), a.r#become),
        ("a.example.lan", 2222, "root", Become::Sudo)
    );
    assert_eq!(a.identity_files, [Path::new("/home/ops/.ssh/fleet")]);
    let b = target(&inventory, "b");
    assert_eq!((b.address.as_str(), b.port, b.user.as_str()), ("192.0.2.2", 23, "ops"));
    assert_eq!(target(&inventory, "c").r#become, Become::None);
    assert_eq!(inventory.default_user(), None);
    assert_eq!(inventory.host(&HostName::new("b").unwrap()).unwrap().line_of("port"), Some(2));
}

#[test]
fn what_does_not_count_is_told() {
    let ini = "a ansible_password=secret ansible_connection=winrm\n\
               [all:vars]\nansible_ssh_common_args=-o ProxyJump=gate -o StrictHostKeyChecking=no -C -p 2200\n";
    let yaml = "all:\n  hosts: {a: {token: !vault x, ansible_become_user: web}}\n";
    let json = "{\"g\": {\"hosts\": [\"a\"]}}";
    let ssh = "Include more\nHost a *.b\n";
    let several = "one:\n  g: a\ntwo:\n  g: b\n";
    let cases =
        [("hosts", ini), ("x.yml", yaml), ("x.json", json), ("config", ssh), ("groups.yaml", several)];
    let mut shown = Vec::new();
    for (name, text) in cases {
        let inventory = read(name, text).unwrap();
        shown.extend(inventory.notices().iter().map(|notice| notice.0.clone()));
    }
    assert!(!shown.iter().any(|line| line.contains("secret")), "{shown:?}");
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(target(&read("hosts", ini).unwrap(), "a").port, 2200);
}

#[test]
fn what_is_lost_in_a_conversion_is_told() {
    let text = "[defaults]\nzone = 'Europe/Paris'\nuser = 'ops'\nlogins = ['deploy']\n\
                [groups.a]\nhosts = 'h[1-3]'\nvars = { x = 1 }\nidentity_file = ['/k1', '/k2']\n";
    let (printed, notices) = read("inventory.toml", text).unwrap().write(Format::AnsibleIni).unwrap();
    let notices: Vec<String> = notices.into_iter().map(|notice| notice.0).collect();
    insta::assert_snapshot!(format!("{printed}\n{}", notices.join("\n")));
    let (printed, _) = read("hosts", "h1 x=[1,'a'] ansible_host=192.0.2.1\nh2\n[g:children]\nk\n[k]\nh1\nh2\n[g:vars]\nansible_become=yes\n")
        .unwrap()
        .write(Format::Toml)
        .unwrap();
    insta::assert_snapshot!("from_ansible", printed);
}

#[test]
fn whatever_is_wrong_in_them_is_shown_where_it_stands() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n";
    let bomb =
        format!("all:\n  vars:\n{}", bomb.lines().map(|line| format!("    {line}\n")).collect::<String>());
    let cases = [
        ("hosts", "[web:hosst]\na\n"),
        ("hosts", "[web]\na b=1 c\n"),
        ("hosts", "[web]\na[1:\n"),
        ("hosts", "[web]\na 'b=1\n"),
        ("hosts", "[web]\na\n[site:children]\nwebb\n"),
        ("hosts", "[web:vars]\na=1\n"),
        ("hosts", "[a:children]\nb\n[b:children]\na\n"),
        ("hosts", "[web]\na ansible_port=ssh\n"),
        ("hosts", "[web]\na ansible_become_method=su\n"),
        ("hosts", "[web]\na ansible_host='{{ lookup(\"x\") }}'\n"),
        ("x.yml", "all:\n  host:\n    a:\n"),
        ("x.yml", "all:\n  hosts:\n    - a\n"),
        ("x.yml", "all:\n  hosts:\n    a: [1]\n"),
        ("x.yml", "all: {hosts: {a: {ansible_host: !vault x}}}\n"),
        ("x.yml", "all: {hosts: {a: *x}}\n"),
        ("x.yml", "plugin: aws_ec2\n"),
        ("x.yml", &bomb),
        ("x.json", "{\"web\": {\"hosts\": \"a\"}}"),
        ("x.json", "{\"web\": {\"hosts\": [1]}}"),
        ("x.json", "{\"web\": {\"ansible_host\": \"a\"}}"),
        ("x.json", "{\"web\": [\n}"),
        ("local.cfg", "a: x\nb: @aa\n"),
        ("local.cfg", "a: @b\nb: @a\n"),
        ("local.cfg", "a: x[1-\n"),
        ("groups.yaml", "roles: [a]\n"),
    ];
    let shown: Vec<String> =
        cases.iter().map(|(name, text)| read(name, text).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}
