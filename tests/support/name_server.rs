//! A name server with signed zones: NSD on loopback, zones signed by ldnsutils, under a root of its own.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to answer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a zone is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Not at all; its parent proves that.
    No,
    /// With NSEC.
    Nsec,
    /// With NSEC3.
    Nsec3,
    /// With signatures that have expired.
    Expired,
    /// Well, and then every digest was changed.
    Tampered,
}

/// A zone right below the root.
pub struct Zone {
    /// Its name, `fleet.` for example.
    pub origin: &'static str,
    pub signing: Signing,
    /// Records, with names relative to the origin.
    pub records: String,
}

/// The server; it ends when this is dropped.
pub struct NameServer {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    nsd: Child,
}

impl NameServer {
    /// Starts one; `None`, with a message, where NSD or ldnsutils are not installed.
    pub fn start(zones: &[Zone]) -> Option<Self> {
        let nsd =
            ["/usr/sbin/nsd", "/usr/local/sbin/nsd"].map(Path::new).into_iter().find(|nsd| nsd.exists());
        let (Some(nsd), true) = (nsd, installed("ldns-keygen") && installed("ldns-signzone")) else {
            println!("skipped: nsd or ldnsutils is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let at = path.as_path();
        let mut root = soa(".");
        for zone in zones {
            root += &format!("{} IN NS ns.\n", zone.origin);
            publish(at, zone, &mut root);
        }
        let keys = keys(at, ".");
        write(&at.join("root"), &root);
        sign(at, ".", "root", &keys, Signing::Nsec);
        fs::copy(at.join(format!("{}.key", keys[0])), at.join("anchor")).unwrap();
        for _ in 0..10 {
            let port = free_port();
            configure(at, port, zones);
            let mut run = Command::new(nsd);
            run.arg("-d").arg("-c").arg(at.join("nsd.conf")).stdin(Stdio::null());
            let mut nsd = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if answers(&mut nsd, address) {
                return Some(Self { address, folder, nsd });
            }
        }
        panic!("nsd does not start: {}", fs::read_to_string(at.join("log")).unwrap_or_default());
    }

    /// The file that holds the root's key.
    pub fn anchor(&self) -> PathBuf {
        self.folder.path().join("anchor")
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.nsd.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // NSD ends its children when it is asked to, not when it is killed.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.nsd.wait();
    }
}

/// Waits for the first answer; false if the server ended instead: somebody else took the port.
fn answers(nsd: &mut Child, address: SocketAddr) -> bool {
    // A question for the root's SOA (RFC 1035, section 4.1).
    let question = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01";
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if nsd.try_wait().unwrap().is_some() {
            return false;
        }
        let mut answer = [0_u8; 1500];
        match socket.send(question).and_then(|_| socket.recv(&mut answer)) {
            Ok(length) if length > 12 && answer[..2] == question[..2] => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::yield_now(),
            Err(_) => {}
        }
    }
    panic!("nsd does not answer within {PATIENCE:?}");
}

fn write(path: &Path, text: &str) {
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn installed(program: &str) -> bool {
    Command::new(program)
        .arg("-v")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn soa(origin: &str) -> String {
    let dot = if origin == "." { "" } else { origin };
    format!(
        "$ORIGIN {origin}\n$TTL 60\n@ IN SOA ns.{dot} admin.{dot} 1 60 60 60 60\n@ IN NS ns.{dot}\nns IN A 127.0.0.1\n"
    )
}

/// Writes a zone's file, and its DS record into the root.
fn publish(at: &Path, zone: &Zone, root: &mut String) {
    let file = file(zone.origin);
    write(&at.join(&file), &(soa(zone.origin) + &zone.records));
    if zone.signing == Signing::No {
        fs::copy(at.join(&file), at.join(format!("{file}.signed"))).unwrap();
        return;
    }
    let keys = keys(at, zone.origin);
    sign(at, zone.origin, &file, &keys, zone.signing);
    root.push_str(&fs::read_to_string(at.join(format!("{}.ds", keys[0]))).unwrap());
    if zone.signing == Signing::Tampered {
        let signed = at.join(format!("{file}.signed"));
        let text = fs::read_to_string(&signed).unwrap();
        let forge = |line: &str| match line.split_once("\tSSHFP\t") {
            Some((name, _)) => format!("{name}\tSSHFP\t4 2 {}\n", "ab".repeat(32)),
            None => format!("{line}\n"),
        };
        write(&signed, &text.lines().map(forge).collect::<String>());
    }
}

fn file(origin: &str) -> String {
    origin.trim_end_matches('.').to_owned()
}

/// A key-signing and a zone-signing key.
fn keys(at: &Path, origin: &str) -> [String; 2] {
    [&["-k"][..], &[]].map(|flags| {
        let mut run = Command::new("ldns-keygen");
        let made =
            run.current_dir(at).args(["-a", "ECDSAP256SHA256"]).args(flags).arg(origin).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    })
}

fn sign(at: &Path, origin: &str, file: &str, keys: &[String], signing: Signing) {
    let mut run = Command::new("ldns-signzone");
    run.current_dir(at);
    match signing {
        Signing::Expired => {
            run.args(["-i", "20200101000000", "-e", "20200201000000"]);
        }
        Signing::Nsec3 => {
            run.arg("-n");
        }
        Signing::No | Signing::Nsec | Signing::Tampered => {}
    }
    let signed = run.args(["-o", origin, file]).args(keys).output().unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
}

/// A port that nobody has on either transport.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn configure(at: &Path, port: u16, zones: &[Zone]) {
    let dir = at.display();
    let mut text = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{dir}\"\n  database: \"\"\n  \
         pidfile: \"{dir}/pid\"\n  xfrdfile: \"{dir}/xfrd\"\n  xfrdir: \"{dir}\"\n  zonelistfile: \"{dir}/list\"\n  \
         logfile: \"{dir}/log\"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n\
         zone:\n  name: \".\"\n  zonefile: root.signed\n"
    );
    for zone in zones {
        text += &format!("zone:\n  name: \"{}\"\n  zonefile: {}.signed\n", zone.origin, file(zone.origin));
    }
    write(&at.join("nsd.conf"), &text);
}
