//! OpenSSH's own server on many loopback addresses. It is this machine that answers: it runs nothing that changes it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};

use sshd_embed::KeyPair;
use tempfile::TempDir;

use crate::Failure;
use crate::crowd::Host;

const PROGRAM: &str = "/usr/sbin/sshd";

/// Where its addresses begin.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// Servers that run until this is dropped, one for each host.
pub struct Sshds {
    processes: Vec<Child>,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Where the keys are.
    pub dir: TempDir,
}

impl Sshds {
    /// Starts so many, each on an address of its own.
    ///
    /// # Errors
    /// When one cannot be started, or does not listen.
    pub fn start(count: usize) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        KeyPair::load_or_generate(&dir.path().join("id_ed25519"))?;
        let key = KeyPair::load_or_generate(&dir.path().join("host_key"))?;
        if rustix::process::getuid().is_root() {
            // Where its unprivileged part lives.
            fs::create_dir_all("/run/sshd")?;
        }
        // The system has no port to give but by binding it; it is free again a moment before it is used.
        let port = TcpListener::bind((FIRST, 0))?.local_addr()?.port();
        let hosts = (0_u32..).take(count).map(|nth| {
            let address = Ipv4Addr::from(u32::from(FIRST).saturating_add(nth));
            Host {
                name: format!("real{:03}", nth.saturating_add(1)),
                addr: SocketAddr::from((address, port)),
            }
        });
        let hosts: Vec<Host> = hosts.collect();
        let known = hosts.iter().map(|h| format!("[{}]:{port} {}\n", h.addr.ip(), key.public_line()));
        write(&dir.path().join("known_hosts"), &known.collect::<String>())?;
        let config = dir.path().join("sshd_config");
        write(&config, &settings(dir.path()))?;
        let mut sshds = Self { processes: Vec::with_capacity(count), hosts, dir };
        let (said, ear) = io::pipe()?;
        for host in &sshds.hosts {
            let mut command = Command::new(PROGRAM);
            command.args(["-D", "-e", "-f"]).arg(&config);
            command.args(["-o", &format!("ListenAddress={}", host.addr)]).stderr(ear.try_clone()?);
            sshds.processes.push(command.spawn()?);
        }
        drop(ear);
        let lines = BufReader::new(said).lines().map_while(Result::ok);
        // Each says one or the other.
        let mut begun = lines.filter(|line| {
            line.starts_with("Server listening on") || line.starts_with("Cannot bind any address")
        });
        if begun.by_ref().take(count).filter(|line| line.starts_with("Server")).count() < count {
            return Err("sshd does not listen".into());
        }
        // What they go on saying must not fill the pipe.
        std::thread::spawn(move || begun.count());
        Ok(sshds)
    }
}

impl Drop for Sshds {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

/// The account that it is run by: an unprivileged sshd serves no other.
///
/// # Errors
/// When it has no name.
pub fn login() -> Result<String, Failure> {
    if rustix::process::getuid().is_root() { Ok("root".to_owned()) } else { Ok(std::env::var("USER")?) }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}

fn settings(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "HostKey {dir}/host_key\nAuthorizedKeysFile {dir}/id_ed25519.pub\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nMaxStartups 1000\n\
         Subsystem sftp internal-sftp\n"
    )
}
