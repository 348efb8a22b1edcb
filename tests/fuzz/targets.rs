//! What is fed, with what, and what must hold of what was understood.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use data_encoding::BASE64;
use pipedown_plan::{
    Beside, Format, HostSet, InputError, Inventory, Origin, Playbook, Source, VarFile, fold, from_json,
};
use pipedown_ssh::trace::{ClearText, Direction, Role};
use pipedown_ssh::{
    Anchors, ConfigSource, KnownHosts, KnownHostsFile, Local, Proposal, Request, RevokedKeys, Settings,
    SshConfig, read_keys,
};

use crate::campaign::Target;
use crate::size;

const INVENTORY: &str = include_str!("../../inventory.example.toml");

const KNOWN_HOSTS: &str = "\
# made with OpenSSH 9.2p1
web1,192.0.2.10,[web1]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPUC8vhxDl7IKEAeVRPpwkTs2CfAxqCoJePfcbI4DqZh root@web1
|1|AAECAwQFBgcICQoLDA0ODxAREhM=|kFGyVY9bSo6C7hbsPgAKBNMSuCA= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPUC8vhxDl7IKEAeVRPpwkTs2CfAxqCoJePfcbI4DqZh
@cert-authority *.example.com,!bad.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPUC8vhxDl7IKEAeVRPpwkTs2CfAxqCoJePfcbI4DqZh ca
@revoked * ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPUC8vhxDl7IKEAeVRPpwkTs2CfAxqCoJePfcbI4DqZh
db?.example.com,[10.0.0.*]:22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPUC8vhxDl7IKEAeVRPpwkTs2CfAxqCoJePfcbI4DqZh
";

/// A key revocation list with serial numbers, a name, a key and hashes of keys: made with OpenSSH 9.2p1.
const REVOKED: &str = "\
U1NIS1JMCgAAAAABAAAAAAAAAAAAAAAAawMvZwAAAAAAAAAAAAAAAAAAAAABAAAAWwAAADMAAAALc3NoLWVkMjU1MTkAAAAgotaODkqPr5X8Sy8djmvQ\
lWM8Cp8Tad0IO3mJdJJG+VEAAAAAIgAAAA4AAAAAAAAAAQAAAAIBHyMAAAAIAAAABHdlYjECAAAANwAAADMAAAALc3NoLWVkMjU1MTkAAAAgXqr4/Eh/\
NXhtlRlkwIDzmLa/eKjUMvrfW0Wwdxfx2YADAAAAGAAAABRcWPu7OcoHiTFfJYVO8yeIiIn1ggUAAAAkAAAAIItdTewLbz3Vb6foAE18ZAZVkvg2py6W\
iXMCsG1DXsxC";

/// The root zone's key of 2017.
const ANCHOR: &str = ". IN DNSKEY 257 3 8 \
AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kv\
ArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+e\
oZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwN\
R1AkUTV74bU= ; KSK-2017\n";

/// A version line after other lines, and an unencrypted packet.
const GREETING: &[u8] = b"please wait\r\nSSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n\
    \x00\x00\x00\x0c\x06\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

