//! Inventories against what Ansible and ClusterShell make of them, where these are installed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what surprises a test is to end it, and what was skipped is shown"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use pipedown_plan::files::{self, Located};
use pipedown_plan::{Format, HostSet, Inventory};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

/// Ansible takes a second for each inventory.
const CASES: u32 = 8;

fn load(path: &Path) -> Inventory {
    let located = Located { path: path.to_owned(), format: None, exposed: None, notices: Vec::new() };
    files::load(&located, Some(Path::new("/home/ops")))
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), text.as_bytes()).unwrap();
}

/// Runs a tool that need not be there.
fn run(program: &str, args: &[&str]) -> Option<String> {
    // Nobody's configuration, and no traces in anybody's home.
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("ansible.cfg"), "");
    let ran = Command::new(program)
        .args(args)
        .env("HOME", home.path())
        .env("ANSIBLE_CONFIG", home.path().join("ansible.cfg"))
        .env("ANSIBLE_LOCALHOST_WARNING", "no")
        .env("LC_ALL", "C.UTF-8")
        .output();
    let ran = match ran {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        ran => ran.unwrap(),
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// What has to be the same: each group's hosts and children, each host's variables.
#[derive(Debug, PartialEq)]
struct Listed {
    hosts: BTreeMap<String, BTreeSet<String>>,
    children: BTreeMap<String, BTreeSet<String>>,
    vars: BTreeMap<String, Map<String, Value>>,
}

/// What Ansible marks as no template is a text to us.
fn unmarked(value: Value) -> Value {
    value.get("__ansible_unsafe").cloned().unwrap_or(value)
}

fn listed(text: &str) -> Listed {
    let document: Map<String, Value> = serde_json::from_str(text).unwrap();
    let names = |group: &Value, key: &str| -> BTreeSet<String> {
        let list = group.get(key).and_then(Value::as_array);
        list.into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let groups = || document.iter().filter(|(name, _)| *name != "_meta" && *name != "all");
    let kept = |key: &str| {
        groups()
            .map(|(name, group)| (name.clone(), names(group, key)))
            .filter(|(_, names)| !names.is_empty())
            .collect()
    };
    let vars = document["_meta"]["hostvars"].as_object().unwrap();
    let vars = vars
        .iter()
        .map(|(host, vars)| (host.clone(), vars.as_object().unwrap().clone()))
        .map(|(host, vars)| (host, vars.into_iter().map(|(name, value)| (name, unmarked(value))).collect()))
        .filter(|(_, vars): &(String, Map<String, Value>)| !vars.is_empty())
        .collect();
    Listed { hosts: kept("hosts"), children: kept("children"), vars }
}

/// The same of both; nothing where Ansible is not installed.
fn both(path: &Path) -> Option<(Listed, Listed)> {
    let theirs = run("ansible-inventory", &["-i", path.to_str().unwrap(), "--list"])?;
    let ours = load(path).write(Format::AnsibleJson).unwrap().0;
    Some((listed(&ours), listed(&theirs)))
}

fn agree(path: &Path) {
    match both(path) {
        Some((ours, theirs)) => assert_eq!(ours, theirs, "{}", fs::read_to_string(path).unwrap()),
        None => eprintln!("skipped: ansible-inventory is not installed"),
    }
}

#[test]
fn ini_is_read_as_by_ansible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.ini");
    write(
        &path,
        "lone:2222 a='x y' b=[1,2]
; a comment
[web]
www[01:03].example.com  http_port=80 d=0644 e=yes f=True   # more
db-[a:c].example.com ansible_host=192.0.2.7 g=\"{'a': 1}\"
n[0:6:3]
[db-1]
www02.example.com ansible_user=root i=1,2
192.0.2.1
[site:children]
web
db-1
[site:vars]
where=the room 2.14
empty=
n=5 # five
t='quoted'
[web:vars]
where=racks
ansible_port=22
[all:vars]
where=everywhere
ntp=['a', 'b']
",
    );
    agree(&path);
}

#[test]
fn yaml_is_read_as_by_ansible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.yml");
    write(
        &path,
        "all:
  vars: &shared {a: yes, b: 0o17, c: 017, d: 1:30, e: ~, f: 2024-01-01x}
  hosts:
    lone: {ansible_host: 192.0.2.1}
    'r[1:2]n[a:b]:2222':
  children:
    web:
      hosts:
        web[01:02]:
          <<: *shared
          a: own
      children:
        inner: {hosts: web09, vars: {x: [1, {y: z}]}}
    db:
      vars: {x: db, ansible_group_priority: 5}
      hosts: {web01: , db1: {k: !unsafe '{{ x }}'}}
",
    );
    agree(&path);
}

