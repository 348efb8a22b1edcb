//! The `sshd-embed` command.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use sshd_embed::{
    Addressing, Answer, Answers, AuthorizedKeys, Confine, Crowd, CrowdOptions, EmbeddedHost, Error, Fleet,
    FleetOptions, HostEvent, HostOptions, KeyPair, RunningHost, Server, Share, confine_main,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;

/// Serves SSH without an sshd: this machine, or directories that look like hosts.
///
/// Public keys only; every command runs as the user that runs sshd-embed, whatever name logs in. Forwarding, agents, X11
/// and subsystems (sftp) are refused. TERM or INT stops gracefully, a second one at once.
#[derive(Parser)]
#[command(name = "sshd-embed", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Mode>,
    #[command(flatten)]
    serve: Serve,
}

const EXAMPLES: &str = "\
Examples:
  Serve this machine, for yourself only:
    sshd-embed --listen 127.0.0.1:2222 --authorized-keys ~/.ssh/id_ed25519.pub

  Serve a host that can be rebooted and powered off without touching this machine:
    sshd-embed --root ./login01 --listen 127.0.0.1:2222 --authorized-keys ~/.ssh/id_ed25519.pub --user alice
    ssh -p 2222 alice@127.0.0.1
    ssh -p 2222 root@127.0.0.1 'echo closed > $PIPEDOWN_ROOT/run/nologin; shutdown -r now'

  Serve twenty of them, with a key and a known_hosts file:
    sshd-embed fleet 20 --dir ./fleet
    ssh -i fleet/id_ed25519 -o UserKnownHostsFile=fleet/known_hosts -p PORT root@127.0.0.1

  Serve ten thousand that answer `true` and run nothing, a hundred of which never answer a connect:
    sshd-embed crowd 10000 --dir ./crowd --port 2222 --fault drop-syn=1%";

#[derive(Subcommand)]
enum Mode {
    /// Serve many hosts, each in a directory of its own.
    ///
    /// Prints one JSON object a line and host (name, address, port, dir, key, known_hosts) once all listen.
    Fleet(FleetArgs),
    /// Serve thousands of hosts that answer commands without running them, some of them broken.
    ///
    /// Prints one JSON object a line and host (name, address, port, fault, key, known_hosts) once all listen. They have
    /// the addresses from 127.0.0.2 on, and are served to this machine only.
    Crowd(CrowdArgs),
}

#[derive(Args)]
struct Serve {
    /// Serve this directory as a host instead of the machine; it must be new, empty, or made by this option.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose. May be repeated.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2222")]
    listen: Vec<SocketAddr>,
    /// Public keys that may log in, in the format of sshd's authorized_keys; read again at each login.
    #[arg(long, value_name = "FILE", required = true)]
    authorized_keys: Option<PathBuf>,
    /// Private host key; made when it does not exist. Without it, a new key is drawn at each start
    /// [with --root: DIR.key].
    #[arg(long, value_name = "FILE")]
    host_key: Option<PathBuf>,
    /// User name that may log in; may be repeated [default: $USER; with --root, root may always].
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// Host name of --root [default: the directory's name].
    #[arg(long, value_name = "NAME", requires = "root")]
    name: Option<String>,
    /// Do not confine the commands of --root with Landlock to its directory.
    #[arg(long, requires = "root")]
    no_confine: bool,
}

#[derive(Args)]
struct FleetArgs {
    /// How many hosts.
    #[arg(value_name = "N")]
    hosts: usize,
    /// Where their directories, the key and the known_hosts file are made; they stay there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What their names begin with.
    #[arg(long, value_name = "NAME", default_value = "login")]
    prefix: String,
    /// Give each an address of its own from 127.0.0.2 on, all on this port, instead of ports on 127.0.0.1.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// User name that may log in beside root; may be repeated.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// Do not confine the hosts' commands with Landlock to their directories.
    #[arg(long)]
    no_confine: bool,
}

#[derive(Args)]
struct CrowdArgs {
    /// How many hosts.
    #[arg(value_name = "N")]
    hosts: usize,
    /// Where the key and the known_hosts file are made; they stay there.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What their names begin with.
    #[arg(long, value_name = "NAME", default_value = "node")]
    prefix: String,
    /// The port of all that listen [default: the system chooses].
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// User name that may log in beside root; may be repeated.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// How many hosts are broken, and how; may be repeated: refuse, drop-syn, stall-banner, stall-kex, deny-auth, hang,
    /// flood, die (half-way), real (runs commands on this machine).
    #[arg(long, value_name = "FAULT=HOSTS|%")]
    fault: Vec<Share>,
    /// Answer this command with a status; may be repeated. `true` and `false` are known; all others end with 127.
    #[arg(long, value_name = "COMMAND=STATUS", value_parser = answer)]
    answer: Vec<(String, Answer)>,
}

fn answer(text: &str) -> Result<(String, Answer), String> {
    let (command, status) = text.rsplit_once('=').ok_or("expected COMMAND=STATUS")?;
    let status: u8 = status.parse().map_err(|_| "expected a status from 0 to 255")?;
    Ok((command.to_owned(), Answer::status(status.into())))
}

/// A line that tells where a host of a crowd is.
#[derive(Serialize)]
struct CrowdLine<'a> {
    name: &'a str,
    address: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    key: PathBuf,
    known_hosts: PathBuf,
}