pub const TARGETS: &[Target] = &[
    Target {
        name: "host_set",
        seeds: host_sets,
        words: &["@all", "web", "@db", "[1-9]", ",", "!", "&", "*", "^", "(", ")", "?", "@var:role=db"],
        parse: host_set,
    },
    Target {
        name: "inventory",
        seeds: || {
            vec![INVENTORY.into(), b"[groups.web]\nhosts = [\"web[01-20].example.com\"]\nport = 22\n".into()]
        },
        words: &[
            "[hosts.a]",
            "[groups.b]",
            "[defaults]",
            "hosts",
            "address",
            "port",
            "user",
            "vars",
            "zone",
            "become",
        ],
        parse: inventory,
    },
    Target {
        name: "ansible_ini",
        seeds: || vec![ANSIBLE_INI.into()],
        words: &[
            "[",
            ":children]",
            ":vars]",
            "=",
            "'",
            "\"",
            "[01:50]",
            "ansible_host=",
            "{{ x }}",
            "{'a':",
            "#",
        ],
        parse: |document| other_inventory(document, "hosts.ini", Format::AnsibleIni),
    },
    Target {
        name: "ansible_yaml",
        seeds: || vec![ANSIBLE_YAML.into()],
        words: &["hosts:", "children:", "vars:", "&a", "*a", "<<: ", "{", "[", "!vault |", "- ", ": ", "0x1"],
        parse: |document| other_inventory(document, "hosts.yml", Format::AnsibleYaml),
    },
    Target {
        name: "ansible_json",
        seeds: || vec![ANSIBLE_JSON.into()],
        words: &["\"hosts\"", "\"children\"", "\"vars\"", "\"_meta\"", "hostvars", "{", "[", "]", "}"],
        parse: |document| other_inventory(document, "hosts.json", Format::AnsibleJson),
    },
    Target {
        name: "clustershell",
        seeds: || vec![b"all: n[1-40]\nrack1: n[1-20]\nodd: n[1-39/2]\nrest: @rack1!@odd,adm\n".into()],
        words: &["@", "!", "&", "^", ",", "[1-9]", ": ", "\n", "@*"],
        parse: |document| other_inventory(document, "local.cfg", Format::ClusterShell),
    },
    Target {
        name: "clustershell_yaml",
        seeds: || vec![CLUSTERSHELL_YAML.into()],
        words: &["@", "!", "&", "[1-9]", ": ", "\n", "@racks:", "roles:", "- ", "&a", "*a", "{", "["],
        parse: |document| other_inventory(document, "groups.yaml", Format::ClusterShell),
    },
    Target {
        name: "ssh_config_hosts",
        seeds: || vec![SSH_CONFIG.into()],
        words: &["Host ", "Match ", "Include ", "=", "\"", "!", "*"],
        parse: |document| other_inventory(document, "config", Format::SshConfig),
    },
    Target {
        name: "playbook",
        seeds: playbooks,
        words: &["{{", "}}", "[[steps]]", "window", "T-5m", "at", "drain", "run"],
        parse: playbook,
    },
    Target {
        name: "plan",
        seeds: || vec![b"{\"v\":1,\"hosts\":[{\"name\":\"web1\"}],\"texts\":{}}".into(), b"{}".into()],
        words: &["{", "}", "[", "]", ":", "null", "true", "hosts", "steps"],
        parse: plan,
    },
    Target {
        name: "known_hosts",
        seeds: || vec![KNOWN_HOSTS.into()],
        words: &["@revoked", "@cert-authority", "ssh-rsa", "|1|", "*", "[web1]:22"],
        parse: known_hosts,
    },
    Target {
        name: "ssh_config",
        seeds: || vec![SSH_CONFIG.into()],
        words: &[
            "Host",
            "Match",
            "host",
            "final",
            "all",
            "Include",
            "ProxyJump",
            "%%",
            "%h",
            "%C",
            "none",
            "${USER}",
            "!",
        ],
        parse: ssh_config,
    },
    Target {
        name: "known_hosts_edit",
        seeds: || vec![KNOWN_HOSTS.into()],
        words: &["@revoked", "ssh-rsa", "|1|", "*", "[web1]:22", ","],
        parse: known_hosts_edit,
    },
    Target {
        name: "revoked_keys",
        seeds: || vec![BASE64.decode(REVOKED.as_bytes()).unwrap(), KNOWN_HOSTS.into()],
        words: &["SSHKRL\n", "ssh-ed25519", "\0\0\0\x01", "\x02\0\0\0"],
        parse: revoked_keys,
    },
    Target {
        name: "trust_anchors",
        seeds: || vec![ANCHOR.into()],
        words: &["DNSKEY", "IN", "257", "DS", "(", ")", "$ORIGIN", ";", "\""],
        parse: trust_anchors,
    },
    Target {
        name: "key_files",
        seeds: || vec![KNOWN_HOSTS.into()],
        words: &["ssh-ed25519", "ssh-rsa", "AAAA"],
        parse: key_files,
    },
    Target {
        name: "version_line",
        seeds: || vec![GREETING.into(), proposal_seed()],
        words: &["SSH-2.0-", "SSH-1.99-", "\r\n"],
        parse: version_line,
    },
    Target {
        name: "proposal",
        seeds: || vec![proposal_seed()],
        words: &["curve25519-sha256", ",", "none"],
        parse: proposal,
    },
];

