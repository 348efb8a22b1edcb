//! The directory of an embedded host: what a script finds below `$PIPEDOWN_ROOT`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::tools::{LINKED, PROVIDED, REQUIRED, find};
use crate::{Confine, Error};

/// Says that a directory belongs to an embedded host; only such a directory is ever cleared.
const MARK: &str = ".sshd-embed";
/// The most of a text file (nologin, motd) that is shown.
const MAX_TEXT: u64 = 64 * 1024;

/// A host's directory, and who is logged in on it.
pub(crate) struct HostTree {
    dir: PathBuf,
    name: String,
    confine: Option<Confine>,
    logins: Mutex<Vec<LoggedIn>>,
}

/// One line of `run/embed.users`.
struct LoggedIn {
    user: String,
    line: String,
    since: u64,
    from: IpAddr,
}

impl HostTree {
    /// Makes the directory, or takes over one that this program made before.
    pub(crate) fn create(
        dir: &Path,
        name: &str,
        users: &[String],
        confine: Option<Confine>,
    ) -> Result<Self, Error> {
        plain_name(name)?;
        for user in users {
            plain_name(user)?;
        }
        claim(dir)?;
        let dir = fs::canonicalize(dir).map_err(Error::read(dir))?;
        let tree = Self { dir, name: name.to_owned(), confine, logins: Mutex::default() };
        tree.lay_out(users)?;
        tree.install_tools()?;
        tree.write_identity(users)?;
        tree.check_shell()?;
        Ok(tree)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn confine(&self) -> Option<&Confine> {
        self.confine.as_ref()
    }

    pub(crate) fn home(&self, user: &str) -> PathBuf {
        if user == "root" { self.dir.join("root") } else { self.dir.join("home").join(user) }
    }

    /// The FIFO through which a host is told to go down.
    pub(crate) fn control(&self) -> PathBuf {
        self.dir.join("run/embed.ctl")
    }

    fn lay_out(&self, users: &[String]) -> Result<(), Error> {
        for name in [
            "bin",
            "etc",
            "run",
            "tmp",
            "root",
            "home",
            "dev",
            "dev/pts",
            "proc",
            "proc/sys",
            "proc/sys/kernel",
            "proc/sys/kernel/random",
            "var",
            "var/lib",
            "var/log",
            "usr",
            "usr/bin",
        ] {
            make_dir(&self.dir.join(name), if name == "root" { 0o700 } else { 0o755 })?;
        }
        for user in users {
            make_dir(&self.home(user), 0o700)?;
        }
        for (target, name) in [("../run", "var/run"), ("/dev/null", "dev/null"), ("/dev/tty", "dev/tty")] {
            link(Path::new(target), &self.dir.join(name))?;
        }
        Ok(())
    }

    /// Fills `bin`: links to the allowed programs, and the commands written for embedded hosts.
    fn install_tools(&self) -> Result<(), Error> {
        let bin = self.dir.join("bin");
        for &name in LINKED {
            match find(name) {
                Some(target) => link(&target, &bin.join(name))?,
                None if REQUIRED.contains(&name) => return Err(Error::Tool(name)),
                None => {}
            }
        }
        let shell = find("sh").ok_or(Error::Tool("sh"))?;
        for (name, script) in PROVIDED {
            // The kernel does not look interpreters up: the first line needs the real path of this machine.
            let body = script.split_once('\n').map_or("", |(_, body)| body);
            write_file(&bin.join(name), format!("#!{}\n{body}", shell.display()).as_bytes(), 0o755)?;
        }
        Ok(())
    }

    fn write_identity(&self, users: &[String]) -> Result<(), Error> {
        let etc = self.dir.join("etc");
        let mut passwd = String::from("root:x:0:0:root:/root:/bin/sh\n");
        for (id, user) in (1000..).zip(users.iter().filter(|user| *user != "root")) {
            // Writing to a String cannot fail.
            let _ = writeln!(passwd, "{user}:x:{id}:{id}:{user}:/home/{user}:/bin/sh");
        }
        write_file(&etc.join("hostname"), format!("{}\n", self.name).as_bytes(), 0o644)?;
        write_file(&etc.join("passwd"), passwd.as_bytes(), 0o644)?;
        let release = "ID=sshd-embed\nNAME=\"Embedded host\"\nPRETTY_NAME=\"Embedded host (sshd-embed)\"\n";
        write_file(&etc.join("os-release"), release.as_bytes(), 0o644)?;
        if !etc.join("motd").exists() {
            write_file(&etc.join("motd"), format!("Welcome to {}.\n", self.name).as_bytes(), 0o644)?;
        }
        if !etc.join("machine-id").exists() {
            let id = HEXLOWER.encode(&random()?);
            write_file(&etc.join("machine-id"), format!("{id}\n").as_bytes(), 0o444)?;
        }
        Ok(())
    }

    /// Refuses a shell that has commands like `poweroff` built in (busybox can be built so): PATH would not
    /// keep a script away from the real machine.
    fn check_shell(&self) -> Result<(), Error> {
        let bin = self.dir.join("bin");
        let shell = bin.join("sh");
        let names = ["poweroff", "reboot", "halt", "shutdown"];
        let output = Command::new(&shell)
            .args(["-c", r#"for name; do command -v "$name"; done"#, "sh"])
            .args(names)
            .env_clear()
            .env("PATH", &bin)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(Error::read(&shell))?;
        let found = String::from_utf8_lossy(&output.stdout);
        if !found.lines().map(Path::new).eq(names.iter().map(|name| bin.join(name))) {
            return Err(Error::Shell(shell));
        }
        Ok(())
    }

    /// Begins a boot: a fresh `run`, no terminals, a new boot id, the FIFO.
    pub(crate) fn boot(&self) -> Result<String, Error> {
        self.logins().clear();
        for name in ["run", "dev/pts"] {
            let dir = self.dir.join(name);
            fs::remove_dir_all(&dir).map_err(Error::write(&dir))?;
            make_dir(&dir, 0o755)?;
        }
        let id = boot_id(random()?);
        let file = self.dir.join("proc/sys/kernel/random/boot_id");
        write_file(&file, format!("{id}\n").as_bytes(), 0o444)?;
        self.save_logins(&[]);
        let control = self.control();
        mknodat(CWD, &control, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(|error| Error::Write { path: control, source: error.into() })?;
        Ok(id)
    }

    /// Gives the text that keeps everybody but root out, if there is one.
    pub(crate) fn nologin(&self) -> Option<Vec<u8>> {
        ["run/nologin", "etc/nologin"].iter().find_map(|name| read_text(&self.dir.join(name)).ok())
    }

    /// Gives the message of the day, as pam_motd(8) puts it together.
    pub(crate) fn motd(&self) -> Vec<u8> {
        let mut text = read_text(&self.dir.join("etc/motd")).unwrap_or_default();
        for dir in ["run/motd.d", "etc/motd.d"] {
            let entries = fs::read_dir(self.dir.join(dir)).into_iter().flatten().flatten();
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            files.sort();
            for file in files {
                text.extend(read_text(&file).unwrap_or_default());
            }
        }
        text
    }

    fn logins(&self) -> MutexGuard<'_, Vec<LoggedIn>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a terminal (`pts/3`) into `dev/pts` and the list of logins.
    pub(crate) fn log_in(&self, user: &str, line: &str, from: IpAddr) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut logins = self.logins();
        logins.retain(|login| login.line != line);
        logins.push(LoggedIn { user: user.to_owned(), line: line.to_owned(), since, from });
        let device = Path::new("/dev").join(line);
        if let Err(error) = link(&device, &self.dir.join("dev").join(line)) {
            log::warn!("host {}: {error}", self.name);
        }
        self.save_logins(&logins);
    }

    /// Takes a terminal out again.
    pub(crate) fn log_out(&self, line: &str) {
        let mut logins = self.logins();
        logins.retain(|login| login.line != line);
        // A boot in between has removed it.
        let _ = fs::remove_file(self.dir.join("dev").join(line));
        self.save_logins(&logins);
    }

    fn save_logins(&self, logins: &[LoggedIn]) {
        let mut text = String::new();
        for login in logins {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {} {} {}", login.user, login.line, login.since, login.from);
        }
        if let Err(error) = write_file(&self.dir.join("run/embed.users"), text.as_bytes(), 0o644) {
            log::warn!("host {}: {error}", self.name);
        }
    }
}

/// Accepts names that fit a column and a path, and that no shell takes for something else.
fn plain_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(plain) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(())
}

/// Marks a new or empty directory as a host; refuses one that holds anything else.
fn claim(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::write(dir))?;
    let mark = dir.join(MARK);
    if mark.exists() {
        return Ok(());
    }
    if fs::read_dir(dir).map_err(Error::read(dir))?.next().is_some() {
        return Err(Error::NotAHost(dir.to_path_buf()));
    }
    write_file(&mark, b"the directory of an embedded host; sshd-embed may clear it\n", 0o644)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.map_err(Error::write(path)),
    }
}

