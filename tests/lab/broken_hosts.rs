//! One run over hosts each of which is broken in its own way: one report, with a class and a hint for each, and nothing
//! left behind anywhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::feed::{Watched, now};
use crate::harness::{Controller, Lab, Snapshot, secs};

const FINE: [&str; 2] = ["bookworm25", "sysv25"];
const NO_LOGIND: &str = "bookworm26";
const RUN_FULL: &str = "bookworm27";
const VAR_FULL: &str = "bookworm28";
const WEDGED: &str = "bookworm29";
const POWER_CUT: &str = "bookworm30";
const FROZEN: &str = "trixie25";
const LINK_CUT: &str = "trixie26";

/// Host, what it is, and what the report says of it: the class, something of the text, something of the hint.
const REPORT: [(&str, &str, &str, &str); 17] = [
    ("absent.lab", "no connection", "host unreachable", "check its power, the network and routes"),
    ("closed.lab", "no connection", ":2: connection refused", "nothing listens there"),
    ("nameless.invalid", "name does not resolve", "resolve nameless.invalid", "give the host an address"),
    ("mute.lab", "no SSH banner", "took longer than 30 s", "the port is open but silent"),
    ("stalled.lab", "key exchange", "took longer than 15 s", "the host stalled in the middle"),
    ("stranger.lab", "authentication", "log in to stranger.lab as root: denied", "root's authorized_keys"),
    ("changed.lab", "changed host key", "contradicts", "somebody may be listening in"),
    ("unknown.lab", "unknown host key", "SHA256:", "known_hosts"),
    ("alice.lab", "privileges", "sudo did not take the password", "it was tried once"),
    ("ops.lab", "privileges", "sudo did not take the password", "it was tried once"),
    (NO_LOGIND, "logind", "systemd-logind is masked", "systemctl unmask systemd-logind"),
    (RUN_FULL, "space", "/run: full", "make room"),
    (VAR_FULL, "space", "/var/lib: full", "make room"),
    (WEDGED, "deadline", "finish look on the host: its time was up", "hangs"),
    (FROZEN, "deadline", "no answer within", "look at its console"),
    (POWER_CUT, "link lost", "run arm to its end: the link went away", "look at the host"),
    (LINK_CUT, "link lost", "run arm to its end: the link went away", "look at the host"),
];

/// The first fine host under another name.
const SECOND: &str = "second.lab";