const SSH_CONFIG: &str = "\
Host web* !web9 *.example.com
    HostName %h.example.net
    User \"ops\"
    Port=2222
    IdentityFile ~/.ssh/id_%r
    ProxyJump gate,ops@[2001:db8::1]:22
    Ciphers +aes256-cbc
    UserKnownHostsFile ~/.ssh/known_hosts_%k /dev/null
Match host web1,web2 user ops originalhost !db*
    ServerAliveInterval 10
    ConnectTimeout 1h30m
    UnheardOf yes
Match final all
    Tag ${HOME}
Host *
    StrictHostKeyChecking accept-new
    KexAlgorithms ^curve25519-sha256
";

/// What is wrong, as it is shown: drawing a source's lines must not fail either.
fn refused(error: &InputError) -> String {
    assert!(!error.render(false).is_empty());
    error.message().to_owned()
}

fn host_sets() -> Vec<Vec<u8>> {
    [
        "web[1-3,5].example.com,@db",
        "@all!web[01-20]&@rack[1-4]",
        "*",
        "a-[1-3]-b-[x-z],c",
        "web1 , web2",
        "(web[1-9]^db1)!@rack?",
        "web*&@var:role=d*,^f",
        "-!@failed:last",
        "n2[8-11/2]c[1-2]",
    ]
    .map(Into::into)
    .to_vec()
}

fn host_set(document: &[u8]) -> String {
    if stands_for_many(document) {
        return "many hosts".to_owned();
    }
    let text = String::from_utf8_lossy(document);
    let set = match HostSet::parse(&text) {
        Ok(set) => set,
        Err(error) => return refused(&error),
    };
    let inventory =
        Inventory::parse(Source::new("inventory", INVENTORY), Path::new("/"), Some(Path::new("/home/ops")))
            .unwrap();
    let hosts = match inventory.select(&set) {
        Ok(hosts) => hosts,
        Err(error) => return refused(&error),
    };
    // What is shown for a set is that set.
    let folded = fold(&hosts);
    if !hosts.is_empty() {
        let again = inventory.select(&HostSet::parse(&folded).unwrap()).unwrap();
        let sorted = |mut hosts: Vec<_>| {
            hosts.sort();
            hosts
        };
        assert_eq!(sorted(again), sorted(hosts.clone()), "{folded}");
    }
    format!("{} hosts", if hosts.is_empty() { "no" } else { "some" })
}

fn inventory(document: &[u8]) -> String {
    if stands_for_many(document) {
        return "many hosts".to_owned();
    }
    let source = Source::new("inventory.toml", &String::from_utf8_lossy(document));
    match Inventory::parse(source, Path::new("/etc/pipedown"), Some(Path::new("/home/ops"))) {
        Ok(inventory) => match inventory.select(&HostSet::all()) {
            Ok(hosts) => format!("hosts: {}", hosts.len().min(9)),
            Err(error) => refused(&error),
        },
        Err(error) => refused(&error),
    }
}

const ANSIBLE_INI: &str = "\
lone:2222 a='x y' b=[1,2]
[web]
www[01:03].example.com http_port=80 ansible_host=\"{{ inventory_hostname }}.lan\"
[site:children]
web
[site:vars]
n={'a': (1, None)} # more
ansible_become=yes
";

