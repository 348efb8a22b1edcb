//! Against the real shells of this machine.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::command;

mod openssh;
mod sudo;

/// A machine of a kind: its `sh`, and a folder that stands for its root.
struct Host {
    root: TempDir,
    path: String,
    login: &'static [&'static str],
}

/// The programs that are tried as `sh`: all that are installed.
fn shells() -> Vec<PathBuf> {
    let wanted = ["dash", "busybox", "bash", "mksh", "ksh"];
    let (found, missing): (Vec<_>, Vec<_>) = wanted.iter().partition(|name| find_program(name).is_some());
    if !missing.is_empty() {
        println!("skipped, not installed: {missing:?}");
    }
    found.into_iter().filter_map(find_program).collect()
}

fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
}

impl Host {
    fn with_sh(sh: &Path) -> Self {
        let root = TempDir::new().unwrap();
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink(sh, bin.join("sh")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { root, path, login: &["sh", "-c"] }
    }

    fn dash() -> Self {
        Self::with_sh(&find_program("sh").unwrap())
    }

    /// Puts a program of our own before the machine's.
    fn provide(&self, name: &str, script: &str) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.root.path().join("bin").join(name);
        let mut file =
            std::fs::OpenOptions::new().create_new(true).write(true).mode(0o755).open(path).unwrap();
        std::io::Write::write_all(&mut file, script.as_bytes()).unwrap();
    }

    fn exec(&self, become_: Become, with_password: bool) -> Exec {
        let (program, args) = self.login.split_first().unwrap();
        let child = tokio::process::Command::new(program)
            .args(args)
            .arg(command(become_, with_password))
            .env("PATH", &self.path)
            .env("PIPEDOWN_ROOT", self.root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Exec::from_child(child, 8 * 1024 * 1024).unwrap()
    }

    async fn open(&self) -> HostShell {
        self.open_with(ShellOptions::default()).await
    }

    async fn open_with(&self, options: ShellOptions) -> HostShell {
        let options = ShellOptions { run: Some(RunId::new("run-1").unwrap()), ..options };
        HostShell::open(self.exec(Become::None, false), Become::None, None, "lib() { echo lib; }\n", options)
            .await
            .unwrap()
    }

    /// The processes of this host.
    fn processes(&self) -> Vec<i32> {
        let mark = format!("PIPEDOWN_ROOT={}", self.root.path().display()).into_bytes();
        let ours = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|entry| entry == mark))
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).filter(ours).collect()
    }

    async fn gone(&self) {
        until("all processes are gone", || self.processes().is_empty()).await;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for pid in self.processes() {
            // Some end by themselves in between.
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Waits for something outside of this process, of which no event tells.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn call(source: &'static str) -> Call {
    Call {
        name: "test",
        source,
        args: Vec::new(),
        input: Vec::new(),
        deadline: Duration::from_secs(20),
        ledger: None,
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs the same for every shell that there is.
async fn on_every_shell<F: AsyncFn(Host)>(test: F) {
    for sh in shells() {
        println!("as sh: {}", sh.display());
        test(Host::with_sh(&sh)).await;
    }
}

#[tokio::test]
async fn streams_status_library_and_arguments() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let awkward = [
            "",
            "a b",
            "tab\there",
            "new\nline\n\n",
            "-n",
            "*",
            "\\n\\0101",
            "'\"$(id)`id`",
            "ü€\u{1}\u{85}",
        ];
        let reply = shell
            .call(Call {
                args: awkward.iter().map(|arg| (*arg).to_owned()).collect(),
                ..call("lib; printf '<%s>' \"$0\" \"$@\"; printf oops >&2; exit 7")
            })
            .await
            .unwrap();
        assert_eq!(text(&reply.stderr), "oops");
        let wanted: String = awkward.iter().map(|arg| format!("<{arg}>")).collect();
        assert_eq!(text(&reply.stdout), format!("lib\n<pipedown>{wanted}"));
        assert_eq!((reply.status, reply.timed_out, reply.truncated), (7, false, false));
        shell.close().await;
    })
    .await;
}

#[tokio::test]
async fn output_without_newline_and_lookalikes_of_markers() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let lookalike =
            "printf '\n0123456789abcdef0123456789abcdef 0 ran\npipedown ready 1\n'; printf 'no newline'";
        let replies = shell.call_many(vec![call(lookalike), call("printf '\n\n'"), call(":")]).await;
        let stdout: Vec<_> = replies.iter().map(|reply| text(&reply.as_ref().unwrap().stdout)).collect();
        assert_eq!(
            stdout,
            ["\n0123456789abcdef0123456789abcdef 0 ran\npipedown ready 1\nno newline", "\n\n", ""]
        );
    })
    .await;
}

