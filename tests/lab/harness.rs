//! The lab as the scenarios see it: hosts, people who are logged in, controllers, and how all of it is run.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use crate::feed::{Watched, now};

/// A scenario: hosts of its own, and what is done with them.
pub struct Scenario {
    /// Its name for `cargo test --test lab NAME`.
    pub name: &'static str,
    /// Its hosts, which no other scenario names: `bookworm02`, or `bookworm02=Europe/Berlin`.
    pub hosts: &'static [&'static str],
    /// What happens; a panic is a failure.
    pub run: fn(&Lab),
}

/// So much longer than on an idle machine everything may take.
const BUSY: u64 = 3;

/// How long something is waited for that takes so many seconds at most where nothing else is going on.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds * BUSY)
}

/// How long it is until a time; nothing when it has passed.
pub fn until(at: f64) -> Duration {
    Duration::from_secs_f64((at - now()).max(0.0))
}

/// Waits for a time, where time itself is what is waited for.
pub fn sleep_until(at: f64) {
    std::thread::sleep(until(at));
}

/// So many scenarios at once. Most of what they do is waiting, but those that watch a clock need a machine that answers.
const AT_ONCE: usize = 5;

/// Runs scenarios side by side, in the order in which they are given.
pub fn main(scenarios: &'static [Scenario]) -> ExitCode {
    let mut args = Arguments::from_args();
    let chosen = |s: &&Scenario| {
        args.filter
            .as_ref()
            .is_none_or(|f| if args.exact { s.name == f } else { s.name.contains(f.as_str()) })
            && !args.skip.iter().any(|skip| s.name.contains(skip.as_str()))
    };
    let scenarios: Vec<&'static Scenario> = scenarios.iter().filter(chosen).collect();
    let root = rustix::process::geteuid().is_root();
    let wanted = root && std::env::var_os("PIPEDOWN_LAB").is_some_and(|v| v == "1");
    if args.list || scenarios.is_empty() || !wanted {
        if !wanted {
            println!("skipped: the lab's scenarios need root and PIPEDOWN_LAB=1");
        }
        let names = scenarios.iter().map(|s| Trial::test(s.name, || Ok(())).with_ignored_flag(!wanted));
        return libtest_mimic::run(&args, names.collect()).exit_code();
    }
    args.test_threads = Some(AT_ONCE);
    let lab: &'static Lab = Box::leak(Box::new(Lab::new()));
    let _down = std::env::var_os("PIPEDOWN_LAB_KEEP").is_none().then_some(TakenDown(lab));
    let hosts = scenarios.iter().flat_map(|s| s.hosts.iter().copied()).collect::<Vec<_>>();
    // Booting is the one thing that keeps processors busy.
    for some in hosts.chunks(8) {
        lab.up(some);
    }
    let trials = scenarios.into_iter().map(|s| {
        Trial::test(s.name, move || {
            let began = Instant::now();
            (s.run)(lab);
            println!("{} took {:.0} s", s.name, began.elapsed().as_secs_f64());
            Ok(())
        })
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}

/// Takes a lab down when it goes, also if it did not come up whole.
struct TakenDown<'a>(&'a Lab);

impl Drop for TakenDown<'_> {
    fn drop(&mut self) {
        let output = self.0.call(&["down"]);
        if !output.status.success() {
            println!("the lab is not down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The lab of this test run.
pub struct Lab {
    script: PathBuf,
    name: String,
}

impl Lab {
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/lab");
        let name = std::env::var("PIPEDOWN_LAB_NAME").unwrap_or_else(|_| "pdtest".to_owned());
        Self { script: script.canonicalize().unwrap(), name }
    }

    fn up(&self, hosts: &[&str]) {
        let mut args = vec!["up"];
        for host in hosts {
            if host.contains('=') {
                args.extend(["--tz", host]);
            }
        }
        args.extend(hosts.iter().map(|h| h.split('=').next().unwrap()));
        // The first time this takes minutes, and says what it does.
        assert!(self.command(&args).status().unwrap().success(), "lab {args:?} failed");
    }

    /// `tests/lab/lab ARGS`, to be run or watched.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.args(args).env("PIPEDOWN_LAB_NAME", &self.name);
        command
    }

    /// Calls `tests/lab/lab`.
    pub fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Calls `tests/lab/lab`, which must succeed, for what it prints.
    pub fn ask(&self, args: &[&str]) -> String {
        let output = self.call(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab {args:?}: {}: {err}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell command on a host, as root, from outside: no sshd, no PAM, no login.
    pub fn sh(&self, host: &str, script: &str) -> String {
        self.ask(&["exec", host, "sh", "-c", script])
    }

    /// Waits until a shell condition holds on a host.
    pub fn wait_until(&self, host: &str, condition: &str, patience: Duration) {
        let script = format!("until {condition}; do sleep 0.1; done");
        self.ask(&["exec", host, "timeout", &patience.as_secs().to_string(), "sh", "-c", &script]);
    }

    /// Asserts that alice cannot log in, and reads why, and that root can.
    pub fn refuses(&self, host: &str, text: &str) {
        let refused = self.call(&["ssh", &format!("alice@{host}"), "true"]);
        assert!(!refused.status.success(), "{host} let alice in");
        let said = String::from_utf8_lossy(&refused.stderr).replace('\r', "");
        assert!(said.contains(text), "{host}: {said}");
        self.ask(&["ssh", &format!("root@{host}"), "true"]);
    }

    /// How often a host was booted.
    pub fn boots(&self, host: &str) -> u32 {
        let list = self.ask(&["list"]);
        let line = list.lines().find(|l| l.split_whitespace().next() == Some(host)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }

    /// What of a host is compared before and after.
    pub fn snapshot(&self, host: &str) -> Snapshot {
        Snapshot(self.ask(&["snapshot", host]).lines().map(str::to_owned).collect())
    }

    /// Waits until a host's snapshot is as it was, and tells what differs if that does not come true. A session that
    /// ends leaves its processes and units behind for a moment.
    pub fn wait_for_snapshot(&self, host: &str, before: &Snapshot, patience: Duration) -> Vec<String> {
        self.wait_for_snapshot_but(host, before, patience, |_| false)
    }

    /// The same, where some differences are to stay.
    pub fn wait_for_snapshot_but(
        &self,
        host: &str,
        before: &Snapshot,
        patience: Duration,
        stays: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let mut differs = before.differs(&self.snapshot(host));
            differs.retain(|line| !stays(line));
            if differs.is_empty() || Instant::now() > deadline {
                return differs;
            }
        }
    }

    /// Logs somebody in on a terminal, with OpenSSH's client: `alice@bookworm02`.
    pub fn log_in(&self, who: &str) -> Watched {
        // The marker is put together by the shell: the terminal's echo of the command is not it.
        let mut session = Watched::start_on_terminal(self.command(&["ssh", who]));
        session.type_in("unset HISTFILE; echo logged''-in\n");
        session.out.wait_for("logged-in", secs(60));
        session
    }

    /// What pipedown wrote to a host's system log, in this boot and the ones before.
    pub fn log_lines(&self, host: &str) -> Vec<String> {
        let text = self
            .sh(host, "journalctl -q --no-pager -t pipedown 2>/dev/null || grep ' pipedown' /var/log/syslog");
        text.lines().map(str::to_owned).collect()
    }

    /// The lines of a host's console, with the time of their arrival.
    pub fn console(&self, host: &str) -> Vec<(f64, String)> {
        let text = self.ask(&["console", host]);
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(at, line)| Some((at.parse().ok()?, line.to_owned())))
            .collect()
    }

    /// Keeps a host from coming back when it reboots.
    pub fn stay_down(&self, host: &str) {
        let upper = PathBuf::from(self.ask(&["upper", host]).trim());
        std::fs::remove_file(upper.with_file_name("power")).unwrap();
    }

    /// Waits until a host is gone, and says when that was.
    pub fn wait_down(&self, host: &str, patience: Duration) -> f64 {
        self.ask(&["wait-down", host, &patience.as_secs().to_string()]).trim().parse().unwrap()
    }

    /// Waits until a host answers, in its `boot`th boot or a later one.
    pub fn wait_up(&self, host: &str, patience: Duration, boot: u32) {
        self.ask(&["wait-up", host, &patience.as_secs().to_string(), &boot.to_string()]);
    }

    /// The file that stands for the lab's network, and the controller's place in it.
    pub fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// The inventory of all hosts, for root.
    pub fn inventory(&self) -> String {
        self.ask(&["inventory"])
    }

    /// A machine from which pipedown is run.
    pub fn controller(&self) -> Controller<'_> {
        self.controller_with(&self.inventory())
    }

    /// A machine from which pipedown is run, with an inventory of its own.
    pub fn controller_with(&self, inventory: &str) -> Controller<'_> {
        let controller = Controller { lab: self, home: tempfile::tempdir().unwrap() };
        controller.write("inventory.toml", inventory);
        controller
    }
}

/// Where pipedown runs: in the lab's network, with a home of its own.
pub struct Controller<'a> {
    lab: &'a Lab,
    home: tempfile::TempDir,
}