/// A line that tells where a host of a fleet is.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    address: String,
    port: u16,
    dir: &'a std::path::Path,
    key: PathBuf,
    known_hosts: PathBuf,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "--confine") {
        return confine_main(args);
    }
    let cli = Cli::parse();
    let run = async {
        match cli.command {
            Some(Mode::Fleet(args)) => fleet(args).await,
            Some(Mode::Crowd(args)) => crowd(args).await,
            None if cli.serve.root.is_some() => host(cli.serve).await,
            None => machine(cli.serve).await,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed to {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes talk to standard error; where that is closed, nobody listens.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "sshd-embed: {text}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The signals that end a server.
struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// Waits for a graceful stop, or for the second signal.
    async fn or_at_once(&mut self, graceful: impl Future<Output = ()>) {
        tokio::select! {
            () = graceful => {}
            () = self.asked() => say("stopping at once"),
        }
    }
}

fn server(args: &Serve, key: Option<PathBuf>) -> Result<Server, Error> {
    let mut server = Server::new();
    for &addr in &args.listen {
        server = server.listen(addr);
    }
    if let Some(path) = key {
        server = server.host_key(KeyPair::load_or_generate(&path)?);
    }
    if let Some(file) = &args.authorized_keys {
        server = server.authorized_keys(AuthorizedKeys::new().with_file(file));
    }
    for user in &args.user {
        server = server.user(user);
    }
    Ok(server)
}

async fn machine(mut args: Serve) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    if args.user.is_empty() {
        args.user.extend(std::env::var("USER").or_else(|_| std::env::var("LOGNAME")));
    }
    let running = server(&args, args.host_key.clone())?.start().await?;
    announce(running.addrs(), &running.host_key());
    stop.asked().await;
    stop.or_at_once(running.stop()).await;
    Ok(())
}

fn announce(addrs: &[SocketAddr], host_key: &str) {
    for addr in addrs {
        say(&format!("listening on {addr}"));
    }
    say(&format!("host key {host_key}"));
}

fn host_options(users: &[String], no_confine: bool) -> Result<HostOptions, Failure> {
    let mut options = HostOptions::default();
    for user in users.iter().filter(|user| *user != "root") {
        options = options.user(user);
    }
    if !no_confine {
        options = options.confine(Confine::current_exe()?);
    }
    Ok(options)
}

async fn host(args: Serve) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let root = args.root.clone().unwrap_or_default();
    let of_dir = root.file_name().and_then(|name| name.to_str()).unwrap_or("embedded");
    let name = args.name.as_deref().unwrap_or(of_dir);
    let host = EmbeddedHost::create(&root, name, host_options(&args.user, args.no_confine)?)?;
    let beside = host.dir().with_file_name(format!("{of_dir}.key"));
    let key = args.host_key.clone().unwrap_or(beside);
    let running = host.start(server(&args, Some(key))?).await?;
    announce(running.addrs(), running.host_key());
    tokio::select! {
        () = stop.asked() => {}
        () = gone_for_good(&running) => {}
    }
    stop.or_at_once(running.stop()).await;
    Ok(())
}

/// Tells what happens to a host, until it is powered off or halted.
async fn gone_for_good(host: &RunningHost) {
    let mut events = host.events();
    loop {
        match events.recv().await {
            Ok(HostEvent::Up { boot_id }) => say(&format!("{} is up, boot id {boot_id}", host.name())),
            Ok(HostEvent::Down(sshd_embed::DownKind::Reboot)) => say(&format!("{} reboots", host.name())),
            Ok(HostEvent::Down(kind)) => {
                say(&format!("{} is down: {kind:?}", host.name()));
                return;
            }
            Ok(event) => say(&format!("{}: {event:?}", host.name())),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn fleet(args: FleetArgs) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    let addressing = args.port.map_or(Addressing::Ports, Addressing::Addresses);
    let options = FleetOptions::default()
        .dir(args.dir)
        .prefix(args.prefix)
        .addressing(addressing)
        .host(host_options(&args.user, args.no_confine)?);
    let fleet = Fleet::start(args.hosts, options).await?;
    print_lines(&fleet)?;
    stop.asked().await;
    stop.or_at_once(fleet.stop()).await;
    Ok(())
}

fn print_lines(fleet: &Fleet) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for host in fleet.hosts() {
        for addr in host.addrs() {
            let line = Line {
                name: host.name(),
                address: addr.ip().to_string(),
                port: addr.port(),
                dir: host.dir(),
                key: fleet.identity(),
                known_hosts: fleet.known_hosts(),
            };
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        }
    }
    out.flush()
}

async fn crowd(args: CrowdArgs) -> Result<(), Failure> {
    let mut stop = Stop::new()?;
    raise_descriptors();
    let known = Answers::default();
    let answers = args.answer.into_iter().fold(known, |all, (command, answer)| all.with(command, answer));
    let mut options =
        CrowdOptions::default().dir(args.dir).prefix(args.prefix).port(args.port).answers(answers);
    options.users = args.user;
    options.shares = args.fault;
    let crowd = Crowd::start(args.hosts, options).await?;
    print_crowd(&crowd)?;
    stop.asked().await;
    stop.or_at_once(crowd.stop()).await;
    Ok(())
}

/// Raises the soft limit of open files to the hard one; where that is forbidden, fewer clients are served at once.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn print_crowd(crowd: &Crowd) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for host in crowd.hosts() {
        let line = CrowdLine {
            name: &host.name,
            address: host.addr.ip().to_string(),
            port: host.addr.port(),
            fault: host.fault.map(sshd_embed::CrowdFault::name),
            key: crowd.identity(),
            known_hosts: crowd.known_hosts(),
        };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
    }
    out.flush()
}