#[tokio::test]
async fn a_fragment_cannot_eat_the_requests_behind_it() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let eater = || Call { input: b"mine\n".to_vec(), ..call("cat; cat >/dev/null") };
        let replies = shell.call_many(vec![eater(), call("cat; echo second"), eater()]).await;
        let stdout: Vec<_> = replies.iter().map(|reply| text(&reply.as_ref().unwrap().stdout)).collect();
        assert_eq!(stdout, ["mine\n", "second\n", "mine\n"]);
    })
    .await;
}

/// Bytes of all values, in no short period.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

#[tokio::test]
async fn large_input_of_any_bytes_goes_there_and_back() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let input = noise(80 * 1024);
        let reply = shell.call(Call { input: input.clone(), ..call("cat") }).await.unwrap();
        assert!(reply.stdout == input, "{} of {} bytes", reply.stdout.len(), input.len());
        assert!(!reply.truncated);
    })
    .await;
    let input = noise(1024 * 1024);
    let reply = Host::dash().open().await.call(Call { input: input.clone(), ..call("cat") }).await.unwrap();
    assert!(reply.stdout == input, "{} of {} bytes", reply.stdout.len(), input.len());
}

#[tokio::test]
async fn a_fragment_may_leave_its_input_unread() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let unread = |source| Call { input: noise(100_000), ..call(source) };
        let replies = shell
            .call_many(vec![unread("exec <&-; echo closed"), unread("echo ignored"), call("echo next")])
            .await;
        let seen: Vec<_> = replies
            .iter()
            .map(|reply| reply.as_ref().unwrap())
            .map(|reply| (text(&reply.stdout), text(&reply.stderr), reply.status))
            .collect();
        assert_eq!(seen, [("closed\n", "", 0), ("ignored\n", "", 0), ("next\n", "", 0)]);
        shell.close().await;
        host.gone().await;
    })
    .await;
}

