//! Files to hosts, and back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pipedown_model::{EventKind, Outcome};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Controller, LONG, OpenSsh, Place, until};

/// No part is left in a folder.
#[track_caller]
fn tidy(folder: &Path) {
    let names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains(".pipedown-")), "{names:?}");
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Bytes that no compression and no accident makes alike.
fn noise(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    let mut block = Sha256::digest(b"noise");
    while bytes.len() < size {
        bytes.extend_from_slice(&block);
        // A new sum for each block would take a debug build minutes.
        if bytes.len() % 4096 == 0 {
            block = Sha256::digest(block);
        }
    }
    bytes.truncate(size);
    bytes
}

fn put(ctl: &Controller, name: &str, bytes: &[u8]) {
    std::io::Write::write_all(&mut fs::File::create(ctl.here().join(name)).unwrap(), bytes).unwrap();
}

fn outcomes(out: &str) -> Vec<Outcome> {
    let events = out.lines().map(|line| serde_json::from_str::<pipedown_model::Event>(line).unwrap());
    let finished = |event: pipedown_model::Event| match event.kind {
        EventKind::StepFinished { outcome, .. } => Some(outcome),
        _ => None,
    };
    events.filter_map(finished).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_every_host_once() {
    let place = Place::new(3).await;
    let ctl = &place.controller;
    ctl.write("motd", "all hands\n");
    let dry = ctl.run("copy motd @fleet:/etc/motd --mode 0604 --dry-run --detailed-exitcode").await.code(2);
    assert!(dry.err.contains("/etc/motd: ") && dry.err.contains("-> 10 B, "), "{}", dry.err);
    ctl.run("copy motd @fleet:/etc/motd --mode 0604 -v").await.code(0).says("copy: 30 B");
    for host in place.fleet.hosts() {
        let motd = host.dir().join("etc/motd");
        assert_eq!((fs::read_to_string(&motd).unwrap(), mode(&motd)), ("all hands\n".to_owned(), 0o604));
        tidy(&host.dir().join("etc"));
    }
    let again = ctl.run("copy motd @fleet:/etc/motd --mode 0604 --json").await.code(0);
    assert_eq!(outcomes(&again.out), vec![Outcome::Unchanged; 3]);
    assert!(!again.err.contains("copy: "), "nothing went over the wire: {}", again.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_there_and_comes_back() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    for (name, text) in
        [("app/a b", "1"), ("app/-rf", "2"), ("app/sub/it's \"x\"\n#y", "3"), ("app/empty", "")]
    {
        ctl.write(name, text);
    }
    fs::set_permissions(ctl.here().join("app/a b"), fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::symlink("a b", ctl.here().join("app/link")).unwrap();
    ctl.run("copy app @fleet:/srv/deep/").await.code(64).says("-r copies folders");
    ctl.run("copy -r app @fleet:/srv/deep/").await.code(3).says("--parents makes missing folders");
    ctl.run("copy -r app @fleet:/srv/deep/ --parents").await.code(0);
    let there = place.host(2).dir().join("srv/deep/app");
    assert_eq!(fs::read_to_string(there.join("sub/it's \"x\"\n#y")).unwrap(), "3");
    assert_eq!(mode(&there.join("a b")), 0o751);
    assert_eq!(fs::read_link(there.join("link")).unwrap(), Path::new("a b"));
    ctl.run("fetch -r @fleet:/srv/deep/app back").await.code(0);
    for host in ["login01", "login02"] {
        let back = ctl.here().join("back").join(host).join("app");
        assert_eq!(fs::read_to_string(back.join("-rf")).unwrap(), "2");
        assert_eq!(fs::read_to_string(back.join("empty")).unwrap(), "");
        assert_eq!(
            (mode(&back.join("a b")), fs::read_link(back.join("link")).unwrap()),
            (0o751, "a b".into())
        );
        tidy(&back);
    }
    let again = ctl.run("fetch -r @fleet:/srv/deep/app back --json").await.code(0);
    assert_eq!(outcomes(&again.out), vec![Outcome::Unchanged; 2]);
    ctl.run("fetch @fleet:/nothing back").await.code(3).says("there is no such file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("motd", "x");
    ctl.run("copy motd login01").await.code(64).says("SET:/path");
    ctl.run("copy nothing login01:/etc/motd").await.code(65).says("failed to read nothing");
    ctl.run("copy motd login01:/etc").await.code(3).says("a folder has that name").says("final slash");
    ctl.run("copy motd login01:/no/such").await.code(3).says("the folder /no is not there");
    ctl.run("fetch login01:/etc back").await.code(3).says("it is a folder").says("-r fetches it");
    ctl.run("copy motd nobody:/x").await.code(64);
    assert!(!ctl.here().join("back/login01").exists());
}

/// A way to a host that can be cut.
struct Way {
    port: u16,
    /// How many bytes may still pass; the connection is dropped after them.
    limit: watch::Sender<u64>,
}

impl Way {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (limit, limits) = watch::channel(u64::MAX);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (address, limit) = (address.clone(), *limits.borrow());
                tokio::spawn(async move {
                    let far = TcpStream::connect(address).await.unwrap();
                    let (mut near_in, mut near_out) = near.into_split();
                    let (mut far_in, mut far_out) = far.into_split();
                    let there = async move {
                        let (mut left, mut block) = (limit, vec![0; 16 * 1024]);
                        while let Ok(read @ 1..) = near_in.read(&mut block).await {
                            let Some(rest) = left.checked_sub(read as u64) else { return };
                            left = rest;
                            if far_out.write_all(&block[..read]).await.is_err() {
                                return;
                            }
                        }
                    };
                    let back = async move { tokio::io::copy(&mut far_in, &mut near_out).await };
                    // Whichever ends, both sides are dropped.
                    tokio::select! {
                        () = there => {}
                        _ = back => {}
                    }
                });
            }
        });
        Self { port, limit }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_cut_goes_on_from_where_it_was() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let host = fleet.host(1);
    let way = Way::to(format!("{}:2222", host.address)).await;
    let ctl = Controller::new();
    let known = fleet.inventory("").replace("port = 2222", &format!("port = {}", way.port));
    let known = known.replace(&format!("address = \"{}\"", host.address), "address = \"127.0.0.1\"");
    // The key is known under the host's own address.
    let keys = fleet
        .inventory("")
        .lines()
        .find_map(|l| l.strip_prefix("known_hosts = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let line = fs::read_to_string(keys)
        .unwrap()
        .replace(&format!("[{}]:2222", host.address), &format!("[127.0.0.1]:{}", way.port));
    let file = ctl.write("known_hosts", &line);
    let known: Vec<String> =
        known
            .lines()
            .map(|l| {
                if l.starts_with("known_hosts = ") { format!("known_hosts = {file:?}") } else { l.to_owned() }
            })
            .collect();
    ctl.write("inventory.toml", &known.join("\n"));
    let bytes = noise(24 << 20);
    put(&ctl, "large", &bytes);
    way.limit.send(10 << 20).unwrap();
    let cut = ctl.run_within(LONG * 4, "copy large web001:/root/large").await.code(3);
    assert!(cut.err.contains("of 24.0 MiB"), "{}", cut.err);
    assert!(!host.folder().join("root/large").exists(), "no half file under its name");
    let run = ctl.only_run();
    let part = || {
        fs::read_dir(host.folder().join("root")).unwrap().find_map(|e| {
            let path = e.unwrap().path();
            path.to_string_lossy().ends_with(".part").then_some(path)
        })
    };
    // What sshd still had in hand is written when the link is gone, and then it has the name of a part that rests.
    until("the part has some of it", || part().is_some_and(|p| p.metadata().unwrap().len() > 1 << 20)).await;
    let had = part().unwrap().metadata().unwrap().len();
    way.limit.send(u64::MAX).unwrap();
    let done = ctl.run_within(LONG * 4, &format!("resume {run} -v")).await.code(0);
    assert!(done.err.contains("went on from"), "{}", done.err);
    assert_eq!(fs::read(host.folder().join("root/large")).unwrap(), bytes);
    assert!(had > 0);
    // The other way round.
    way.limit.send(u64::MAX).unwrap();
    ctl.run_within(LONG * 4, "fetch web001:/root/large back").await.code(0);
    assert_eq!(fs::read(ctl.here().join("back/web001/large")).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_copy_is_resumed() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    let bytes = noise(64 << 20);
    put(&ctl, "large", &bytes);
    let mut running = ctl.start("copy large @fleet:/root/ --json");
    running.event(|event| matches!(event.kind, EventKind::StepStarted { .. })).await;
    running.kill().await;
    let run = ctl.only_run();
    ctl.run_within(LONG * 4, &format!("resume {run}")).await.code(0);
    for host in fleet.hosts() {
        let there = host.sh("sha256sum </root/large");
        let wanted: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(there.split(' ').next().unwrap(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_rights_are_those_of_the_host() {
    let Some(fleet) = OpenSsh::start(1, |_, _| {}) else { return };
    let host = fleet.host(1);
    let ctl = fleet.controller("user = \"deploy\"");
    ctl.write("motd", "x");
    ctl.run("copy motd web001:/etc/motd.d").await.code(3).says("--sudo copies as root");
    ctl.run("copy motd web001:").await.code(0);
    assert_eq!(host.sh("stat -c '%U %a' /home/deploy/motd").trim(), "deploy 644");
    host.sh("chown alice:alice /home/deploy/motd; echo longer >/home/deploy/motd");
    ctl.run("copy motd web001:./motd").await.code(3).says("only root gives files away");
    tidy(&host.folder().join("home/deploy"));
    let root = fleet.controller("");
    root.write("motd", "x");
    root.run("copy motd web001:/home/deploy/motd").await.code(0);
    assert_eq!(host.sh("stat -c '%U:%G' /home/deploy/motd").trim(), "alice:alice", "the owner is kept");
    root.run("copy motd web001:/home/deploy/motd --owner deploy:deploy").await.code(0);
    assert_eq!(host.sh("stat -c '%U:%G' /home/deploy/motd").trim(), "deploy:deploy");
    host.sh("chmod 600 /home/deploy/motd; chown root /home/deploy/motd");
    ctl.run("fetch web001:./motd back").await.code(3).says("permission denied");
}