impl Controller<'_> {
    /// Its home directory; the inventory lies there.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file in its home.
    pub fn write(&self, name: &str, text: &str) {
        File::create(self.home().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// `pipedown ARGS`, to be run or watched.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.lab.name, env!("CARGO_BIN_EXE_pipedown")])
            .args(args)
            .current_dir(self.home())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home())
            .env("USER", "admin")
            .env("XDG_STATE_HOME", self.home().join("state"))
            .env("PIPEDOWN_INVENTORY", self.home().join("inventory.toml"))
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Starts pipedown with pipes.
    pub fn start(&self, args: &[&str]) -> Watched {
        Watched::start(self.command(args))
    }

    /// Runs pipedown to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a pipedown that has ended printed.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// The run that it began, with `--json`.
    pub fn run_id(&self) -> String {
        run_id(&self.out)
    }

    /// Asserts how it ended.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Asserts that it printed a text, on either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let there = self.out.contains(text) || self.err.contains(text);
        assert!(there, "{text:?} is missing; stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// The run whose events these are.
pub fn run_id(events: &str) -> String {
    events.split("\"run\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// The facts of one `lab snapshot`, sorted.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<String>);

impl Snapshot {
    /// What another snapshot has not (`- …`) and what only it has (`+ …`). A run that has ended may leave its tombstone:
    /// a file, and the folders it lies in.
    pub fn differs(&self, later: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|l| !later.0.contains(l)).map(|l| format!("- {l}"));
        let new = later.0.iter().filter(|l| !self.0.contains(l)).map(|l| format!("+ {l}"));
        gone.chain(new.filter(|l| !is_tombstone(l))).collect()
    }
}

fn is_tombstone(line: &str) -> bool {
    let Some(path) = line.strip_prefix("+ disk /var/lib/pipedown") else { return false };
    match path.strip_prefix("/ended") {
        Some(path) => {
            path.starts_with(" d 755 0:0 ") || path.starts_with('/') && path.contains(" f 644 0:0 ")
        }
        None => path.starts_with(" d 755 0:0 "),
    }
}