#[tokio::test]
async fn the_deadline_ends_the_whole_process_group() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let stubborn = "trap '' TERM HUP INT; (trap '' TERM; sleep 1000; echo never) & echo begun; sleep 1000; echo never";
        let begun = Instant::now();
        let reply = shell.call(Call { deadline: Duration::from_millis(300), ..call(stubborn) }).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1), "deadlines are rounded up to seconds");
        assert_eq!((reply.status, reply.timed_out, text(&reply.stdout)), (137, true, "begun\n"));
        // Somebody else's KILL is not the deadline.
        let reply = shell.call(call("kill -s KILL $$")).await.unwrap();
        assert_eq!((reply.status, reply.timed_out), (137, false));
        shell.close().await;
        host.gone().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_fragment_leaves_behind_does_not_hold_the_answer() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        let begun = Instant::now();
        let reply = shell.call(call("sleep 1000 & setsid sleep 1000 & echo left")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!((text(&reply.stdout), reply.status), ("left\n", 0));
        assert_eq!(text(&shell.call(call("echo next")).await.unwrap().stdout), "next\n");
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_after_the_end_of_the_input() {
    on_every_shell(async |host| {
        let mut shell = host.open().await;
        // Quick ones: their watchdogs are ended while they start.
        let replies = shell.call_many((0..20).map(|_| call(":")).collect()).await;
        assert!(replies.iter().all(|reply| reply.as_ref().unwrap().status == 0));
        shell.close().await;
        host.gone().await;
    })
    .await;
}

/// Begins a change, with another call behind it, and loses the link in the middle of it; the change goes on.
/// The parent of a process (proc(5), stat).
fn parent_of(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().to_owned()
}

async fn lose_the_link_in_a_change(host: &Host) {
    let status = std::process::Command::new("mkfifo").arg(host.file("go")).status().unwrap();
    assert!(status.success());
    let change = "echo $PPID >\"$PIPEDOWN_ROOT/driver\"; : >\"$PIPEDOWN_ROOT/begun\"; read -r go <\"$PIPEDOWN_ROOT/go\"; echo a; echo b >&2; id; : >\"$PIPEDOWN_ROOT/done\"";
    let calls = vec![
        Call { ledger: Some("change".into()), ..call(change) },
        Call { ledger: Some("next".into()), ..call(": >\"$PIPEDOWN_ROOT/next\"") },
    ];
    let mut shell = host.open().await;
    {
        let mut running = pin!(shell.call_many(calls));
        let mut begun = pin!(until("the fragment begins", || host.file("begun").exists()));
        tokio::select! {
            _ = &mut running => panic!("it waits for us"),
            () = &mut begun => {}
        }
    }
    let again = shell.call(call(":")).await;
    assert!(matches!(again, Err(StepError::Poisoned { .. })), "{again:?}");
    let server = parent_of(&std::fs::read_to_string(host.file("driver")).unwrap());
    drop(shell);
    // Until the server has noticed, the driver's output has a reader, and the next request is as good as any.
    if server != std::process::id().to_string() {
        until("the server has ended", || !Path::new("/proc").join(&server).exists()).await;
    }
    let go = host.file("go");
    tokio::task::spawn_blocking(move || {
        let mut file = std::fs::OpenOptions::new().write(true).open(go).unwrap();
        std::io::Write::write_all(&mut file, b"go\n").unwrap();
    })
    .await
    .unwrap();
    until("the fragment ends", || host.file("done").exists()).await;
}

#[tokio::test]
async fn a_change_goes_on_when_even_the_driver_is_killed() {
    // Dropping a local shell kills it.
    on_every_shell(async |host| lose_the_link_in_a_change(&host).await).await;
}

#[tokio::test]
async fn the_ledger_tells_what_began_and_what_ended() {
    on_every_shell(async |host| {
        let run = RunId::new("run-1").unwrap();
        let mut shell = host.open().await;
        assert_eq!(shell.ledger(&run).await.unwrap(), []);
        assert!(!host.file("var").exists(), "reading writes nothing");
        let noted = |name: &str, source| Call { ledger: Some(name.into()), ..call(source) };
        let begun = "grep -c '^started arm ' \"$PIPEDOWN_ROOT/var/lib/pipedown/ledger/run-1\"; exit 3";
        let reply = shell.call(noted("arm", begun)).await.unwrap();
        assert_eq!((text(&reply.stdout), reply.status), ("1\n", 3));
        // The driver dies in the middle of the next.
        let lost = shell.call(noted("wall", "kill -s KILL $PPID; sleep 0.1")).await;
        assert!(matches!(lost, Err(StepError::Ended { lost: false, .. })), "{lost:?}");
        assert!(lost.unwrap_err().effect_unknown());

        let mut shell = host.open().await;
        let entries = shell.ledger(&run).await.unwrap();
        let seen: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.status)).collect();
        assert_eq!(seen, [("arm", Some(3)), ("wall", None)]);
        assert!(entries.iter().all(|entry| entry.started > 1_600_000_000));
        for _ in 0..2 {
            shell.forget(&run).await.unwrap();
            assert!(!host.file("var/lib/pipedown").exists(), "empty folders go too");
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_noted_is_not_begun() {
    on_every_shell(async |host| {
        std::os::unix::fs::symlink("/proc/nowhere", host.file("var")).unwrap();
        let mut shell = host.open().await;
        let refused =
            shell.call(Call { ledger: Some("x".into()), ..call(": >\"$PIPEDOWN_ROOT/done\"") }).await;
        assert!(matches!(refused, Err(StepError::Ledger { .. })), "{refused:?}");
        assert!(!refused.unwrap_err().effect_unknown());
        assert!(!host.file("done").exists());
        assert_eq!(shell.call(call(":")).await.unwrap().status, 0, "the shell is still good");
    })
    .await;
}

#[tokio::test]
async fn a_flood_is_cut_at_the_limit() {
    let host = Host::dash();
    let mut shell = host.open_with(ShellOptions { output_limit: 1000, ..ShellOptions::default() }).await;
    let flood = "head -c 3000000 /dev/zero; head -c 1000 /dev/zero >&2";
    let replies = shell.call_many(vec![call(flood), call("echo next")]).await;
    let first = replies[0].as_ref().unwrap();
    assert_eq!((first.stdout.len(), first.stderr.len(), first.truncated), (1000, 1000, true));
    let next = replies[1].as_ref().unwrap();
    assert_eq!((text(&next.stdout), next.truncated), ("next\n", false));
}

#[tokio::test]
async fn a_host_without_setsid_says_so() {
    let host = Host::dash();
    let mut bare = Host::dash();
    bare.path = host.file("bin").display().to_string();
    // tokio looks the login shell up in the child's PATH as well.
    let mut shell = bare.open().await;
    let error = shell.call(call(":")).await.unwrap_err();
    assert!(matches!(error, StepError::ToolMissing { tool: "setsid", .. }), "{error:?}");
}

#[tokio::test]
async fn a_closed_path_needs_few_tools() {
    for sh in shells() {
        let mut host = Host::with_sh(&sh);
        for tool in ["setsid", "sleep", "date", "mkdir", "sync"] {
            symlink(find_program(tool).unwrap(), host.file("bin").join(tool)).unwrap();
        }
        // Korn shells have no printf of their own.
        if !["dash", "busybox", "bash"].iter().any(|name| sh.ends_with(name)) {
            symlink(find_program("printf").unwrap(), host.file("bin/printf")).unwrap();
        }
        host.path = host.file("bin").display().to_string();
        let mut shell = host.open().await;
        let reply =
            shell.call(Call { ledger: Some("x".into()), ..call("lib; read -r x; echo \"$x\"") }).await;
        assert_eq!(text(&reply.unwrap().stdout), "lib\n\n", "{}", sh.display());
        assert!(host.file("var/lib/pipedown/ledger/run-1").exists());
    }
}

#[tokio::test]
async fn a_frozen_host_ends_at_our_own_deadline() {
    let host = Host::dash();
    // Neither the fragment nor its watchdog begins.
    host.provide("setsid", "#!/bin/sh\nexec sleep 1000\n");
    let mut shell = host
        .open_with(ShellOptions {
            grace: Duration::from_millis(50),
            opening: Duration::from_millis(50),
            ..ShellOptions::default()
        })
        .await;
    let calls = vec![Call { deadline: Duration::from_millis(100), ..call(":") }, call(":")];
    let replies = shell.call_many(calls).await;
    assert!(matches!(replies[0], Err(StepError::Deadline { .. })), "{replies:?}");
    assert!(matches!(replies[1], Err(StepError::Poisoned { .. })), "{replies:?}");
    assert!(matches!(shell.call(call(":")).await, Err(StepError::Poisoned { .. })));
}

#[tokio::test]
async fn calls_that_cannot_be_sent_are_refused_and_the_others_run() {
    let host = Host::dash();
    let mut shell = host.open().await;
    let args =
        |args: &[&str]| Call { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..call("echo $#") };
    let calls = vec![
        args(&["a\0b"]),
        args(&["a", "b"]),
        args(&["x".repeat(70_000).as_str()]),
        Call { ledger: Some("../x".into()), ..call(":") },
        Call { ledger: Some("-".into()), ..call(":") },
    ];
    let replies = shell.call_many(calls).await;
    let seen: Vec<_> = replies
        .iter()
        .map(|reply| match reply {
            Ok(reply) => text(&reply.stdout).to_owned(),
            Err(error) => format!("failed to {error}"),
        })
        .collect();
    insta::assert_debug_snapshot!(seen);
}

#[tokio::test]
async fn the_environment_is_settled() {
    let host = Host::dash();
    let mut shell = host.open().await;
    let reply = shell
        .call(call("echo \"$LC_ALL\"; umask; pwd; echo \"$PATH\"; printf '[%s]' \"$IFS\"; echo $-"))
        .await
        .unwrap();
    let root = host.root.path().display().to_string();
    let seen = text(&reply.stdout);
    assert_eq!(
        seen,
        format!("C\n0022\n{root}\n{}\n[ \t\n]\n", host.path),
        "an embedded host's PATH stays closed"
    );
}

#[tokio::test]
async fn login_shells_of_all_kinds_take_the_command() {
    for login in ["sh", "dash", "bash", "mksh", "ksh", "zsh", "tcsh", "csh", "fish", "yash"] {
        if find_program(login).is_none() {
            println!("skipped, not installed: {login}");
            continue;
        }
        let mut host = Host::dash();
        let arguments: &'static [&'static str] = vec![login, "-c"].leak();
        host.login = arguments;
        let mut shell = host.open().await;
        let reply = shell.call(call("lib; echo \"$0\"")).await.unwrap();
        assert_eq!(text(&reply.stdout), "lib\npipedown\n", "{login}");
        shell.close().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_survive(input in prop::collection::vec(any::<u8>(), 0..600), args in prop::collection::vec("[^\0]{0,12}", 0..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for name in ["dash", "busybox"] {
            let Some(sh) = find_program(name) else { continue };
            let reply = runtime.block_on(async {
                let host = Host::with_sh(&sh);
                let mut shell = host.open().await;
                let source = "printf '%s\\0' \"$@\"; cat >&2";
                shell.call(Call { args: args.clone(), input: input.clone(), ..call(source) }).await.unwrap()
            });
            // printf prints its format once even without arguments.
            let given = if args.is_empty() { vec![String::new()] } else { args.clone() };
            let wanted: Vec<u8> = given.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
            prop_assert_eq!(&reply.stdout, &wanted, "{}", name);
            prop_assert_eq!(&reply.stderr, &input, "{}", name);
        }
    }
}

#[tokio::test]
async fn a_shell_that_does_not_answer_is_ended_from_a_second_one() {
    let host = Host::dash();
    let bystander = Host::dash();
    let open = |host: &Host| {
        let exec = host.exec(Become::None, false);
        let options = ShellOptions {
            run: Some(RunId::new("run-1").unwrap()),
            grace: Duration::from_millis(200),
            ..ShellOptions::default()
        };
        HostShell::open(exec, Become::None, None, crate::library(), options)
    };
    let call = |source| Call {
        name: "test",
        source,
        args: Vec::new(),
        input: Vec::new(),
        deadline: Duration::from_secs(1),
        ledger: None,
    };
    let mut left_alone = open(&bystander).await.unwrap();
    left_alone.call(call("true")).await.unwrap();
    let mut wedged = open(&host).await.unwrap();
    wedged.call(call("true")).await.unwrap();
    // It stops the driver and the watchdog with it: nothing ends it from within.
    let stop = "sleep 1000 & kill -STOP $PPID; kill -STOP $$";
    assert!(matches!(wedged.call(call(stop)).await, Err(StepError::Deadline { .. })));
    assert!(wedged.is_wedged());
    let mut second = open(&host).await.unwrap();
    assert!(crate::reap(&mut second).await.unwrap() >= 2);
    assert_eq!(crate::reap(&mut second).await.unwrap(), 0);
    assert!(!second.is_wedged());
    second.close().await;
    drop(wedged);
    host.gone().await;
    assert_eq!(left_alone.call(call("echo here")).await.unwrap().stdout, b"here\n");
}
