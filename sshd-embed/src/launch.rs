//! How a command is started: its program, its environment, its process group.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use pty_process::{OwnedReadPty, OwnedWritePty};
use rustix::process::Pid;
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use crate::tree::HostTree;

/// A pty is opened without close-on-exec and gets it a moment later: nothing may be started in between, or
/// a stranger's command would hold this terminal open.
static STARTING: Mutex<()> = Mutex::new(());

/// The widest and highest terminal that is believed.
const MAX_CELLS: u32 = 10_000;

/// Where commands run.
#[derive(Clone)]
pub(crate) enum Launch {
    /// On the machine itself.
    System,
    /// In the directory of an embedded host.
    Rooted(Arc<HostTree>),
}

/// Who is logged in, and from where.
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// The terminal that a client asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    term: String,
    size: (u16, u16),
}

impl Terminal {
    /// Believes a request when its type is a name and its size is plausible.
    pub(crate) fn new(term: &str, columns: u32, rows: u32) -> Option<Self> {
        let plain = term.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
        let term = if term.is_empty() { "dumb" } else { term };
        (plain && term.len() <= 64).then(|| Self { term: term.to_owned(), size: size(columns, rows) })
    }
}

fn size(columns: u32, rows: u32) -> (u16, u16) {
    let cells = |n: u32| u16::try_from(n.min(MAX_CELLS)).unwrap_or(u16::MAX);
    (cells(columns), cells(rows))
}

/// A started command and its ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) leader: Pid,
    pub(crate) ends: Ends,
}

/// What a command reads from and writes to.
pub(crate) enum Ends {
    Pipes { stdin: ChildStdin, stdout: ChildStdout, stderr: ChildStderr },
    Pty { input: OwnedWritePty, output: OwnedReadPty, window: Window },
}

/// The side of a terminal that sets its size.
pub(crate) struct Window {
    master: OwnedFd,
    /// The terminal's name below `/dev`, as in `pts/3`.
    pub(crate) line: String,
}

impl Window {
    pub(crate) fn resize(&self, columns: u32, rows: u32) {
        let (ws_col, ws_row) = size(columns, rows);
        // A terminal that has gone has no size.
        let _ = tcsetwinsize(&self.master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 });
    }
}

/// A command line with everything it inherits.
struct Invocation {
    program: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    dir: PathBuf,
}

impl Launch {
    /// Tells whether variables from the client are taken over.
    pub(crate) fn takes_environment(&self) -> bool {
        matches!(self, Self::System)
    }

    /// Gives the directory of an embedded host.
    pub(crate) fn tree(&self) -> Option<&HostTree> {
        match self {
            Self::System => None,
            Self::Rooted(tree) => Some(tree),
        }
    }

    /// Starts `command`, or a shell, as the leader of a session of its own.
    pub(crate) fn start(
        &self,
        login: &Login,
        command: Option<&[u8]>,
        terminal: Option<&Terminal>,
        env: &[(String, String)],
    ) -> io::Result<Running> {
        let mut invocation = match self {
            Self::System => system(command),
            Self::Rooted(tree) => rooted(tree, &login.user, command),
        };
        let (peer, local) = (login.peer, login.local);
        invocation.set("USER", &login.user);
        invocation.set("LOGNAME", &login.user);
        invocation
            .set("SSH_CONNECTION", format!("{} {} {} {}", peer.ip(), peer.port(), local.ip(), local.port()));
        for (name, value) in env {
            invocation.set(name, value);
        }
        let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        match terminal {
            Some(terminal) => invocation.on_pty(terminal),
            None => invocation.on_pipes(self.leadership()),
        }
    }

    /// Chooses how a command without a terminal gets away from the session of the server.
    fn leadership(&self) -> Leadership {
        let setsid = match self {
            Self::System => crate::tools::find("setsid"),
            Self::Rooted(tree) if tree.confine().is_some() => return Leadership::ByItself,
            Self::Rooted(tree) => Some(tree.dir().join("bin/setsid")),
        };
        setsid.map_or(Leadership::OfGroup, Leadership::Setsid)
    }
}

/// How a command without a terminal comes to lead: it must not hold the terminal that the server was started on.
enum Leadership {
    /// setsid(1) makes it lead a session.
    Setsid(PathBuf),
    /// The confining helper makes itself lead a session.
    ByItself,
    /// Without setsid(1), it leads a process group at least.
    OfGroup,
}