pub fn one_report(lab: &Lab) {
    break_hosts(lab);
    let alive = [FINE[0], FINE[1], NO_LOGIND, RUN_FULL, VAR_FULL, WEDGED, POWER_CUT, FROZEN, LINK_CUT];
    let before: Vec<Snapshot> = alive.iter().map(|h| lab.snapshot(h)).collect();
    let controller = controller(lab);
    listen(lab);
    let frozen = freeze_the_driver(lab);
    let link = link_of(lab, LINK_CUT);
    let began = now();
    let run = ["run", "graceful-shutdown", "-l", "@here", "--in", "20m", "--yes"];
    let options = ["--connect-timeout", "30s", "--become-password-command", "printf wrong"];
    let mut run = controller.start(&[&run[..], &options].concat());
    std::thread::scope(|scope| {
        scope.spawn(|| cut(lab, POWER_CUT, || drop(lab.ask(&["kill", POWER_CUT]))));
        scope.spawn(|| cut(lab, LINK_CUT, || set_link(&link, "down")));
    });
    let armed = run.err.wait_for_nth("  armed  ", FINE.len(), secs(60)) - began;
    run.err.wait_for_nth("not known: what was changed", 2, secs(150));
    has_one_connection(&run);
    let ended = run.wait(secs(150));
    let took = now() - began;
    let report = run.err.text();
    println!("{report}\nthe fine hosts were armed after {armed:.0} s, all was over after {took:.0} s");
    // A gate that refuses is graver than a host that fails, and that than one that cannot be reached.
    assert_eq!(ended.code(), Some(5));
    assert!(armed + 10.0 < took, "hosts waited for each other");
    assert_eq!(frozen.out.count("stopped"), 1);
    is_complete(&report);

    lab.ask(&["boot", POWER_CUT]);
    set_link(&link, "up");
    controller.run(&["cancel"]).expect(0).says("4 cancelled");
    for (host, before) in alive.iter().zip(&before) {
        // PAM had no room there either.
        let stays = |line: &str| line.contains(" /run/motd.dynamic.new ");
        let differs = lab.wait_for_snapshot_but(host, before, secs(30), stays);
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}

/// All but the frozen host have had their turn: its connection is the only one that is left.
fn has_one_connection(run: &Watched) {
    let frozen_is_given_up = || run.err.count("failed to run look: no answer within") > 0;
    let deadline = Instant::now() + secs(40);
    while connections(run) != Some(1) && Instant::now() < deadline {
        if frozen_is_given_up() {
            println!(
                "skipped: what is connected while one host is frozen: on this machine it was given up first"
            );
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(connections(run) == Some(1) || frozen_is_given_up(), "{}", run.err.text());
}

/// Every host has its class and its hint in the end report.
fn is_complete(report: &str) {
    for (host, class, text, hint) in REPORT {
        let said = entry(report, host);
        assert!(said.contains(&format!("{class}: ")) && said.contains(text), "{host}: {said}");
        assert!(said.split("hint: ").nth(1).is_some_and(|h| h.contains(hint)), "{host}: {said}");
    }
    let names = [(SECOND, FINE[0]), (FINE[0], SECOND)];
    let once = names.iter().filter(|(name, first)| {
        entry(report, name)
            .contains(&format!("same machine: is the same machine as {first}, which has its turn"))
    });
    assert_eq!(once.count(), 1, "one machine under two names");
}

/// A controller that knows the hosts, other names for them, and names that lead nowhere.
fn controller(lab: &Lab) -> Controller<'_> {
    let controller = lab.controller_with(&inventory(lab));
    for (name, text) in known_hosts(lab) {
        controller.write(name, &text);
    }
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", "stranger"]).current_dir(controller.home());
    assert!(keygen.status().unwrap().success());
    controller
}

/// What is broken on the hosts themselves.
fn break_hosts(lab: &Lab) {
    lab.sh(NO_LOGIND, "systemctl mask --now systemd-logind 2>/dev/null");
    lab.sh(RUN_FULL, "mount -o remount,size=2M /run; dd if=/dev/zero of=/run/fill bs=1k 2>/dev/null || true");
    lab.sh(
        VAR_FULL,
        "mount -t tmpfs -o size=1M none /var/lib; dd if=/dev/zero of=/var/lib/fill bs=1k 2>/dev/null || true",
    );
    let tool = |name: &str, script: &str| {
        format!("printf '#!/bin/sh\\n{script}\\n' >/usr/local/bin/{name}; chmod 755 /usr/local/bin/{name}")
    };
    lab.sh(WEDGED, &tool("sha256sum", "exec sleep 1000"));
    // Long enough for its driver to be caught looking.
    lab.sh(FROZEN, &tool("sha256sum", "sleep 6; exec /usr/bin/sha256sum \"$@\""));
    // An arm takes long enough to be interrupted in its middle.
    for host in [POWER_CUT, LINK_CUT] {
        lab.sh(host, &tool("sync", "sleep 40; exec /bin/sync \"$@\""));
    }
}

/// Stops the shell that executes our requests as soon as there is one.
fn freeze_the_driver(lab: &Lab) -> Watched {
    let script = r#"
        echo watching
        for i in $(seq 20000); do
            for p in /proc/[0-9]*; do
                if grep -qs "pipedown ready" $p/cmdline && [ -e $p/fd/8 ]; then
                    kill -STOP ${p#/proc/} && echo stopped && exit
                fi
            done
            sleep 0.02
        done"#;
    let watch = Watched::start(lab.command(&["exec", FROZEN, "sh", "-c", script]));
    watch.out.wait_for("watching", secs(60));
    watch
}

/// Does something to a host while a window is being armed there.
fn cut(lab: &Lab, host: &str, act: impl Fn()) {
    lab.wait_until(host, "test -e /var/lib/pipedown/window/armed", secs(60));
    act();
}

/// What stands in a host's line of `lab list`.
fn address(lab: &Lab, host: &str) -> String {
    let list = lab.ask(&["list"]);
    let line = list.lines().find(|l| l.starts_with(host)).unwrap();
    line.split_whitespace().nth(2).unwrap().to_owned()
}

/// A host's link at the controller's end: its network namespace, and its name.
fn link_of(lab: &Lab, host: &str) -> [String; 2] {
    let link = format!("host{}", address(lab, host).rsplit('.').next().unwrap());
    [lab.ask(&["ns"]).trim().to_owned(), link]
}

/// Sets a link `up` or `down`.
fn set_link([namespace, link]: &[String; 2], state: &str) {
    let mut ip = std::process::Command::new("ip");
    ip.args(["-n", namespace, "link", "set", link, state]);
    assert!(ip.status().unwrap().success());
}

/// Opens two ports in the controller's network, for as long as the tests run: one says nothing, the other who it is, and
/// no more.
fn listen(lab: &Lab) {
    let namespace = fs::File::open(format!("/run/netns/{}", lab.ask(&["ns"]).trim())).unwrap();
    for (port, greeting) in [(9001, ""), (9002, "SSH-2.0-Stalled_1.0\r\n")] {
        let namespace = namespace.try_clone().unwrap();
        let (opened, is_open) = mpsc::channel();
        std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = TcpListener::bind(("10.77.0.1", port)).unwrap();
            opened.send(()).unwrap();
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(greeting.as_bytes()).unwrap();
                kept.push(stream);
            }
        });
        is_open.recv().unwrap();
    }
}

