//! The inventory's file, its diagnostics, and host sets against it.

use std::path::Path;

use pipedown_model::{Become, HostName};
use proptest::prelude::*;

use super::Inventory;
use crate::hostset::{HostSet, fold};
use crate::{InputError, Source};

fn read(text: &str) -> Result<Inventory, InputError> {
    Inventory::parse(
        Source::new("inventory.toml", text),
        Path::new("/etc/fleet"),
        Some(Path::new("/home/ops")),
    )
}

fn example() -> Inventory {
    read(include_str!("../../../../inventory.example.toml")).unwrap()
}

fn chosen(inventory: &Inventory, set: &str) -> Result<String, InputError> {
    inventory.select(&HostSet::parse(set)?).map(|hosts| fold(&hosts))
}

#[test]
fn the_most_particular_setting_wins() {
    let inventory = example();
    let target = |name: &str| inventory.host(&HostName::new(name).unwrap()).unwrap().target();
    let login = target("login01.example.org");
    assert_eq!((login.address.as_str(), login.port, login.user.as_str()), ("login01.example.org", 22, "ops"));
    assert_eq!(login.r#become, Become::Sudo);
    assert_eq!(login.identity_files, [Path::new("/home/ops/.ssh/id_ed25519")]);
    let third = target("login03.example.org");
    assert_eq!((third.address.as_str(), third.port, third.user.as_str()), ("192.0.2.3", 2203, "ops"));
    let backup = target("backup.example.org");
    assert_eq!(backup.r#become, Become::None);
    assert_eq!(
        backup.identity_files,
        [Path::new("/etc/fleet/keys/backup"), Path::new("/home/ops/.ssh/id_ed25519")]
    );
    let host = inventory.host(&HostName::new("ny2.example.net").unwrap()).unwrap();
    assert_eq!(host.zone(), Some(chrono_tz::America::New_York));
    let third = inventory.host(&HostName::new("login03.example.org").unwrap()).unwrap();
    assert_eq!(third.vars().get("site").unwrap(), "the branch office");
    assert_eq!(third.groups().collect::<Vec<_>>(), ["login", "frontends"]);
}

#[test]
fn of_two_groups_the_later_wins_and_vars_merge() {
    let text = r#"
        [hosts.b]
        vars = { c = 3 }
        [groups.z]
        hosts = ["a", "b"]
        user = "first"
        port = 1
        vars = { a = "z", b = true }
        [groups.y]
        hosts = "@z"
        user = "second"
        vars = { a = "y", c = 2 }
    "#;
    let inventory = read(text).unwrap();
    let order: Vec<String> = inventory.hosts().map(|host| host.name().to_string()).collect();
    assert_eq!(order, ["b", "a"]);
    let b = inventory.host(&HostName::new("b").unwrap()).unwrap();
    assert_eq!((b.target().user.as_str(), b.target().port), ("second", 1));
    assert_eq!(serde_json::to_string(&b.vars()).unwrap(), r#"{"a":"y","b":true,"c":3}"#);
}

#[test]
fn without_settings_a_host_is_root_at_port_22() {
    let target = read("[groups.a]\nhosts = 'x'").unwrap().hosts().next().unwrap().target();
    assert_eq!((target.user.as_str(), target.port, target.r#become), ("root", 22, Become::None));
}

#[test]
fn what_is_not_named_is_not_made_up() {
    let text =
        "[defaults]\nuser = 'ops'\n\n[groups.a]\nhosts = 'x,y'\nport = 2222\n[hosts.y]\nuser = 'root'\n";
    let inventory = read(text).unwrap();
    let host = |name: &str| inventory.host(&HostName::new(name).unwrap()).unwrap();
    let named = host("x").named();
    assert_eq!((named.user, named.port, named.address), (Some("ops"), Some(2222), None));
    assert_eq!((named.identity_files, named.known_hosts), (None, None));
    let lines = |name: &str| ["user", "port", "address"].map(|key| host(name).line_of(key));
    assert_eq!(lines("x"), [Some(2), Some(6), None]);
    assert_eq!(lines("y"), [Some(8), Some(6), None]);
}

#[test]
fn host_sets_choose_in_inventory_order() {
    let inventory = example();
    let cases = [
        ("@login!login03", "login[01-02,04-40].example.org"),
        ("@web,@newyork", "ny[1-2].example.net,web[1-3,9].example.org"),
        ("@frontends&web[1-2],backup", "backup.example.org,web[1-2].example.org"),
        ("*!@login!@web", "backup.example.org,ny[1-2].example.net"),
        ("login[40,02].example.org", "login[02,40].example.org"),
        ("web1,web1.example.org", "web1.example.org"),
    ];
    for (set, folded) in cases {
        assert_eq!(chosen(&inventory, set).unwrap(), folded, "{set}");
    }
    let order = inventory.select(&HostSet::parse("web9,login40,login02").unwrap()).unwrap();
    assert_eq!(
        order,
        ["login02", "login40", "web9"].map(|n| HostName::new(&format!("{n}.example.org")).unwrap())
    );
    assert_eq!(inventory.select(&HostSet::all()).unwrap().len(), inventory.len());
}

#[test]
fn host_sets_that_name_nothing_are_shown() {
    let mut text = include_str!("../../../../inventory.example.toml").to_owned();
    text.push_str("[groups.more]\nhosts = [\"web1.example.net\"]\n");
    let inventory = read(&text).unwrap();
    let cases = [
        "@lgin",
        "login41",
        "login[39-43].example.org",
        "web1",
        "login",
        "@login,logn03",
        "@web!@web",
        "@zzzzzz",
    ];
    let shown: Vec<String> =
        cases.iter().map(|set| chosen(&inventory, set).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn whatever_is_wrong_is_shown_where_it_stands() {
    let cases = [
        "[defaults]\nprot = 22\n",
        "[defaults]\nport = \"22\"\n",
        "[defaults]\nport = 70000\n",
        "[default]\nport = 22\n",
        "[groups.login]\nhosts = [\"login[01-40\"]\n",
        "[groups.login]\nhosts = [\n  \"login[01-40]\",\n  \"web[3-1]\",\n]\n",
        "[groups.login]\nuser = \"ops\"\n",
        "[groups.login]\nhosts = [1]\n",
        "[groups.a]\nhosts = \"@b\"\n[groups.b]\nhosts = \"x\"\n",
        "[groups.a]\nhosts = \"x[1-3]!x2\"\n",
        "[groups.a]\nhosts = \"@all\"\n",
        "[groups.all]\nhosts = \"x\"\n",
        "[groups.\"a b\"]\nhosts = \"x\"\n",
        "[hosts.login01.example.org]\nport = 22\n",
        "[hosts.\"x[1-3]\"]\naddress = \"192.0.2.1\"\n",
        "[hosts.\"x[1-3\"]\nport = 1\n",
        "[hosts.x]\nbecome = \"sudoo\"\n",
        "[hosts.x]\nzone = \"Europe/Pari\"\n",
        "[hosts.x]\nuser = \"-l\"\n",
        "[hosts.x]\nidentity_file = \"~bob/key\"\n",
        "[hosts.x]\nvars = { a = 2026-01-01 }\n",
        "[hosts.x\nport = 1\n",
        "[hosts.x]\nport = 1\nport = 2\n",
        "hosts = 3\n",
    ];
    let shown: Vec<String> = cases.iter().map(|text| read(text).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn many_hosts_share_their_settings() {
    let text = "[defaults]\nuser = 'ops'\n[groups.n]\nhosts = 'n[00001-50000].example.org'\nzone = 'UTC'\n";
    let inventory = read(text).unwrap();
    assert_eq!(inventory.len(), 50_000);
    assert_eq!(inventory.sections.len(), 2);
    assert_eq!(chosen(&inventory, "*!n[00002-49999]").unwrap(), "n[00001,50000].example.org");
}

#[test]
fn the_example_of_the_guide_is_valid() {
    let guide = include_str!("../../../../docs/INVENTORY.md");
    let example = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let inventory = read(example).unwrap_or_else(|error| panic!("{}", error.render(false)));
    assert_eq!(inventory.len(), 41);
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_shown(at in 0_usize..3000, length in 0_usize..40, put in "\\PC{0,8}") {
        let mut text: Vec<char> = include_str!("../../../../inventory.example.toml").chars().collect();
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, put.chars());
        if let Err(error) = read(&text.into_iter().collect::<String>()) {
            prop_assert!(error.render(false).contains("--> inventory.toml:"));
        }
    }
}
