//! A fleet behind one bastion: OpenSSH's own daemon, with its default MaxStartups and MaxSessions.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use pipedown_ssh::{Agent, Chunk, Connection, Connector, Deadlines, Exec, Route, Settings, Target, Via};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sshd_embed::{Fleet, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{LONG, Place, until};

const SSHD: &str = "/usr/sbin/sshd";

/// The hosts run on this machine, too: a busy one needs minutes.
const PATIENCE: Duration = Duration::from_secs(400);

/// OpenSSH's daemon on a port of its own, with its log.
struct Gate {
    name: &'static str,
    dir: TempDir,
    port: u16,
    log: Arc<std::sync::Mutex<String>>,
    _daemon: Child,
    _listener: JoinHandle<()>,
}

impl Gate {
    /// Starts a daemon, or says why not.
    async fn start(name: &'static str) -> Result<Self, String> {
        if !Path::new(SSHD).exists() {
            return Err(format!("there is no {SSHD}"));
        }
        // sshd insists on its privilege separation directory when it runs as root; boot scripts make it elsewhere.
        if rustix::process::getuid().is_root()
            && let Err(error) = std::fs::create_dir_all("/run/sshd")
        {
            return Err(format!("cannot make /run/sshd: {error}"));
        }
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let host_key = KeyPair::load_or_generate(&file("host_key")).unwrap();
        let identity = KeyPair::load_or_generate(&file("id")).unwrap();
        write(&file("authorized_keys"), &format!("{}\n", identity.public_line()));
        for _ in 0..20 {
            // The daemon cannot choose a port by itself, and another may take a free one before it does.
            let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
            write(&file("known_hosts"), &format!("[{name}]:{port} {}\n", host_key.public_line()));
            write(
                &file("sshd_config"),
                &format!(
                    "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
                     PermitRootLogin yes\nPidFile none\nLogLevel VERBOSE\n",
                    file("host_key").display(),
                    file("authorized_keys").display()
                ),
            );
            let mut command = Command::new(SSHD);
            command.args(["-D", "-e", "-f"]).arg(file("sshd_config")).kill_on_drop(true);
            let mut daemon = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
            let log = Arc::new(std::sync::Mutex::new(String::new()));
            let listens = async {
                while let Some(line) = lines.next_line().await.unwrap() {
                    if line.starts_with("Server listening") {
                        return true;
                    }
                }
                false
            };
            if !timeout(LONG, listens).await.expect("sshd neither listens nor ends") {
                continue;
            }
            let kept = Arc::clone(&log);
            let listener = tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut kept = kept.lock().unwrap();
                    kept.push_str(&line);
                    kept.push('\n');
                }
            });
            return Ok(Self { name, dir, port, log, _daemon: daemon, _listener: listener });
        }
        panic!("sshd found no port");
    }

    fn target(&self) -> Target {
        let user = std::process::Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        let mut target = Target::new(self.name, "127.0.0.1", self.port, user.trim());
        target.login.identities = vec![self.dir.path().join("id")];
        target.login.agent = Agent::None;
        target.trust.user_files = Some(vec![self.dir.path().join("known_hosts")]);
        target
    }

    /// How many TCP connections it has had.
    fn connections(&self) -> usize {
        self.log.lock().unwrap().matches("Connection from ").count()
    }
}

fn write(path: &Path, text: &str) {
    use std::io::Write;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The hosts of a fleet, each behind these hops.
fn targets(fleet: &Fleet, hops: &[Target]) -> Vec<Target> {
    let target = |host: &sshd_embed::RunningHost| {
        let address = host.addrs()[0];
        let mut target = Target::new(host.name(), address.ip().to_string(), address.port(), "root");
        target.login.identities = vec![fleet.identity()];
        target.login.agent = Agent::None;
        target.trust.user_files = Some(vec![fleet.known_hosts()]);
        target.link.route = Route::Jump(hops.to_vec());
        // The others take their time without optimisation, and are not what is tried here.
        target.algorithms.key_exchange = Some(vec!["curve25519-sha256".to_owned()]);
        target
    };
    fleet.hosts().iter().map(target).collect()
}

fn connector() -> Connector {
    let limit = Duration::from_secs(120);
    let deadlines = Deadlines {
        resolve: limit,
        connect: limit,
        banner: limit,
        key_exchange: limit,
        auth: limit,
        open: limit,
        ..Deadlines::default()
    };
    Connector::new(Settings { deadlines, inactivity: limit, ..Settings::default() }, None)
}

/// Everything that a command prints.
async fn output(connection: &Connection, command: &str) -> String {
    let mut exec = connection.exec(command).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = exec.output.next().await {
        match chunk {
            Chunk::Stdout(bytes) => text.extend(bytes),
            Chunk::Exit(0) => {}
            other => panic!("{}: {other:?}", connection.host()),
        }
    }
    String::from_utf8(text).unwrap()
}

/// Reads a flood for as long as it lasts, and counts.
fn swallow(mut exec: Exec, bytes: Arc<AtomicUsize>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(chunk) = exec.output.next().await {
            match chunk {
                Chunk::Stdout(data) => bytes.fetch_add(data.len(), Ordering::SeqCst),
                other => panic!("the flood ended: {other:?}"),
            };
        }
        panic!("the flood ended");
    })
}

