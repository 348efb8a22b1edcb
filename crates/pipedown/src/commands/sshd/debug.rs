//! `pipedown sshd --debug`: a server that shows what its clients say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use pipedown_model::ExitCode;
use pipedown_ssh::{FingerprintHash, HostKey};
use sshd_embed::{
    AuthorizedKeys, Confine, DownKind, EmbeddedHost, HostEvent, HostOptions, KeyPair, RunningHost, Server,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;

use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;
use crate::trace::{Page, Trace};

/// Serves SSH on 127.0.0.1 and prints every message that passes.
#[derive(Debug, Args)]
#[command(next_help_heading = "A server of our own")]
pub struct DebugArgs {
    /// Serve SSH on 127.0.0.1 and show every message that passes
    #[arg(long, required = true)]
    debug: bool,
    /// Port to listen on, on 127.0.0.1 only; 0 lets the system choose
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Public keys that may log in too, beside the one that is made
    #[arg(long, value_name = "FILE")]
    authorized_keys: Option<PathBuf>,
    /// User who may log in, beside root; may be repeated [default: you]
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// End after the first connection
    #[arg(long)]
    once: bool,
}

pub async fn run(around: &Surroundings, args: &DebugArgs) -> Result<ExitCode, Stop> {
    // First of all: from here on nothing stays behind.
    let mut signals = Signals::new()?;
    let dir = tempfile::Builder::new()
        .prefix("pipedown-sshd.")
        .tempdir()
        .map_err(|e| Stop::failed(format!("make a temporary folder: {e}")))?;
    let served = serve(around, args, dir.path(), &mut signals).await;
    let path = dir.path().to_owned();
    let removed = dir.close().map_err(|e| Stop::failed(format!("remove {}: {e}", path.display())));
    served?;
    removed?;
    Ok(ExitCode::Done)
}

async fn serve(
    around: &Surroundings,
    args: &DebugArgs,
    dir: &Path,
    signals: &mut Signals,
) -> Result<(), Stop> {
    let failed = |e: sshd_embed::Error| Stop::failed(format!("serve: {}", with_sources(&e)));
    let client = KeyPair::generate().map_err(failed)?;
    let identity = dir.join("id_ed25519");
    client.save(&identity).map_err(failed)?;
    let mut keys = AuthorizedKeys::new().with_key(&client);
    if let Some(file) = &args.authorized_keys {
        std::fs::File::open(file).map_err(|e| Stop::bad_input(format!("{}: {e}", file.display())))?;
        keys = keys.with_file(file);
    }
    let users = users(args);
    let host = EmbeddedHost::create(dir.join("host"), "debug", options(&users)?).map_err(failed)?;
    let trace = Trace::begin(Page::new(around.global.json))?;
    let server = Server::new()
        .listen(SocketAddr::from(([127, 0, 0, 1], args.port)))
        .authorized_keys(keys)
        .host_key(KeyPair::generate().map_err(failed)?)
        .wire(trace.wire());
    let running = host.start(server).await.map_err(failed)?;
    let told = tell(around, &running, &identity, dir, users.first().map_or("root", String::as_str));
    if told.is_ok() {
        tokio::select! {
            () = signals.asked() => {}
            () = gone_for_good(&running) => {}
            () = trace.ended(1), if args.once => {}
        }
    }
    tokio::select! {
        () = running.stop() => {}
        () = signals.asked() => around.note("stopping at once"),
    }
    told.and(trace.finish())
}

/// Who may log in beside root.
fn users(args: &DebugArgs) -> Vec<String> {
    let mut users = args.user.clone();
    if users.is_empty() {
        let operator = Surroundings::operator();
        users.extend(operator.as_str().split('@').next().map(str::to_owned));
    }
    users
}

fn options(users: &[String]) -> Result<HostOptions, Stop> {
    let program = std::env::current_exe().map_err(|e| Stop::failed(format!("find this program: {e}")))?;
    let options = HostOptions::default().confine(Confine { program, args: vec!["confine".into()] });
    Ok(users.iter().filter(|user| *user != "root").fold(options, HostOptions::user))
}

/// Says where it is and how to get in.
fn tell(
    around: &Surroundings,
    host: &RunningHost,
    identity: &Path,
    dir: &Path,
    user: &str,
) -> Result<(), Stop> {
    let addr = host.addrs().first().ok_or_else(|| Stop::failed("find the server's address"))?;
    let (ip, port) = (addr.ip(), addr.port());
    let known = dir.join("known_hosts");
    let line = format!("[{ip}]:{port} {}\n", host.host_key());
    terminal::write_file(&known, line.as_bytes())
        .map_err(|e| Stop::failed(format!("write {}: {e}", known.display())))?;
    let key = pipedown_ssh::read_keys(&known, line.as_bytes());
    let key = key.first().map(|listed| &listed.key).ok_or_else(|| Stop::failed("read the host key"))?;
    let ssh = ssh_line(identity, &known, user, addr);
    if around.global.json {
        let said = serde_json::json!({
            "kind": "listening", "address": ip, "port": port, "user": user, "host_key": host.host_key(),
            "fingerprint": key.fingerprint(), "identity": identity, "known_hosts": known, "ssh": ssh,
        });
        terminal::data(&format!("{said}\n")).map_err(|e| Stop::failed(format!("write: {e}")))?;
    }
    around.note(&invitation(addr, key, &ssh));
    Ok(())
}

fn invitation(addr: &SocketAddr, key: &HostKey, ssh: &str) -> String {
    let art = key.randomart(FingerprintHash::Sha256);
    format!("listening on {addr}; Ctrl-C ends it\nhost key {key}\n{}\n\n  {ssh}\n", art.trim_end())
}

fn ssh_line(identity: &Path, known: &Path, user: &str, addr: &SocketAddr) -> String {
    let identity = quoted(&identity.display().to_string());
    // ssh_config(5) splits this value at blanks, so it wants quotes of its own.
    let path = known.display().to_string();
    let known = if path.contains(' ') {
        quoted(&format!("UserKnownHostsFile=\"{path}\""))
    } else {
        format!("UserKnownHostsFile={}", quoted(&path))
    };
    format!("ssh -p {} -i {identity} -o {known} -o IdentitiesOnly=yes {user}@{}", addr.port(), addr.ip())
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// Waits until somebody has powered the small host off.
async fn gone_for_good(host: &RunningHost) {
    let mut events = host.events();
    loop {
        match events.recv().await {
            Ok(HostEvent::Down(kind)) if kind != DownKind::Reboot => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The signals that end a server.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, Stop> {
        let take = |kind| signal(kind).map_err(|e| Stop::failed(format!("listen for signals: {e}")));
        Ok(Self([
            take(SignalKind::interrupt())?,
            take(SignalKind::terminate())?,
            take(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [int, term, hup] = &mut self.0;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
