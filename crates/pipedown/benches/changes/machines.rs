//! OpenSSH's own server many times over, each in namespaces of its own with files of its own: what changes such a host
//! changes nothing on this machine.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use sshd_embed::KeyPair;
use tempfile::TempDir;

use crate::Failure;

/// What boots one of them: the tests' own.
const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/openssh/host.sh");

/// Where their addresses are.
const NET: &str = "127.78.0";

/// The folders of a host.
const FOLDERS: [&str; 10] = [
    "work",
    "etc/default",
    "etc/sysctl.d",
    "ssh/sshd_config.d",
    "root/.ssh",
    "home",
    "var/lib",
    "var/log",
    "var/tmp",
    "run/sshd",
];

/// Hosts that run until this is dropped.
pub struct Machines {
    processes: Vec<Child>,
    /// Their names and addresses.
    pub hosts: Vec<(String, String)>,
    /// The port of all of them.
    pub port: u16,
    /// Where the keys and the hosts' files are.
    pub dir: TempDir,
}

impl Machines {
    /// Boots so many, 250 at most.
    ///
    /// # Errors
    /// When namespaces cannot be made here, which needs root, or a server does not come up.
    pub fn start(count: u8) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("machines.").tempdir()?;
        KeyPair::load_or_generate(&dir.path().join("id_ed25519"))?;
        let key = KeyPair::load_or_generate(&dir.path().join("host_key"))?;
        // The system has no port to give but by binding it; it is free again a moment before it is used.
        let port = TcpListener::bind((format!("{NET}.1").as_str(), 0))?.local_addr()?.port();
        let mut machines = Self { processes: Vec::new(), hosts: Vec::new(), port, dir };
        let top = machines.dir.path().to_owned();
        let mut known = String::new();
        let mut said = Vec::new();
        for number in 1..=count {
            let (name, address) = (format!("real{number:03}"), format!("{NET}.{number}"));
            known.push_str(&format!("[{address}]:{port} {}\n", key.public_line()));
            let folder = top.join(&name);
            furnish(&top, &folder, number, &address, port)?;
            let mut process = boot(&folder, &name)?;
            said.extend(process.stdout.take());
            machines.processes.push(process);
            machines.hosts.push((name, address));
        }
        write(&top.join("known_hosts"), &known)?;
        for out in said {
            is_up(out)?;
        }
        Ok(machines)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        // All at once, and only then one after the other.
        for process in &mut self.processes {
            let _ = process.kill();
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

/// Writes a file.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}

fn boot(folder: &Path, name: &str) -> Result<Child, Failure> {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        BOOT,
    ]);
    command.arg(folder).arg(name).env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    // It ends with its standard input.
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn is_up(out: ChildStdout) -> Result<(), Failure> {
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line == "up\n" { Ok(()) } else { Err("an sshd did not come up".into()) }
}

fn furnish(top: &Path, host: &Path, number: u8, address: &str, port: u16) -> Result<(), Failure> {
    for folder in FOLDERS {
        fs::create_dir_all(host.join(folder))?;
    }
    symlink("/run", host.join("var/run"))?;
    let settings = format!(
        "Port {port}\nListenAddress {address}\nUsePAM yes\nKbdInteractiveAuthentication no\nMaxStartups 1000\n\
         Subsystem sftp /usr/lib/openssh/sftp-server\n"
    );
    write(&host.join("ssh/sshd_config"), &settings)?;
    write(&host.join("etc/default/ssh"), "SSHD_OPTS=\n")?;
    // A machine that is found twice in a run is refused the second time.
    write(&host.join("etc/machine-id"), &format!("{:032x}\n", 0xfeed_0000_u32 + u32::from(number)))?;
    fs::copy(top.join("host_key"), host.join("ssh/ssh_host_ed25519_key"))?;
    fs::copy(top.join("host_key.pub"), host.join("ssh/ssh_host_ed25519_key.pub"))?;
    fs::copy(top.join("id_ed25519.pub"), host.join("root/.ssh/authorized_keys"))?;
    Ok(fs::set_permissions(host.join("root"), Permissions::from_mode(0o700))?)
}
