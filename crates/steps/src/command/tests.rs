use std::process::Stdio;

use proptest::prelude::*;
use tokio::process::Command;

use super::*;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(120);

fn start(words: &[&str], timeout_s: Option<u32>) -> Start {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Start { words, to_root: Become::None, with_password: false, timeout_s }
}

/// Login shells of this machine, each with the words that come before the line.
fn shells() -> Vec<Vec<&'static str>> {
    let all =
        [vec!["sh"], vec!["bash"], vec!["busybox", "sh"], vec!["tcsh", "-f"], vec!["fish", "--no-config"]];
    let is_there = |shell: &Vec<&str>| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(shell[0]).exists()))
    };
    all.into_iter().filter(is_there).collect()
}

fn spawn(shell: &[&str], line: &str) -> Exec {
    let child = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // As sshd does.
        .process_group(0)
        .spawn()
        .unwrap();
    Exec::from_child(child, 1 << 20).unwrap()
}

/// What it printed on both streams, and how it ended.
async fn run(
    shell: &[&str],
    start: &Start,
    input: Option<&[u8]>,
) -> (Vec<u8>, Vec<u8>, Result<RunEnd, StepError>) {
    let exec = spawn(shell, &start.line().unwrap());
    let mut running = Running::begin(exec, start, None, input.map(Into::into)).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let reading = async {
        while let Some(printed) = running.next().await {
            match printed {
                Printed::Stdout(bytes) => out.extend(bytes),
                Printed::Stderr(bytes) => err.extend(bytes),
            }
        }
    };
    timeout(LONG, reading).await.unwrap();
    (out, err, running.end())
}

#[test]
fn what_the_login_shell_gets() {
    let line = |words: &[&str], limit| start(words, limit).line().unwrap();
    let plain = line(&["sh", "-c", "uptime | tail -1"], Some(300));
    let escaped = line(&["echo", "it's", "100%", "a\\b!\n\u{e4}"], None);
    insta::assert_snapshot!(format!("{plain}\n{escaped}"));
    let starter = starter();
    assert!(!starter.contains(['\'', '\\', '\n']));
    let behind = starter.split('!').skip(1).map(|rest| rest.chars().next());
    assert!(
        behind.into_iter().all(|next| next == Some(' ')),
        "csh would look it up in its history: {starter}"
    );
}

#[test]
fn what_is_too_long_is_not_sent() {
    let long = "x".repeat(LONGEST);
    assert!(matches!(start(&["echo", &long], None).line(), Err(StepError::Unsendable { .. })));
    assert!(matches!(start(&["echo", "a\0b"], None).line(), Err(StepError::Unsendable { .. })));
}

#[tokio::test]
async fn words_arrive_as_they_are_whatever_the_login_shell() {
    let odd = [
        "a b",
        "$HOME `id` $(id)",
        "it's \\ \"q\" !! !x",
        "",
        "-n",
        "*?[a]~",
        "100% \\n",
        "tab\tnewline\n\n",
        "\u{e4}\u{1f600}",
    ];
    let wanted: String = odd.iter().map(|word| format!("<{word}>")).collect();
    for shell in shells() {
        for limit in [None, Some(100)] {
            let words: Vec<&str> = ["printf", "<%s>"].into_iter().chain(odd).collect();
            let (out, err, end) = run(&shell, &start(&words, limit), None).await;
            assert_eq!(String::from_utf8_lossy(&out), wanted, "{shell:?}: {}", String::from_utf8_lossy(&err));
            assert_eq!(end.unwrap(), RunEnd::Exit(0));
        }
    }
}

#[tokio::test]
async fn streams_status_signal_and_input() {
    for shell in shells() {
        for limit in [None, Some(100)] {
            let script = "cat; echo oops >&2; exit 3";
            let (out, err, end) =
                run(&shell, &start(&["sh", "-c", script], limit), Some(&[0, 255, b'x'])).await;
            assert_eq!((out.as_slice(), err.as_slice()), (&[0, 255, b'x'][..], &b"oops\n"[..]), "{shell:?}");
            assert_eq!(end.unwrap(), RunEnd::Exit(3));
            let (out, _, _) = run(&shell, &start(&["cat"], limit), None).await;
            assert_eq!(out, b"", "without input there is none");
            let (_, _, end) = run(&shell, &start(&["sh", "-c", "kill -TERM $$"], limit), None).await;
            assert!(matches!(end.unwrap(), RunEnd::Signal(name) if name == "TERM"), "{shell:?}");
        }
    }
}

/// Whether a process with this number is there.
fn is_there(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn goes_away(pid: &str) {
    let waiting = async {
        while is_there(pid) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap();
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group() {
    for shell in shells() {
        let script = "sleep 1000 & echo $!; echo begun; wait";
        let (out, _, end) = run(&shell, &start(&["sh", "-c", script], Some(5)), None).await;
        assert_eq!(end.unwrap(), RunEnd::Deadline, "{shell:?}");
        let out = String::from_utf8(out).unwrap();
        goes_away(out.lines().next().unwrap()).await;
    }
}

/// A folder in which `timeout` is a link, as busybox has it, and which comes first on the PATH.
#[tokio::test]
async fn where_timeout_is_busybox_the_group_ends_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/false", folder.path().join("timeout")).unwrap();
    let path = format!("PATH={}:$PATH", folder.path().display());
    let with_link = |line: String| format!("{path}; export PATH; {line}");
    let lines = [
        (start(&["sh", "-c", "echo one; exit 3"], Some(100)), "one\n", RunEnd::Exit(3)),
        (start(&["sh", "-c", "sleep 1000 & sleep 1000"], Some(1)), "", RunEnd::Deadline),
        (start(&["cat"], Some(100)), "in", RunEnd::Exit(0)),
    ];
    for (start, wanted, end) in lines {
        let exec = spawn(&["sh"], &with_link(start.line().unwrap()));
        let input: Arc<[u8]> = b"in"[..].into();
        let mut running = Running::begin(exec, &start, None, Some(input)).await.unwrap();
        let mut out = Vec::new();
        while let Some(printed) = timeout(LONG, running.next()).await.unwrap() {
            let Printed::Stdout(bytes) = printed else { panic!("{printed:?}") };
            out.extend(bytes);
        }
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert_eq!(running.end().unwrap(), end);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_word_survives(word in "[^\0]{0,40}") {
        let line = start(&["printf", "%s", &word], None).line().unwrap();
        let out = std::process::Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
        prop_assert_eq!(out.stdout, word.into_bytes());
    }
}