/// Runs a command through the machine's `/bin/sh`, with nothing of the server's environment but the basics.
fn system(command: Option<&[u8]>) -> Invocation {
    let mut env = BTreeMap::new();
    for name in ["PATH", "HOME", "LANG", "TZ", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            env.insert(name.into(), value);
        }
    }
    env.insert("SHELL".into(), "/bin/sh".into());
    let dir = std::env::home_dir().filter(|home| home.is_dir()).unwrap_or_else(|| "/".into());
    Invocation { program: "/bin/sh".into(), args: as_arguments(command), env, dir }
}

/// Runs a command through an embedded host's own shell, with `PATH` ending at that host.
fn rooted(tree: &HostTree, user: &str, command: Option<&[u8]>) -> Invocation {
    let shell = tree.dir().join("bin/sh");
    let home = tree.home(user);
    let mut args: Vec<OsString> = Vec::new();
    let program = if let Some(confine) = tree.confine() {
        args.extend(confine.args.iter().cloned());
        args.extend([tree.dir().into(), "--".into(), shell.clone().into()]);
        confine.program.clone()
    } else {
        // Not a login shell: /etc/profile would put the machine's directories back into PATH.
        args.extend(["-c".into(), r#"umask 022; exec "$0" "$@""#.into(), shell.clone().into()]);
        shell.clone()
    };
    args.extend(as_arguments(command));
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: OsString| env.insert(name.into(), value);
    set("PATH", tree.dir().join("bin").into());
    set("PIPEDOWN_ROOT", tree.dir().into());
    set("HOME", home.clone().into());
    set("SHELL", shell.into());
    set("TMPDIR", tree.dir().join("tmp").into());
    set("LANG", "C.UTF-8".into());
    set("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent".into());
    let sign = if user == "root" { '#' } else { '$' };
    set("PS1", format!("{user}@{}{sign} ", tree.name()).into());
    Invocation { program, args, env, dir: home }
}

fn as_arguments(command: Option<&[u8]>) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    command.map_or_else(Vec::new, |text| vec!["-c".into(), OsString::from_vec(text.to_vec())])
}

impl Invocation {
    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.insert(name.into(), value.into());
    }

    fn on_pipes(mut self, leadership: Leadership) -> io::Result<Running> {
        let of_group = matches!(leadership, Leadership::OfGroup);
        if let Leadership::Setsid(setsid) = leadership {
            self.args.insert(0, std::mem::replace(&mut self.program, setsid).into());
        }
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).env_clear().envs(&self.env).current_dir(&self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Who leads a group already cannot lead a session: setsid(1) would fork, and hide its exit.
        if of_group {
            command.process_group(0);
        }
        let mut child = command.spawn()?;
        let leader = leader(&child)?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                Ok(Running { child, leader, ends: Ends::Pipes { stdin, stdout, stderr } })
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn on_pty(mut self, terminal: &Terminal) -> io::Result<Running> {
        let (pty, pts) = pty_process::open().map_err(io::Error::other)?;
        let name = rustix::pty::ptsname(&pty, Vec::new())?;
        let name = name.to_string_lossy().into_owned();
        let line = Path::new(&name).strip_prefix("/dev").map_err(io::Error::other)?;
        let window =
            Window { master: pty.as_fd().try_clone_to_owned()?, line: line.to_string_lossy().into_owned() };
        window.resize(terminal.size.0.into(), terminal.size.1.into());
        self.set("TERM", &terminal.term);
        self.set("SSH_TTY", &name);
        let command = pty_process::Command::new(&self.program);
        let command = command.args(&self.args).env_clear().envs(&self.env).current_dir(&self.dir);
        let child = command.spawn(pts).map_err(io::Error::other)?;
        let leader = leader(&child)?;
        let (output, input) = pty.into_split();
        Ok(Running { child, leader, ends: Ends::Pty { input, output, window } })
    }
}

fn leader(child: &Child) -> io::Result<Pid> {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    id.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_named_plainly_and_sized_plausibly() {
        assert_eq!(Terminal::new("xterm-256color", 80, 24).unwrap().size, (80, 24));
        assert_eq!(Terminal::new("", 0, 0).unwrap().term, "dumb");
        assert_eq!(Terminal::new("vt100", u32::MAX, 24).unwrap().size, (10_000, 24));
        assert_eq!(Terminal::new("x;id", 80, 24), None);
        assert_eq!(Terminal::new(&"x".repeat(65), 80, 24), None);
    }
}
