//! Connections inside others: `sshd -i` on a channel, and what goes wrong there.

use std::path::Path;
use std::time::Duration;

use russh::keys::ssh_key::Algorithm;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sshd::{Sshd, connector, public, settings, user};
use super::{eventually, hear, new_key, write_file, write_key};
use crate::{
    Carrier, Chunk, ConnectError, Connection, Connector, Deadlines, FailureClass, LinkEnd, Phase, Settings,
    Target, UnknownHost, Via,
};

const SHORT: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(20);

/// The server's own configuration with more lines before it, which win.
fn candidate(sshd: &Sshd, lines: &str) -> String {
    let now = std::fs::read_to_string(sshd.dir.path().join("sshd_config")).unwrap();
    let file = sshd.dir.path().join("candidate");
    write_file(&file, &format!("{lines}\n{now}"), 0o644);
    format!("/usr/sbin/sshd -i -e -f {}", file.display())
}

/// A carrier on a connection that runs a command.
async fn carrier(outer: &Connection, command: &str, begins_after: &str) -> Carrier {
    Carrier {
        exec: outer.exec(command).await.unwrap(),
        begins_after: begins_after.to_owned(),
        host_key: outer.host_key().clone(),
    }
}

struct Outer {
    sshd: Sshd,
    connector: Connector,
    target: Target,
    connection: Connection,
}

impl Outer {
    async fn with(connector: Connector) -> Option<Self> {
        let sshd = Sshd::start("").await?;
        sshd.knows_host_key();
        let target = sshd.target();
        let connection = connector.connect(&target).await.unwrap();
        Some(Self { sshd, connector, target, connection })
    }

    async fn new() -> Option<Self> {
        Self::with(connector()).await
    }

    /// With so little patience for what is said before the key exchange.
    async fn impatient() -> Option<Self> {
        let mut outer = Self::new().await?;
        let deadlines = Deadlines { connect: SHORT, banner: SHORT, ..settings().deadlines };
        outer.connector = Connector::new(Settings { deadlines, ..Settings::default() }, None);
        Some(outer)
    }

    async fn connect_on(&self, command: &str, begins_after: &str) -> Result<Connection, ConnectError> {
        let carrier = carrier(&self.connection, command, begins_after).await;
        timeout(LIMIT, self.connector.connect_on(&self.target, carrier)).await.unwrap()
    }

    async fn error(&self, command: &str, begins_after: &str) -> ConnectError {
        self.connect_on(command, begins_after).await.unwrap_err()
    }

    /// An error's words, with the file's and the user's names made the same everywhere.
    fn text(&self, error: &ConnectError) -> String {
        let dir = self.sshd.dir.path().display().to_string();
        error.to_string().replace(&dir, "DIR").replace(&format!(" {} ", user()), " USER ")
    }
}

async fn says(connection: &Connection, command: &str) -> (Vec<u8>, Vec<Chunk>) {
    let mut exec = connection.exec(command).await.unwrap();
    let heard = hear(&mut exec.output).await;
    (heard.stdout, heard.ends)
}

#[tokio::test]
async fn a_whole_login_on_a_channel() {
    let Some(outer) = Outer::new().await else { return };
    let inner = outer.connect_on(&candidate(&outer.sshd, "SetEnv WHICH=candidate"), "").await.unwrap();
    assert_eq!(says(&inner, "echo $WHICH; exit 3").await, (b"candidate\n".to_vec(), vec![Chunk::Exit(3)]));
    assert_eq!((inner.via(), inner.peer_addr()), (&Via::Channel, None));
    assert_eq!((inner.host_key(), inner.user()), (outer.connection.host_key(), outer.connection.user()));
    assert_eq!(inner.proven_identity(), outer.connection.proven_identity());
    assert!(inner.server_version().starts_with("OpenSSH_"));
    inner.close().await;
    assert_eq!(says(&outer.connection, "echo still").await.0, b"still\n");
}

#[tokio::test]
async fn nothing_is_said_before_the_stream_begins() {
    let Some(outer) = Outer::new().await else { return };
    // Half a second without a byte, then the text in two pieces, after more of the same and across chunks.
    let command = format!(
        "[ \"$(timeout 0.5 head -c 1 | wc -c)\" = 0 ] || exit 9; echo READ; printf 'READ'; sleep 0.2; \
         printf 'Y\\n'; exec {}",
        candidate(&outer.sshd, "")
    );
    let inner = outer.connect_on(&command, "READY\n").await.unwrap();
    assert_eq!(says(&inner, "echo in").await.0, b"in\n");
}