/// Waits until the flood has brought more than it has now.
async fn flows(bytes: &AtomicUsize) {
    let now = bytes.load(Ordering::SeqCst);
    until("more of the flood", || bytes.load(Ordering::SeqCst) > now + (1 << 20)).await;
}

/// Five hundred hosts in this process need a socket or two each.
fn raise_limit() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(8192).min(8192);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).is_ok()
        && most >= 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_hosts_share_few_connections_and_one_flood_slows_no_other() {
    let gate = match Gate::start("gate").await {
        Ok(gate) if raise_limit() => gate,
        Ok(_) => return println!("skipped: this process may not open enough files"),
        Err(why) => return println!("skipped: {why}"),
    };
    let place = Place::new(500).await;
    let connector = connector();
    let targets = targets(&place.fleet, &[gate.target()]);
    let (first, others) = targets.split_first().unwrap();
    let flooded = timeout(PATIENCE, connector.connect(first)).await.unwrap().unwrap();
    let line = "x".repeat(4000);
    let flood = flooded.exec(&format!("while :; do echo {line}; done")).await.unwrap();
    let bytes = Arc::new(AtomicUsize::new(0));
    let flood = swallow(flood, Arc::clone(&bytes));
    flows(&bytes).await;
    let reach = |target| {
        let connector = &connector;
        async move {
            let connection =
                connector.connect(target).await.unwrap_or_else(|e| panic!("failed to {e}: {}", e.hint()));
            let said = output(&connection, "echo done").await;
            assert_eq!(said, "done\n", "{}", connection.host());
            connection
        }
    };
    // All stay connected.
    let all = futures::stream::iter(others).map(reach).buffer_unordered(100).collect::<Vec<_>>();
    let all = timeout(PATIENCE, all).await.unwrap();
    assert_eq!(all.len(), 499);
    assert!(all.iter().all(|connection| *connection.via() == Via::Bastion("gate".to_owned())));
    flows(&bytes).await;
    assert!(!flood.is_finished());
    let log = gate.log.lock().unwrap().clone();
    let connections = gate.connections();
    println!(
        "500 hosts, {connections} connections to the bastion, {} MiB of flood",
        bytes.load(Ordering::SeqCst) >> 20
    );
    assert!((8..=10).contains(&connections), "{connections}\n{log}");
    assert!(!log.contains("MaxStartups") && !log.contains("drop connection"), "{log}");
    flood.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_two_bastions() {
    let (outer, inner) = match (Gate::start("outer").await, Gate::start("inner").await) {
        (Ok(outer), Ok(inner)) => (outer, inner),
        (Err(why), _) | (_, Err(why)) => return println!("skipped: {why}"),
    };
    let place = Place::new(3).await;
    let connector = connector();
    let targets = targets(&place.fleet, &[outer.target(), inner.target()]);
    let all = timeout(LONG, futures::future::try_join_all(targets.iter().map(|t| connector.connect(t))));
    let all = all.await.unwrap().unwrap();
    for connection in &all {
        assert_eq!(output(connection, "echo done").await, "done\n");
        assert_eq!(*connection.via(), Via::Bastion("inner".to_owned()));
    }
    assert_eq!((outer.connections(), inner.connections()), (1, 1));
}

/// A host's lines of ssh_config.
fn section(target: &Target) -> String {
    let file = |files: &[std::path::PathBuf]| files[0].display().to_string();
    format!(
        "Host {}\n  HostName {}\n  Port {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
        target.name,
        target.address,
        target.port,
        target.user,
        file(&target.login.identities),
        file(target.trust.user_files.as_ref().unwrap())
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_the_bastion_of_ssh_config() {
    let gate = match Gate::start("gate").await {
        Ok(gate) => gate,
        Err(why) => return println!("skipped: {why}"),
    };
    let place = Place::new(5).await;
    let ctl = &place.controller;
    ctl.write("ssh_config", &format!("{}Host login*\n  ProxyJump gate\n", section(&gate.target())));
    ctl.run("-F ssh_config run nologin-on --all --yes").await.code(0).says("5 done");
    assert!((1..=5).all(|number| place.host(number).dir().join("run/nologin").exists()));
    assert_eq!(gate.connections(), 1);
    drop(gate);
    // A bastion that is gone is the trouble of all of them.
    let said = ctl.run("-F ssh_config run nologin-off --all --yes").await.code(4);
    assert!(said.err.contains("bastion gate: failed to connect to gate"), "{}", said.err);
    assert!(said.err.contains("every host behind gate waits for this"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_others_are_reached_through_is_refused() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    let hop = &targets(&place.fleet, &[])[0];
    // Known by its address here: its name in ssh_config is another one.
    let hop = Target { name: "way-in".to_owned(), ..hop.clone() };
    ctl.write("ssh_config", &format!("{}Host login02\n  ProxyJump way-in\n", section(&hop)));
    let nologin = place.host(1).dir().join("run/nologin");
    let said = ctl.run("-F ssh_config run nologin-on --all --yes").await;
    assert!(said.err.contains("is a bastion: login02 cannot be reached without it"), "{}", said.err);
    assert!(said.code != 0 && !nologin.exists(), "{}", said.err);
    let said = ctl.run("-F ssh_config run nologin-on --all --yes --include-controller").await;
    assert!(
        said.code != 0 && nologin.exists(),
        "login02 is not reached: its bastion has no key: {}",
        said.err
    );
}
