//! OpenSSH's own server, for comparison. It runs `true` and nothing else: a window would be this machine's.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Failure;
use crate::delay::Delay;
use crate::fleet::{Fleet, Host};
use crate::realm::Realm;

const PROGRAM: &str = "/usr/sbin/sshd";

/// A server that runs until this is dropped.
pub struct Sshd {
    process: Child,
    /// A fleet of one, as far as its files are concerned.
    dir: TempDir,
    port: u16,
}

impl Sshd {
    /// What it is called.
    pub const NAME: &'static str = "openssh";

    /// Starts one that lets the fleet's key in.
    ///
    /// # Errors
    /// When there is none, or it does not listen.
    pub fn start(fleet: &Fleet) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        for name in ["id_ed25519", "id_ed25519.pub"] {
            fs::copy(fleet.dir.path().join(name), dir.path().join(name))?;
        }
        let key = sshd_embed::KeyPair::load_or_generate(&dir.path().join("host_key"))?;
        drop(key);
        if rustix::process::getuid().is_root() {
            // Where its unprivileged part lives.
            fs::create_dir_all("/run/sshd")?;
        }
        // The system has no port to give but by binding it; it is free again a moment before it is used.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let config = dir.path().join("sshd_config");
        fs::File::create(&config)?.write_all(settings(dir.path(), port).as_bytes())?;
        let public = fs::read_to_string(dir.path().join("host_key.pub"))?;
        let known = format!("[127.0.0.1]:{port} {public}");
        fs::File::create(dir.path().join("known_hosts"))?.write_all(known.as_bytes())?;
        let mut process =
            Command::new(PROGRAM).args(["-D", "-e", "-f"]).arg(&config).stderr(Stdio::piped()).spawn()?;
        let said = process.stderr.take().ok_or("failed to read from sshd")?;
        let sshd = Self { process, dir, port };
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains("Server listening on")) {
            return Err("sshd does not listen".into());
        }
        // What it goes on saying must not fill the pipe.
        std::thread::spawn(move || lines.count());
        Ok(sshd)
    }

    /// The files to reach it over a link.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn realm(&self, link: &Delay) -> Result<Realm, Failure> {
        let host = Host { name: Self::NAME.to_owned(), port: self.port };
        Realm::of(self.dir.path(), &[host], &login()?, |port| link.before(port))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The account that it is run by: an unprivileged sshd serves no other.
fn login() -> Result<String, Failure> {
    if rustix::process::getuid().is_root() { Ok("root".to_owned()) } else { Ok(std::env::var("USER")?) }
}

fn settings(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/id_ed25519.pub\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
         ForceCommand true\n"
    )
}