#[tokio::test]
async fn much_goes_through_both_ways() {
    let Some(outer) = Outer::new().await else { return };
    let inner = outer.connect_on(&candidate(&outer.sshd, ""), "").await.unwrap();
    let mut exec = inner.exec("cat").await.unwrap();
    // More than the windows of both connections hold.
    let much: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let writing = async {
        exec.stdin.write_all(&much).await.unwrap();
        exec.stdin.eof();
    };
    let ((), heard) = tokio::join!(writing, hear(&mut exec.output));
    assert!(heard.stdout == much);
}

#[tokio::test]
async fn a_server_that_lets_us_not_in_says_why() {
    let Some(outer) = Outer::new().await else { return };
    let error = outer.error(&candidate(&outer.sshd, "LogLevel INFO\nAllowUsers nobody"), "").await;
    let ConnectError::Carried { source, stderr } = &error else { panic!("{error}") };
    assert!(matches!(**source, ConnectError::AuthDenied { .. }), "{error}");
    assert_eq!((error.class(), error.phase()), (FailureClass::AuthDenied, Phase::Auth));
    let why = format!("User {} from UNKNOWN not allowed because not listed in AllowUsers", user());
    assert!(stderr.lines().any(|line| line == why), "{stderr}");
    assert!(error.to_string().contains(&why), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let Some(outer) = Outer::new().await else { return };
    let error = outer.error(&candidate(&outer.sshd, "Nonsense yes"), "").await;
    insta::assert_snapshot!(outer.text(&error), @r#"connect to testhost: the connection ended during the version line: the command that carries the connection ended: status 255: DIR/candidate: line 1: Bad configuration option: Nonsense; DIR/candidate: terminating, 1 bad configuration options"#);
    assert_eq!((error.class(), error.phase()), (FailureClass::Dropped, Phase::Banner));
    let error = outer.error("echo READY; exec /nonexistent/sshd -i", "READY\n").await;
    // The words are the login shell's.
    let text = error.to_string();
    assert!(text.contains(" ended: status 127: ") && text.contains("/nonexistent/sshd"), "{text}");
    let error = outer.error("echo not allowed here >&2; exit 1", "READY\n").await;
    insta::assert_snapshot!(outer.text(&error), @r#"connect to testhost: the connection ended during the version line: the command that carries the connection ended: status 1: not allowed here"#);
    insta::assert_snapshot!(error.hint(), @"run the command by hand on the host: it is to speak SSH on its standard output");
    let error = outer.error("kill -9 $$", "READY\n").await;
    insta::assert_snapshot!(outer.text(&error), @r#"connect to testhost: the connection ended during the version line: the command that carries the connection ended: signal KILL"#);
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    let Some(outer) = Outer::impatient().await else { return };
    let error = outer.error("echo thinking >&2; exec cat >/dev/null", "").await;
    insta::assert_snapshot!(outer.text(&error), @r#"connect to testhost: the version line took longer than 0.3 s; the command that carries the connection says "thinking""#);
    assert_eq!((error.class(), error.phase()), (FailureClass::TimedOut, Phase::Banner));
    let error = outer.error("echo thinking >&2; echo READ; exec cat >/dev/null", "READY\n").await;
    insta::assert_snapshot!(outer.text(&error), @r#"connect to testhost: the version line took longer than 0.6 s; the command that carries the connection says "thinking""#);
}

#[tokio::test]
async fn a_flood_instead_of_ssh_is_shown_in_part() {
    let Some(outer) = Outer::new().await else { return };
    let flood = "head -c 1048576 /dev/zero | tr '\\0' x; exec cat >/dev/null";
    for begins_after in ["", "READY\n"] {
        let error = outer.error(flood, begins_after).await;
        assert_eq!(error.class(), FailureClass::NotSsh, "{error}");
        let x = "x".repeat(64);
        assert_eq!(
            error.to_string(),
            format!("connect to testhost: the answer is not SSH, it begins with \"{x}\"")
        );
    }
    // Words on standard error are kept, the last of them.
    let words = "head -c 1048576 /dev/zero | tr '\\0' e >&2; echo last words >&2; exit 3";
    let error = outer.error(words, "READY\n").await;
    let ConnectError::Dropped { end: LinkEnd::Carrier(end), .. } = &error else { panic!("{error}") };
    assert!(
        end.starts_with("status 3: eee") && end.ends_with("eee; last words") || end.ends_with("elast words")
    );
    assert!(end.len() < 9000, "{}", end.len());
}

/// The candidate with another host key.
fn with_other_key(sshd: &Sshd) -> (String, String) {
    let key = new_key(Algorithm::Ed25519);
    write_key(&sshd.dir.path().join("other_key"), &key, 0o600);
    let command = candidate(sshd, "");
    let file = sshd.dir.path().join("candidate");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("host_key_0"));
    write_file(&file, &text.replace("host_key_0", "other_key"), 0o644);
    (command, public(&key))
}

#[tokio::test]
async fn the_host_key_is_the_proven_one_or_known() {
    let Some(mut outer) = Outer::new().await else { return };
    let (command, other) = with_other_key(&outer.sshd);
    let error = outer.error(&command, "").await;
    assert_eq!(error.class(), FailureClass::HostKeyChanged, "{error}");
    assert!(error.host_key().is_some());

    // Both are known.
    outer.sshd.knows(&format!("{{port}} {}\n{{port}} {other}\n", public(&outer.sshd.host_key)));
    outer.connector = connector();
    let inner = outer.connect_on(&command, "").await.unwrap();
    assert_ne!(inner.host_key(), outer.connection.host_key());

    // Nothing is known: the proven key is enough, and no other is recorded, whatever the target says.
    outer.sshd.knows("");
    outer.connector = connector();
    outer.target.trust.unknown = UnknownHost::Record;
    let error = outer.error(&command, "").await;
    assert_eq!(error.class(), FailureClass::HostKeyUnknown, "{error}");
    let inner = outer.connect_on(&candidate(&outer.sshd, ""), "").await.unwrap();
    assert_eq!(inner.host_key(), outer.connection.host_key());
    assert_eq!(std::fs::read_to_string(outer.sshd.dir.path().join("known_hosts")).unwrap(), "");
    assert!(outer.connector.warnings().is_empty());
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// A command that leaves its number behind before it becomes another one.
fn numbered(dir: &Path, command: &str) -> String {
    format!("echo $$ > {}/number; exec {command}", dir.display())
}

/// Whether the last numbered command has gone.
fn is_gone(dir: &Path) -> bool {
    let number = std::fs::read_to_string(dir.join("number")).unwrap_or_default();
    !number.is_empty() && !Path::new("/proc").join(number.trim()).exists()
}

#[tokio::test]
async fn failures_and_drops_leave_nothing() {
    let Some(outer) = Outer::impatient().await else { return };
    let dir = outer.sshd.dir.path();
    says(&outer.connection, "true").await;
    let before = tasks();
    let gone = |what: &'static str| async move {
        eventually(what, || is_gone(dir)).await;
        eventually("the end of all tasks", || tasks() <= before).await;
        std::fs::remove_file(dir.join("number")).unwrap();
    };
    // Refused, silent, and deaf to the end of its input.
    outer.error(&numbered(dir, &candidate(&outer.sshd, "AllowUsers nobody")), "").await;
    gone("the end of the one that refused").await;
    outer.error(&numbered(dir, "cat >/dev/null"), "").await;
    gone("the end of the silent one").await;
    // sshd signals no commands of root.
    if !rustix::process::getuid().is_root() {
        outer.error(&numbered(dir, "sleep 1000"), "").await;
        gone("the end of the deaf one").await;
    }
    // Dropped before the stream begins, in key exchange, and logged in.
    for said in ["", "READY\nSSH-2.0-Staller\r\n"] {
        let command = format!("printf '{said}'; {}", numbered(dir, "cat >/dev/null"));
        let patient = connector();
        let connecting =
            patient.connect_on(&outer.target, carrier(&outer.connection, &command, "READY\n").await);
        tokio::select! {
            ended = connecting => panic!("{ended:?}"),
            () = eventually("the stall", || dir.join("number").exists()) => {}
        }
        gone("the end of the dropped one").await;
    }
    let patient = connector();
    let command = numbered(dir, &candidate(&outer.sshd, ""));
    let carrier = carrier(&outer.connection, &command, "").await;
    let inner = patient.connect_on(&outer.target, carrier).await.unwrap();
    let mut exec = inner.exec("cat").await.unwrap();
    drop(inner);
    assert_eq!(hear(&mut exec.output).await.ends, [Chunk::Lost]);
    drop(exec);
    gone("the end of the one logged in").await;
    assert_eq!(says(&outer.connection, "echo still").await.0, b"still\n");
}

#[tokio::test]
async fn the_inner_connection_ends_with_its_server_and_with_the_outer_one() {
    let Some(outer) = Outer::new().await else { return };
    let inner =
        outer.connect_on(&numbered(outer.sshd.dir.path(), &candidate(&outer.sshd, "")), "").await.unwrap();
    says(&outer.connection, &format!("kill -9 $(cat {}/number)", outer.sshd.dir.path().display())).await;
    let end = timeout(LIMIT, inner.closed()).await.unwrap();
    assert_eq!(end, LinkEnd::Carrier("signal KILL".to_owned()));
    let inner = outer.connect_on(&candidate(&outer.sshd, ""), "").await.unwrap();
    drop(outer.connection);
    let end = timeout(LIMIT, inner.closed()).await.unwrap();
    assert_eq!(end, LinkEnd::Carrier("the outer connection is gone".to_owned()));
}
