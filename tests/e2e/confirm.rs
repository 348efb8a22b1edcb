//! What is asked on a terminal before the first connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{LONG, Place};

/// Runs a command on a terminal, answers its question, and gives what the screen showed and the exit code.
async fn answered(place: &Place, line: &str, question: &str, answer: &str) -> (String, i32) {
    let (mut pty, pts) = pty_process::open().unwrap();
    pty.resize(pty_process::Size::new(24, 120)).unwrap();
    let mut command = pty_process::Command::new(env!("CARGO_BIN_EXE_pipedown"));
    command = command
        .args(["-F", "none"])
        .args(shlex::split(line).unwrap())
        .env_clear()
        .current_dir(place.controller.here());
    command = command.env("HOME", place.controller.dir().join("home")).env("PATH", "/usr/bin:/bin");
    command = command.env("TERM", "xterm").env("TZ", "UTC").env("USER", "ops").env("NO_COLOR", "1");
    let mut child = command.spawn(pts).unwrap();
    let mut bytes = Vec::new();
    let talking = async {
        let mut asked = false;
        let mut piece = [0; 4096];
        // A terminal ends with an error when its last process has gone (pty(7)).
        while let Ok(n @ 1..) = pty.read(&mut piece).await {
            bytes.extend_from_slice(&piece[..n]);
            if !asked && String::from_utf8_lossy(&bytes).contains(question) {
                asked = true;
                pty.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        assert!(asked, "{question:?} was never asked:\n{}", String::from_utf8_lossy(&bytes));
        child.wait().await.unwrap().code().unwrap_or(-1)
    };
    let code = tokio::time::timeout(LONG, talking).await.expect("the command never ended");
    (String::from_utf8_lossy(&bytes).into_owned(), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_is_confirmed() {
    let place = Place::new(2).await;
    let line = "run graceful-shutdown --all --in 1h";
    let (screen, code) = answered(&place, line, "[y/N]", "n\n").await;
    assert_eq!(code, 5, "{screen}");
    assert!(screen.contains("2 hosts, login[01-02]") && screen.contains("nothing was changed"), "{screen}");
    assert!(!place.is_armed(1) && place.controller.runs().is_empty());
    let (screen, code) = answered(&place, line, "[y/N]", "y\n").await;
    assert_eq!(code, 0, "{screen}");
    assert!(place.is_armed(1) && place.is_armed(2));
    assert!(screen.contains("2 armed") && !screen.contains("\u{1b}[32m"), "NO_COLOR: {screen}");
    // Where nobody can be asked, nothing is begun.
    place.controller.run("run graceful-shutdown --all --in 1h").await.code(64).says("--yes");
}