/// The hosts under their own names, and names that lead nowhere, or elsewhere.
fn inventory(lab: &Lab) -> String {
    let home = address(lab, FINE[0]);
    let mut text = lab.inventory();
    let mut names: Vec<&str> = REPORT.iter().map(|(host, ..)| *host).collect();
    names.extend(FINE);
    names.push(SECOND);
    let quoted: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
    let group = format!("[groups.here]\nhosts = [{}]\n", quoted.join(", "));
    let at = text.find("\n[hosts.").unwrap();
    text.insert_str(at, &format!("\n{group}"));
    let mut add = |name: &str, address: &str, more: &str| {
        write!(text, "\n[hosts.\"{name}\"]\naddress = \"{address}\"\n{more}\n").unwrap();
    };
    let known = "known_hosts = \"known_hosts.here\"";
    add("absent.lab", "10.77.0.250", "");
    add("closed.lab", &home, "port = 2");
    add("mute.lab", "10.77.0.1", "port = 9001");
    add("stalled.lab", "10.77.0.1", "port = 9002");
    add("stranger.lab", &home, "identity_file = \"stranger\"");
    add("changed.lab", &home, "known_hosts = \"known_hosts.changed\"");
    add("unknown.lab", &home, "known_hosts = \"known_hosts.none\"");
    add("alice.lab", &home, &format!("user = \"alice\"\nbecome = \"sudo\"\n{known}"));
    add("ops.lab", &home, &format!("user = \"ops\"\nbecome = \"sudo\"\n{known}"));
    add(SECOND, &home, known);
    text
}

/// Files of known host keys: with the keys of the first fine host, with another's for it, with none.
fn known_hosts(lab: &Lab) -> [(&'static str, String); 3] {
    let inventory = lab.inventory();
    let path = inventory.lines().find_map(|l| l.strip_prefix("known_hosts = ")).unwrap().trim_matches('"');
    let all = fs::read_to_string(path).unwrap();
    let naming = |names: &str, host: &str| {
        let own = format!("{host},");
        let keys = all.lines().filter(|l| l.starts_with(&own)).filter_map(|l| l.split_once(' '));
        keys.map(|(_, key)| format!("{names} {key}\n")).collect::<String>()
    };
    [
        ("known_hosts.here", naming("alice.lab,ops.lab,second.lab", FINE[0])),
        ("known_hosts.changed", naming("changed.lab", FINE[1])),
        ("known_hosts.none", String::new()),
    ]
}

/// How many TCP connections a process holds, unless it has ended.
fn connections(run: &Watched) -> Option<usize> {
    let process = Path::new("/proc").join(run.pid().to_string());
    let descriptors = fs::read_dir(process.join("fd")).ok()?;
    let targets = descriptors.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let sockets: BTreeSet<String> = targets
        .filter_map(|t| Some(t.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(process.join("net/tcp")).ok()?;
    let inodes = table.lines().skip(1).filter_map(|l| l.split_whitespace().nth(9));
    Some(inodes.filter(|inode| sockets.contains(*inode)).count())
}

/// What the end report says of a host that is not where it should be.
fn entry(report: &str, host: &str) -> String {
    let end = report.rfind("\nrun ").unwrap();
    let names = |line: &str| {
        let set = line.strip_prefix("  ").filter(|set| !set.contains(' '));
        set.is_some_and(|set| set.split(',').any(|name| name == host))
    };
    let lines = report[end..].lines().skip_while(|l| !names(l)).skip(1);
    lines.take_while(|l| l.starts_with("    ")).map(|l| format!("{l}\n")).collect()
}