const ANSIBLE_YAML: &str = "\
all:
  vars: &shared {a: yes, c: 017, d: 1:30}
  hosts: {lone: {ansible_host: 192.0.2.1}, 'r[1:2]n[a:b]:2222': }
  children:
    web:
      hosts:
        web[01:02]: {<<: *shared, a: own}
      children: {inner: {hosts: web09}}
";

const CLUSTERSHELL_YAML: &str = "\
roles:
  adm: 'adm[1-2]'
  all: '@adm,@racks:one'
racks: {one: [n1, 'n[2-9]'], two: '@one!n3', all: '@*'}
";

const ANSIBLE_JSON: &str = "\
{\"_meta\": {\"hostvars\": {\"a\": {\"ansible_port\": 22, \"x\": {\"__ansible_unsafe\": \"y\"}}}},
 \"web\": {\"hosts\": [\"a\", \"b\"], \"vars\": {\"k\": null}}, \"site\": {\"children\": [\"web\"]}}
";

/// What stands for many hosts, or long names, takes its time, and shows nothing that few would not.
fn stands_for_many(document: &[u8]) -> bool {
    size::of_names(document) > 32 * 1024
}

/// An inventory of another tool, with the same text as variables of a group beside it.
fn other_inventory(document: &[u8], name: &str, format: Format) -> String {
    if stands_for_many(document) {
        return "many hosts".to_owned();
    }
    let source = Source::new(name, &String::from_utf8_lossy(document));
    let vars = [VarFile { of_host: false, name: "web".to_owned(), source: source.clone() }];
    let vars = if format == Format::AnsibleYaml { vars.as_slice() } else { &[] };
    let beside = Beside { folder: Path::new("/etc/ansible"), home: None, vars };
    let inventory = match Inventory::read(&source, format, &beside) {
        Ok(inventory) => inventory,
        Err(error) => return refused(&error),
    };
    // Whatever is understood can be printed, or does not fit for a reason that can be shown.
    let printed = Format::ALL.map(|format| match inventory.write(format) {
        Ok((_, notices)) => notices.len().min(3).to_string(),
        Err(error) => refused(&error),
    });
    format!("hosts: {} {printed:?}", inventory.len().min(9))
}

fn playbooks() -> Vec<Vec<u8>> {
    [
        include_str!("../../playbooks/announce.toml"),
        include_str!("../../playbooks/graceful-reboot.toml"),
        include_str!("../../playbooks/graceful-shutdown.toml"),
        include_str!("../../playbooks/nologin-off.toml"),
        include_str!("../../playbooks/nologin-on.toml"),
        include_str!("../e2e/slow.toml"),
    ]
    .map(Into::into)
    .to_vec()
}

fn playbook(document: &[u8]) -> String {
    let source = Source::new("playbook.toml", &String::from_utf8_lossy(document));
    match Playbook::parse(source, Origin::File("playbook.toml".to_owned())) {
        Ok(_) => "a playbook".to_owned(),
        Err(error) => refused(&error),
    }
}

fn plan(document: &[u8]) -> String {
    match from_json(&Source::new("plan.json", &String::from_utf8_lossy(document))) {
        Ok(_) => "a plan".to_owned(),
        Err(error) => refused(&error),
    }
}

fn known_hosts(document: &[u8]) -> String {
    let mut known = KnownHosts::default();
    let file = Path::new("known_hosts");
    known.add(file, &String::from_utf8_lossy(document));
    let key = read_keys(file, KNOWN_HOSTS.as_bytes()).remove(0).key;
    let host = known.find(&["web1", "192.0.2.10", "db1.example.com"], 2222);
    let warnings: Vec<String> = known.warnings().iter().map(ToString::to_string).collect();
    format!("{:?} {:?} {warnings:?}", host.types(), host.check(&key))
}