#[test]
fn files_of_variables_count_as_in_ansible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    write(
        &path,
        "[a]\nh1 x=host\nh2\n[b:children]\na\n[a:vars]\nx=a\ny=a\nz=a\n[b:vars]\nx=b\ny=b\n[all:vars]\nw=all\n",
    );
    write(&folder.path().join("group_vars/b.yml"), "y: file of b\nv: yes\n");
    write(&folder.path().join("group_vars/a/one.yml"), "z: one\nu: one\n");
    write(&folder.path().join("group_vars/a/two.json"), "{\"u\": \"two\"}");
    write(&folder.path().join("group_vars/all"), "w: file of all\nv: all\n");
    write(&folder.path().join("host_vars/h2.yaml"), "x: file of h2\n");
    write(&folder.path().join("host_vars/h2.json"), "{\"x\": \"is not read\"}");
    let inventory = load(&path);
    let vars = |name: &str| {
        let host = inventory.hosts().find(|host| host.name().as_str() == name).unwrap();
        serde_json::to_value(host.vars()).unwrap()
    };
    assert_eq!(
        vars("h1"),
        serde_json::json!({"w": "file of all", "v": true, "x": "host", "y": "file of b", "z": "one", "u": "two"})
    );
    assert_eq!(vars("h2")["x"], "file of h2");
    agree(&path);
}

/// A group: its hosts, children (groups further down), variables, priority.
type Group = (Vec<u8>, Vec<u8>, Vec<(u8, usize)>, u8);

const VALUES: [&str; 16] = [
    "1",
    "-7",
    "0644",
    "True",
    "yes",
    "None",
    "1.5",
    "x",
    "a b",
    "[1, 'a']",
    "{'k': [True]}",
    "1,2",
    "'q'",
    "a=b",
    "192.0.2.1",
    "null",
];

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let hosts = prop::collection::vec(0..9_u8, 0..5);
    let children = prop::collection::vec(0..6_u8, 0..3);
    let vars = prop::collection::vec((0..4_u8, 0..VALUES.len()), 0..4);
    prop::collection::vec((hosts, children, vars, 0..4_u8), 1..6)
}

fn ini(groups: &[Group], hosts: &[(u8, usize)]) -> String {
    let mut text = String::new();
    for (host, value) in hosts {
        text.push_str(&format!(
            "h{host} v0=\"{}\" v{}='{}'\n",
            VALUES[*value].replace('\'', ""),
            host % 3,
            host
        ));
    }
    for (number, (hosts, children, vars, priority)) in groups.iter().enumerate() {
        // Names against the order in which they are declared.
        text.push_str(&format!("[{}]\n", name(number)));
        hosts.iter().for_each(|host| text.push_str(&format!("h{host}\n")));
        text.push_str(&format!("[{}:children]\n", name(number)));
        let below =
            children.iter().map(|child| usize::from(*child)).filter(|c| *c > number && *c < groups.len());
        below.for_each(|child| text.push_str(&format!("{}\n", name(child))));
        text.push_str(&format!("[{}:vars]\n", name(number)));
        vars.iter().for_each(|(var, value)| text.push_str(&format!("v{var} = {}\n", VALUES[*value])));
        if *priority > 1 {
            text.push_str(&format!("ansible_group_priority={priority}\n"));
        }
    }
    text
}

fn name(number: usize) -> String {
    format!("g{}", (number * 5 + 3) % 7)
}

