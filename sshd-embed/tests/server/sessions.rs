//! Commands and shells over OpenSSH's client.

use std::time::Duration;

use sshd_embed::{AuthorizedKeys, Fleet, KeyPair, Limits, Server};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::support::{
    LONG, Shell, feed, fleet, have_ssh, leads, must, options, run, runs, ssh, ssh_at, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_its_streams_and_its_status() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let output = run(&fleet, "root", "echo out; echo err >&2; exit 7").await;
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let mut command = ssh(&fleet, "alice");
    command.arg("cat; echo end");
    assert_eq!(feed(command, b"hello\n".to_vec()).await.stdout, b"hello\nend\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_go_each_way_and_through() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let megabytes: Vec<u8> = (0..20_000_000u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
    let mut command = ssh(&fleet, "root");
    command.arg("wc -c");
    assert_eq!(feed(command, megabytes.clone()).await.stdout, b"20000000\n");
    assert_eq!(run(&fleet, "root", "head -c 20000000 /dev/zero").await.stdout, vec![0; 20_000_000]);
    // Keys are exchanged again and again while an echo is under way.
    let mut command = ssh(&fleet, "root");
    command.args(["-o", "RekeyLimit=2M", "cat"]);
    let echoed = feed(command, megabytes.clone()).await;
    assert!(echoed.stdout == megabytes, "{} bytes: {:?}", echoed.stdout.len(), echoed.stderr);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_everything_through_the_file() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let mut command = ssh(&fleet, "root");
    command.arg("sleep 1; wc -c");
    assert_eq!(feed(command, vec![1; 12_000_000]).await.stdout, b"12000000\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_the_hosts_alone() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let dir = fleet.hosts()[0].dir().display().to_string();
    let output =
        timeout(LONG, ssh(&fleet, "alice").args(["-o", "SetEnv=LC_X=1 FOO=2", "env; pwd; umask"]).output());
    let text = String::from_utf8(output.await.unwrap().unwrap().stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| line.replace(&dir, "DIR")).collect();
    for line in &mut lines {
        if line.starts_with("SSH_CONNECTION=127.0.0.1 ") {
            "SSH_CONNECTION=…".clone_into(line);
        }
    }
    lines.retain(|line| !line.starts_with("OLDPWD") && !line.starts_with("_=") && !line.starts_with("SHLVL"));
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
    let missing =
        must(&fleet, "root", "for c in systemctl loginctl busctl sudo; do command -v $c; done; echo none")
            .await;
    assert_eq!(missing, "none\n");
    let power = must(&fleet, "root", "command -v poweroff").await.replace(&dir, "DIR");
    assert_eq!(power, "DIR/bin/poweroff\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_cannot_write_outside_its_host() {
    if !have_ssh() {
        return;
    }
    let kernel = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let fleet = fleet(1).await;
    let outside = fleet.dir().join("outside");
    let line = format!(
        "echo x > {0}; mv $HOME/.. {0}; echo y > $TMPDIR/inside; cat $TMPDIR/inside; : > /dev/null",
        outside.display()
    );
    let output = run(&fleet, "root", &line).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "y\n", "{output:?}");
    if outside.exists() {
        assert!(!kernel.contains("landlock"), "Landlock is on, and did not confine: {output:?}");
        println!("not checked: there is no Landlock here");
    }
    // A rename from one directory of the host to another stays possible.
    must(
        &fleet,
        "root",
        "mkdir $HOME/a $HOME/b && echo z > $HOME/a/f && mv $HOME/a/f $HOME/b/g && cat $HOME/b/g",
    )
    .await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_on_a_terminal_shows_the_motd_and_is_listed() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("Welcome to login01.").await;
    shell.expect("alice@login01$ ").await;
    shell.send("tty; echo TERM=$TERM\n").await;
    shell.expect("/dev/pts/").await;
    let who = must(&fleet, "root", "who").await;
    assert!(who.starts_with("alice    pts/") && who.trim_end().ends_with("(127.0.0.1)"), "{who:?}");
    let line = who.split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!(must(&fleet, "root", "ls $PIPEDOWN_ROOT/dev/pts").await, format!("{}\n", &line[4..]));
    shell.send("exit 5\n").await;
    let (code, _) = shell.end().await;
    assert_eq!(code, Some(5));
    assert_eq!(must(&fleet, "root", "who; ls $PIPEDOWN_ROOT/dev/pts").await, "");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nologin_keeps_users_out_and_lets_root_in() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    must(&fleet, "root", "echo 'closed for the window' > $PIPEDOWN_ROOT/run/nologin").await;
    let refused = run(&fleet, "alice", "echo in").await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, b"");
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "closed for the window\n");
    let (code, text) = Shell::open(&fleet, "alice").end().await;
    assert_eq!((code, text.as_str()), (Some(1), "closed for the window\r\n"));
    assert_eq!(must(&fleet, "root", "echo in").await, "in\n");
    must(&fleet, "root", "rm $PIPEDOWN_ROOT/run/nologin").await;
    assert_eq!(must(&fleet, "alice", "echo in").await, "in\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_reaches_terminals_even_beside_a_stopped_one() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let mut stopped = Shell::open(&fleet, "alice");
    stopped.expect("$ ").await;
    stopped.send("\x13").await;
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("$ ").await;
    let mut wall = ssh(&fleet, "root");
    wall.arg("wall");
    let mut wall = wall.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = wall.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, b"going down\x1b[31m at six\n").await.unwrap();
    drop(input);
    shell.expect("Broadcast message from root@login01").await;
    shell.expect("\ngoing down[31m at six\r").await;
    assert!(timeout(LONG, wall.wait()).await.unwrap().unwrap().success());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_child_outlives_its_channel_and_not_its_host() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let detach = "setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $!";
    let pid: u32 = must(&fleet, "alice", detach).await.trim().parse().unwrap();
    // From a terminal too: the hang-up is for the session, not for who has left it.
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("$ ").await;
    shell.send("(setsid sleep 301 </dev/null >/dev/null 2>&1 & echo pid=$!.)\n").await;
    shell.expect("\npid=").await;
    shell.expect(".\r\n").await;
    let text = shell.seen.rsplit("\npid=").next().unwrap().split('.').next().unwrap();
    let other: u32 = text.parse().unwrap();
    // Until then it belongs to the session that is hung up.
    until("it has left", async || leads(other)).await;
    drop(shell);
    until("the shell is gone", async || must(&fleet, "root", "who").await.is_empty()).await;
    assert!(runs(pid) && runs(other));
    fleet.hosts()[0].crash().await.unwrap();
    assert!(!runs(pid) && !runs(other));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_terminal_hangs_up() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let mut shell = Shell::open(&fleet, "alice");
    shell.expect("$ ").await;
    shell.send("echo pid=$$.\n").await;
    shell.expect("\npid=").await;
    shell.expect(".\r\n").await;
    let pid: u32 = shell.seen.rsplit("\npid=").next().unwrap().split('.').next().unwrap().parse().unwrap();
    assert!(runs(pid));
    drop(shell);
    until("the shell is gone", async || !runs(pid)).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_stay_out() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let stranger = dir.path().join("key");
    KeyPair::generate().unwrap().save(&stranger).unwrap();
    let addr = fleet.hosts()[0].addrs()[0];
    let output = ssh_at(addr, &stranger, &fleet.known_hosts(), "root").arg("echo in").output();
    let output = timeout(LONG, output).await.unwrap().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(255), &b""[..]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied (publickey)"));
    let output = run(&fleet, "mallory", "echo in").await;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(255), &b""[..]));
    // A second key is tried after the first was refused.
    let mut both = ssh_at(addr, &stranger, &fleet.known_hosts(), "root");
    both.arg("-i").arg(fleet.identity()).arg("echo in");
    assert_eq!(timeout(LONG, both.output()).await.unwrap().unwrap().stdout, b"in\n");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_and_subsystems_are_refused() {
    if !have_ssh() {
        return;
    }
    let fleet = fleet(1).await;
    let output = timeout(LONG, ssh(&fleet, "root").args(["-s", "sftp"]).output()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("subsystem request failed"), "{output:?}");
    let addr = fleet.hosts()[0].addrs()[0].to_string();
    let output = timeout(LONG, ssh(&fleet, "root").args(["-W", &addr]).output()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("forwarding failed"), "{output:?}");
    let mut remote = ssh(&fleet, "root");
    remote.args(["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", "echo in"]);
    assert_eq!(timeout(LONG, remote.output()).await.unwrap().unwrap().status.code(), Some(255));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_itself_is_served_with_a_clean_environment() {
    if !have_ssh() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (client, known_hosts) = (dir.path().join("key"), dir.path().join("known_hosts"));
    let key = KeyPair::load_or_generate(&client).unwrap();
    let server = Server::new()
        .listen(([127, 0, 0, 1], 0).into())
        .authorized_keys(AuthorizedKeys::new().with_key(&key))
        .user("me")
        .limits(Limits::default())
        .start()
        .await
        .unwrap();
    let addr = server.addrs()[0];
    std::fs::File::create(&known_hosts).unwrap();
    let line = format!("[{}]:{} {}\n", addr.ip(), addr.port(), server.host_key());
    std::io::Write::write_all(&mut std::fs::File::create(&known_hosts).unwrap(), line.as_bytes()).unwrap();
    let mut command = ssh_at(addr, &client, &known_hosts, "me");
    command.args([
        "-o",
        "SetEnv=LC_PLACE=here FOO=no CARGO=no",
        "echo $USER $LC_PLACE ${FOO-unset} ${CARGO-unset}",
    ]);
    let output = timeout(LONG, command.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "me here unset unset\n");
    // A graceful stop hangs up on what runs.
    let mut command = ssh_at(addr, &client, &known_hosts, "me");
    let mut child = command.arg("echo $$; exec sleep 300").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid: u32 = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap().parse().unwrap();
    assert!(runs(pid));
    let ((), output) = tokio::join!(server.stop(), child.wait_with_output());
    let output = output.unwrap();
    until("the command is gone", async || !runs(pid)).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("the server is stopping"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_fallen_silent_is_dropped() {
    if !have_ssh() {
        return;
    }
    let mut limits = Limits::default();
    (limits.keepalive, limits.keepalive_max) = (Some(Duration::from_secs(1)), 5);
    let fleet = Fleet::start(1, options().limits(limits)).await.unwrap();
    let mut command = ssh(&fleet, "root");
    command.arg("echo $$; exec cat").stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid: u32 = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap().parse().unwrap();
    let client = i32::try_from(child.id().unwrap()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    // A living client answers, and stays.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(runs(pid));
    rustix::process::kill_process(client, rustix::process::Signal::STOP).unwrap();
    // The command sees the end of its input, as it does when a connection breaks.
    until("the command is gone", async || !runs(pid)).await;
    fleet.stop().await;
}