/// Makes or renews a symbolic link.
fn link(target: &Path, path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(path)(error)),
        _ => {}
    }
    symlink(target, path).map_err(Error::write(path))
}

fn read_text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_TEXT).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a file so that readers see the old or the new one, whole.
pub(crate) fn write_file(path: &Path, data: &[u8], mode: u32) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(data)?;
        fs::rename(&temporary, path)
    };
    write().map_err(Error::write(path))
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes)
}

/// Forms a random UUID (RFC 9562, version 4), as the kernel does.
fn boot_id(bytes: [u8; 16]) -> String {
    let number =
        (u128::from_be_bytes(bytes) & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{number:032x}");
    let mut id = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_a_random_uuid() {
        assert_eq!(boot_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(boot_id([0; 16]), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn names_are_plain() {
        for name in ["login01", "a.example.org", "x_y-z"] {
            assert!(plain_name(name).is_ok());
        }
        for name in ["", ".", "../x", "-n", "a b", "a\n", &"x".repeat(65)] {
            assert!(plain_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write_file(&dir.path().join("thesis"), b"x", 0o644).unwrap();
        assert!(matches!(HostTree::create(dir.path(), "h", &[], None), Err(Error::NotAHost(_))));
    }

    #[test]
    fn a_boot_clears_run_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let tree = HostTree::create(dir.path(), "login01", &["alice".into()], None).unwrap();
        let first = tree.boot().unwrap();
        tree.log_in("alice", "pts/77", "192.0.2.1".parse().unwrap());
        let users = fs::read_to_string(dir.path().join("run/embed.users")).unwrap();
        assert!(users.starts_with("alice pts/77 ") && users.ends_with(" 192.0.2.1\n"), "{users}");
        assert_eq!(fs::read_link(dir.path().join("dev/pts/77")).unwrap(), Path::new("/dev/pts/77"));
        write_file(&dir.path().join("run/nologin"), b"closed\n", 0o644).unwrap();
        assert_eq!(tree.nologin().unwrap(), b"closed\n");
        write_file(&dir.path().join("var/lib/kept"), b"x", 0o644).unwrap();
        let second = tree.boot().unwrap();
        assert_ne!(first, second);
        assert_eq!(tree.nologin(), None);
        assert!(!dir.path().join("dev/pts/77").is_symlink());
        assert!(dir.path().join("var/lib/kept").exists());
    }

    #[test]
    fn the_motd_is_put_together() {
        let dir = tempfile::tempdir().unwrap();
        let tree = HostTree::create(dir.path(), "login01", &[], None).unwrap();
        fs::create_dir(dir.path().join("etc/motd.d")).unwrap();
        write_file(&dir.path().join("etc/motd.d/10-window"), b"Down at six.\n", 0o644).unwrap();
        assert_eq!(tree.motd(), b"Welcome to login01.\nDown at six.\n");
    }
}