#[test]
fn whatever_is_inherited_is_what_ansible_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.ini");
    let mut runner = deterministic(CASES);
    let hosts = prop::collection::vec((0..12_u8, 0..VALUES.len()), 1..8);
    let ran = runner.run(&(groups(), hosts), |(groups, hosts)| {
        let text = ini(&groups, &hosts);
        write(&path, &text);
        let Some((ours, theirs)) = both(&path) else { return Ok(()) };
        prop_assert_eq!(ours, theirs, "{}", text);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    if both(&path).is_none() {
        eprintln!("skipped: ansible-inventory is not installed");
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    /// What is printed says the same: to us without exception, for what the formats can hold.
    #[test]
    fn what_is_printed_reads_back(groups in groups(), hosts in prop::collection::vec((0..12_u8, 0..VALUES.len()), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.ini");
        write(&path, &format!("{}\n[all:vars]\nansible_user=ops\n", ini(&groups, &hosts)));
        let inventory = load(&path);
        for format in [Format::Toml, Format::AnsibleIni, Format::AnsibleYaml, Format::AnsibleJson] {
            let (text, notices) = inventory.write(format).unwrap();
            let lost: Vec<&str> = notices
                .iter()
                .map(|notice| notice.0.as_str())
                // TOML has no nothing, and hosts come there as their groups do.
                .filter(|notice| !notice.contains("the order of the hosts"))
                .filter(|notice| format != Format::Toml || !notice.contains("the variable v"))
                .collect();
            prop_assert!(lost.is_empty(), "{:?}\n{}", lost, text);
            // Once hosts have the order of our own format, what is printed stays the same.
            if format == Format::Toml {
                let path = folder.path().join("inventory.toml");
                write(&path, &text);
                let (again, notices) = load(&path).write(Format::Toml).unwrap();
                prop_assert!(notices.is_empty(), "{:?}\n{}", notices, again);
                write(&path, &again);
                prop_assert_eq!(&load(&path).write(Format::Toml).unwrap().0, &again);
            }
        }
    }
}

/// What nodeset says of sets; nothing where it is not installed.
fn nodeset(conf: &Path, sets: &[&str]) -> Option<Vec<BTreeSet<String>>> {
    let one = |set: &&str| {
        let said = run("nodeset", &["--groupsconf", conf.to_str().unwrap(), "-e", "-S", "\\n", set])?;
        Some(said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    };
    sets.iter().map(one).collect()
}

#[test]
fn groups_of_clustershell_are_what_nodeset_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups.d/local.cfg");
    let text = "# groups\nall: n[001-040],adm\nrack1: n[001-020]\nrack2: n[021-040]\nodd: n[001-039/2]\n\
                mixed: @rack1&@odd,adm\nrest: @rack[1-2]!@odd\neither: @rack1^@odd\n";
    write(&path, text);
    let inventory = load(&path);
    assert_eq!(inventory.len(), 41);
    write(
        &folder.path().join("groups.conf"),
        &format!(
            "[Main]\ndefault: local\n[local]\nmap: sed -n 's/^$GROUP:\\(.*\\)/\\1/p' {0}\nall: sed -n 's/^all:\\(.*\\)/\\1/p' {0}\n",
            path.display()
        ),
    );
    agrees_with_nodeset(
        &inventory,
        &folder.path().join("groups.conf"),
        &["@rack1", "@mixed", "@rest", "@either", "@rest&n[001-020]!n002", "@*!@odd", "@rack[1-2]^@mixed"],
    );
    let folded =
        |group: &str| pipedown_plan::fold(&inventory.select(&HostSet::parse(group).unwrap()).unwrap());
    assert_eq!(folded("@mixed&n[001-005]"), "n[001,003,005]");
}

/// Sets are the same of both.
fn agrees_with_nodeset(inventory: &Inventory, conf: &Path, sets: &[&str]) {
    let Some(theirs) = nodeset(conf, sets) else {
        eprintln!("skipped: nodeset is not installed");
        return;
    };
    for (set, theirs) in sets.iter().zip(theirs) {
        let ours = inventory.select(&HostSet::parse(set).unwrap()).unwrap();
        let ours: BTreeSet<String> = ours.iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(ours, theirs, "{set}");
    }
}

#[test]
fn groups_yaml_is_what_nodeset_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups.yaml");
    write(
        &path,
        "roles:\n  adm: 'adm[1-2]'\n  io: 'io[08-11/2],@adm!adm1'\n  racks: '@racks:one^@racks:two'\n\
         racks: {one: [n1, 'n[2-9]'], two: '@one!n3', few: 'n[1-4]&@two'}\n",
    );
    let conf = folder.path().join("groups.conf");
    write(&conf, &format!("[Main]\ndefault: roles\nautodir: {}\n", folder.path().display()));
    let sets = ["@adm", "@io", "@racks"];
    agrees_with_nodeset(&load(&path), &conf, &sets);
    write(&conf, &format!("[Main]\ndefault: racks\nautodir: {}\n", folder.path().display()));
    agrees_with_nodeset(&load(&path), &conf, &["@one", "@two", "@few", "@two,n3,@few"]);
}

#[test]
fn printed_for_clustershell_our_own_says_the_same_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.toml");
    write(
        &path,
        "[groups.login]\nhosts = 'login[01-04].example.org'\n[groups.compute]\nhosts = ['n[1-20]', 'login03.example.org']\n\
         [groups.both]\nhosts = ['@login', '@compute']\n[hosts.lone]\nport = 22\n",
    );
    let inventory = load(&path);
    let (text, _) = inventory.write(Format::ClusterShell).unwrap();
    write(&folder.path().join("local.cfg"), &text);
    let conf = folder.path().join("groups.conf");
    let map = format!(
        "[Main]\ndefault: local\n[local]\nmap: sed -n 's/^$GROUP:\\(.*\\)/\\1/p' {0}\nall: sed -n 's/^all:\\(.*\\)/\\1/p' {0}\nlist: sed -n 's/^\\([0-9A-Za-z_-]*\\):.*/\\1/p' {0}\n",
        folder.path().join("local.cfg").display()
    );
    write(&conf, &map);
    agrees_with_nodeset(&inventory, &conf, &["@login", "@compute", "@both", "@both!@login", "@*"]);
}

/// A node, a range or a grid, all with numbers of one width in the same place.
fn nodes() -> impl Strategy<Value = String> {
    let range = |least: u8, most: u8| (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        range(1, 9).prop_map(|(a, b)| format!("n[{a}-{b}]")),
        (1..=9_u8).prop_map(|a| format!("n{a}")),
        (range(1, 4), range(1, 20), 1..4_u8)
            .prop_map(|((a, b), (c, d), step)| format!("rack[{a}-{b}]n[{c:02}-{d:02}/{step}]")),
        (range(10, 20), 1..9_u8).prop_map(|((a, b), c)| format!("rack{c}n[{a}-{b},{b}]")),
    ]
}

#[test]
fn sets_are_calculated_as_by_nodeset() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("groups.conf");
    write(&conf, "[Main]\ndefault: none\n");
    let sets = prop::collection::vec((prop::sample::select(vec![',', '!', '&', '^']), nodes()), 1..6);
    let mut runner = deterministic(3 * CASES);
    let ran = runner.run(&sets, |terms| {
        let mut set: String = terms.iter().flat_map(|(op, nodes)| [op.to_string(), nodes.clone()]).collect();
        set.remove(0);
        let Some(theirs) = nodeset(&conf, &[&set]) else { return Ok(()) };
        let ours = HostSet::parse(&set).unwrap().names().unwrap();
        let ours: BTreeSet<String> = ours.iter().map(|name| name.as_str().to_owned()).collect();
        prop_assert_eq!(&ours, &theirs[0], "{}", set);
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    if nodeset(&conf, &["n1"]).is_none() {
        eprintln!("skipped: nodeset is not installed");
    }
}

/// Tries the same each time: a gate must not fail now and then.
fn deterministic(cases: u32) -> TestRunner {
    TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
}

#[test]
fn printed_for_ansible_our_own_says_the_same_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.toml");
    write(
        &path,
        "[defaults]\nuser = 'ops'\nvars.a = 'all'\n[groups.z]\nhosts = 'h[1-3]'\nvars = { a = 'z', b = [1, 'x'] }\n\
         [groups.b]\nhosts = ['@z', 'h4']\nport = 2222\nvars.a = 'b'\n[hosts.h3]\nvars.a = 'own'\nbecome = 'doas'\n",
    );
    let inventory = load(&path);
    for (format, file) in [(Format::AnsibleIni, "hosts.ini"), (Format::AnsibleYaml, "hosts.yml")] {
        let (text, notices) = inventory.write(format).unwrap();
        assert!(notices.iter().all(|notice| notice.0.contains("no account")), "{notices:?}");
        let path = folder.path().join(file);
        write(&path, &text);
        let Some(theirs) = run("ansible-inventory", &["-i", path.to_str().unwrap(), "--list"]) else {
            eprintln!("skipped: ansible-inventory is not installed");
            continue;
        };
        let mut theirs = listed(&theirs);
        theirs.vars.values_mut().for_each(|vars| {
            vars.remove("ansible_group_priority");
        });
        assert_eq!(theirs.vars, listed(&inventory.write(Format::AnsibleJson).unwrap().0).vars, "{text}");
    }
}
