//! Commands whose end is not their own: the link is cut, somebody presses Ctrl-C, a host is not who it was.

use std::io::Write as _;

use pipedown_model::{Effect, EventKind, FailureClass};
use sshd_embed::KeyPair;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::storm::{COMMAND, crowd};
use crate::support::{Controller, OpenSsh, Place, release, until};

/// Says that it has begun, and ends when it is let go.
const HELD: &str = "'echo begun; until [ -e $PIPEDOWN_ROOT/tmp/go-on ]; do sleep 0.05; done; echo done'";

/// A way to a host that can be cut.
struct Way {
    port: u16,
    cut: watch::Sender<bool>,
}

impl Way {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (address, mut is_cut) = (address.clone(), is_cut.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(address).await.unwrap();
                    // Whichever ends, both sides are dropped.
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, cut }
    }

    /// A controller that goes this way to the first host of an inventory, which has this key.
    fn controller(&self, inventory: &str, (ip, port): (&str, u16), key: &str) -> Controller {
        let ctl = Controller::new();
        let keys = inventory.lines().find_map(|line| line.strip_prefix("known_hosts = ")).unwrap();
        let known = std::fs::read_to_string(keys.trim_matches('"')).unwrap();
        let known = ctl.write("known_hosts", &format!("{known}\n[127.0.0.1]:{} {key}\n", self.port));
        let there = format!("address = \"{ip}\"\nport = {port}\n");
        let here = format!("address = \"127.0.0.1\"\nport = {}\n", self.port);
        assert!(inventory.contains(&there), "{inventory}");
        ctl.write(
            "inventory.toml",
            &inventory.replacen(&there, &here, 1).replace(keys, &format!("{known:?}")),
        );
        ctl
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_leaves_what_has_come_and_a_question() {
    let place = Place::new(2).await;
    let addr = place.host(1).addrs()[0];
    let way = Way::to(addr.to_string()).await;
    let ctl = way.controller(&place.inventory(), ("127.0.0.1", addr.port()), place.host(1).host_key());
    release(place.host(2));
    let mut run = ctl.start(&format!("exec --all -- {HELD}"));
    run.printed("login01: begun").await;
    way.cut.send(true).unwrap();
    let said = run.end().await.code(3).says("the link went away").says("not known what happened on 1 host");
    assert!(said.out.contains("login02: done\n"), "the other host has ended: {}", said.out);
    assert!(!said.out.contains("login01: done"), "{}", said.out);
    let id = ctl.only_run();
    assert!(!said.err.contains("go down") && !said.err.contains("pipedown cancel"), "{}", said.err);
    ctl.run(&format!("cancel {id}")).await.code(64).says("there is nothing to call off");
    let active = ctl.run("runs --active").await.code(0);
    assert!(!active.out.contains(id.as_str()), "{}", active.out);
    let again = ctl.run(&format!("show {id}")).await.code(0);
    assert_eq!(again.out, "login01: begun\nlogin02: begun\nlogin02: done\n", "what came is kept");
    let told = ctl.run(&format!("show {id} --json")).await.code(0);
    let lost = told.out.lines().find(|line| line.contains("\"host_lost\"")).unwrap();
    let lost: pipedown_model::Event = serde_json::from_str(lost).unwrap();
    let EventKind::HostLost { host, during, effect, error } = lost.kind else { panic!("{lost:?}") };
    assert_eq!((host.as_str(), during.unwrap().as_str()), ("login01", "exec"));
    assert_eq!((effect, error.class), (Effect::Unknown, FailureClass::Dropped));

    // Whether it is run again is an operator's decision.
    way.cut.send(false).unwrap();
    release(place.host(1));
    ctl.run(&format!("resume {id}")).await.code(3).says("--retry-unknown");
    let said = ctl.run(&format!("resume {id} --retry-unknown")).await.code(0);
    assert_eq!(said.out, "login01: begun\nlogin01: done\n");
    let again = ctl.run(&format!("show {id}")).await.code(0);
    assert_eq!(again.out.matches("login01: begun\n").count(), 1, "of two attempts the last is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_ends_a_command_whose_link_was_cut() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let host = fleet.host(1);
    let way = Way::to(format!("{}:2222", host.address)).await;
    let key = std::fs::read_to_string(host.folder().join("ssh/ssh_host_ed25519_key.pub")).unwrap();
    let ctl = way.controller(&fleet.inventory(""), (&host.address, 2222), key.trim());
    let mut run = ctl.start("exec --all --timeout 10s -- 'echo begun; sleep 1000 & sleep 1000'");
    run.printed("web001: begun").await;
    way.cut.send(true).unwrap();
    run.end().await.code(3).says("the link went away");
    until("nothing of it is left", || host.sh("pgrep -x sleep || true").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_once_lets_commands_end_and_accounts_for_the_others() {
    let place = Place::new(4).await;
    let ctl = &place.controller;
    let mut run = ctl.start(&format!("exec --all --parallel 2 -- {HELD}"));
    run.printed("begun").await;
    run.printed("begun").await;
    run.interrupt();
    run.until("interrupted: no new host is begun").await;
    (1..=4).for_each(|number| release(place.host(number)));
    let said = run.end().await.code(5).says("2 of 4 hosts were not begun");
    let mut lines: Vec<&str> = said.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["login01: begun", "login01: done", "login02: begun", "login02: done"]);
    let id = ctl.only_run();
    let said = ctl.run(&format!("resume {id}")).await.code(0);
    assert!(!said.out.contains("login01") && said.out.contains("login04: done"), "{}", said.out);
}

/// Waits until a text is kept as often as hosts print it.
async fn kept(ctl: &Controller, text: &str, times: usize) {
    let folder = ctl.dir().join("home/.local/state/pipedown/runs");
    let kept = || {
        let Some(run) = ctl.runs().pop() else { return false };
        let bytes = std::fs::read(folder.join(run.as_str()).join("output")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches(text).count() == times
    };
    until("it is kept", kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_twice_shows_what_has_come_and_ends_at_once() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    // Folded output is shown at the end: this is the end.
    let line = "exec --all -b --parallel 2 --timeout none -- 'echo $$ >$PIPEDOWN_ROOT/tmp/pid; echo begun; sleep 1000'";
    let mut run = ctl.start(line);
    kept(ctl, "begun", 2).await;
    run.interrupt();
    run.until("interrupted").await;
    run.interrupt();
    run.until("stopping now").await;
    let said = run.end().await.code(5);
    assert_eq!(said.out, "== login[01-02] (2 hosts)\nbegun\n", "{}", said.err);
    assert!(said.err.contains("in flight on 2 hosts is not known, 1 were not begun"), "{}", said.err);
    assert!(said.err.contains("--retry-unknown"), "{}", said.err);
    for number in [1, 2] {
        let pid = std::fs::read_to_string(place.host(number).dir().join("tmp/pid")).unwrap();
        let gone = || !std::path::Path::new("/proc").join(pid.trim()).exists();
        until("the command is gone", gone).await;
    }
    assert!(!place.host(3).dir().join("tmp/pid").exists());
}

/// OpenSSH passes signals on, but not to logins as root: there the deadline ends what runs.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_twice_leaves_nothing_on_real_sshd() {
    let Some(fleet) = OpenSsh::start(2, |_, _| {}) else { return };
    for (user, limit) in [("deploy", "none"), ("root", "10s")] {
        let ctl = fleet.controller(&format!("user = {user:?}"));
        let line = format!("exec --all --timeout {limit} -- 'echo begun; sleep 1000 & sleep 1000'");
        let mut run = ctl.start(&line);
        run.printed("begun").await;
        run.printed("begun").await;
        run.interrupt();
        run.until("interrupted").await;
        run.interrupt();
        run.end().await.code(5);
        for host in fleet.hosts() {
            until("nothing of it is left", || host.sh("pgrep -x sleep || true").is_empty()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_among_many() {
    let (crowd, ctl) = crowd(30, []).await;
    let changed = &crowd.hosts()[6];
    let other = KeyPair::load_or_generate(&ctl.here().join("other")).unwrap();
    let known = std::fs::read_to_string(crowd.known_hosts()).unwrap();
    let name = format!("[{}]:{} ", changed.addr.ip(), changed.addr.port());
    assert!(known.lines().any(|line| line.starts_with(&name)), "{known}");
    let known: String = known
        .lines()
        .map(|line| match line.starts_with(&name) {
            true => format!("{name}{}\n", other.public_line()),
            false => format!("{line}\n"),
        })
        .collect();
    std::fs::File::create(crowd.known_hosts()).unwrap().write_all(known.as_bytes()).unwrap();
    let said = ctl.run(&format!("exec --all --json -- {COMMAND:?}")).await.code(3);
    let (mut done, mut lost) = (0, Vec::new());
    for line in said.out.lines().filter(|line| !line.contains("\"kind\":\"output\"")) {
        match serde_json::from_str::<pipedown_model::Event>(line).unwrap().kind {
            EventKind::HostDone { .. } => done += 1,
            EventKind::HostLost { host, effect, error, .. } => lost.push((host, effect, error.class)),
            _ => {}
        }
    }
    assert_eq!(done, 29);
    let [(host, effect, class)] = lost.as_slice() else { panic!("{lost:?}") };
    assert_eq!(host.as_str(), changed.name);
    assert_eq!((*effect, *class), (Effect::None, FailureClass::HostKeyChanged));
    let said = ctl.run(&format!("exec --all -- {COMMAND:?}")).await.code(3);
    assert!(
        said.err.contains(&changed.name) && said.err.contains("succeeded on 29 of 30 hosts"),
        "{}",
        said.err
    );
    crowd.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_is_as_interrupted() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let mut run = ctl.start(&format!("exec --all --parallel 1 -- {HELD}"));
    run.printed("login01: begun").await;
    run.terminate();
    run.until("interrupted: no new host is begun").await;
    (1..=2).for_each(|number| release(place.host(number)));
    let said = run.end().await.code(5);
    assert_eq!(said.out, "login01: begun\nlogin01: done\n");
}