fn known_hosts_edit(document: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    File::create(&path).unwrap().write_all(document).unwrap();
    let mut file = KnownHostsFile::open(&path).unwrap();
    let named = file.naming("web1").len();
    let damaged = file.damaged();
    let hashed = file.hash_names().unwrap();
    file.save().unwrap();
    drop(file);
    // Whatever can be hashed is, the first time, and what is kept stays as it was.
    let again = KnownHostsFile::open(&path).unwrap().hash_names().unwrap();
    let reasons = |kept: &[(usize, &'static str)]| kept.iter().map(|(_, reason)| *reason).collect::<Vec<_>>();
    assert_eq!((0, reasons(&hashed.kept)), (again.names, reasons(&again.kept)));
    format!("{named} {damaged:?} {hashed:?}")
}

fn revoked_keys(document: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(document).unwrap();
    let revoked = RevokedKeys::read(&[file.path().into()]);
    let key = read_keys(Path::new("known_hosts"), KNOWN_HOSTS.as_bytes()).remove(0).key;
    format!("{:?}", revoked.objection(&key)).replace(&file.path().display().to_string(), "")
}

fn trust_anchors(document: &[u8]) -> String {
    match Anchors::parse(Path::new("anchors"), &String::from_utf8_lossy(document)) {
        Ok(_) => "anchors".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn ssh_config(document: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(document).unwrap();
    // A machine with nothing on it, on which no command of a configuration does anything.
    let nowhere = Path::new("/nonexistent");
    let local = Local {
        home: Some(nowhere.into()),
        user: "ops".to_owned(),
        uid: 1000,
        own_group: None,
        host: "controller.example.com".to_owned(),
        shell: "/bin/false".into(),
        system: nowhere.into(),
        variables: [("HOME".to_owned(), "/nonexistent".to_owned())].into(),
        home_of: |_| None,
    };
    let read = match SshConfig::read(&ConfigSource::File(file.path().into()), local) {
        Ok(read) => read,
        // The file's name is another each time.
        Err(error) => return error.to_string().replace(&file.path().display().to_string(), ""),
    };
    let outcome = ["web1", "db.example.com"].map(|name| {
        let request = Request::new(name);
        match (read.target(&request), read.settings(&request, &Settings::default())) {
            (Ok(target), Ok(settings)) => format!("{:?} {}", target.link.route, settings.len()),
            (Err(error), _) | (_, Err(error)) => error.to_string(),
        }
    });
    format!("{outcome:?} {:?}", read.warnings()).replace(&file.path().display().to_string(), "")
}

fn key_files(document: &[u8]) -> String {
    let keys = read_keys(Path::new("keys"), document);
    keys.iter().map(|key| format!("{} {:?} ", key.key.algorithm(), key.before)).collect()
}

fn version_line(document: &[u8]) -> String {
    let mut text = ClearText::new(Role::Client);
    // In two parts: what is split anywhere is read the same.
    let (first, second) = document.split_at(document.len() / 2);
    let mut entries = text.feed(Direction::Received, first);
    entries.extend(text.feed(Direction::Received, second));
    let whole = ClearText::new(Role::Client).feed(Direction::Received, document);
    assert_eq!(entries, whole);
    format!("{whole:?} {}", text.is_over())
}

/// A proposal of ten lists (RFC 4253, section 7.1).
fn proposal_seed() -> Vec<u8> {
    let lists = ["curve25519-sha256,kex-strict-c-v00@openssh.com", "ssh-ed25519", "aes256-ctr", "aes256-ctr"];
    let mut payload = [&[20_u8][..], &[7; 16]].concat();
    for list in lists.iter().copied().chain(["hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""]) {
        payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    payload
}

fn proposal(document: &[u8]) -> String {
    match Proposal::parse(document) {
        Some(proposal) => format!("{proposal:?}"),
        None => "none".to_owned(),
    }
}
