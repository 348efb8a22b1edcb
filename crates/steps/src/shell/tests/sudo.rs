//! Becoming root: against scripts that act as sudo, and against the real sudo and doas where root runs the tests.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Asks for `correct horse` as sudo does, and again when that was not it.
const ASKING: &str = r#"#!/bin/sh
[ "$1 $2" = "-S -p" ] || exit 9
echo "a lecture" >&2
printf '[sudo: %s] Password: ' "$3" >&2
IFS= read -r password
if [ "$password" != "correct horse" ]; then
	printf 'Sorry, try again.\n%s' "$3" >&2
	IFS= read -r password || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
fi
shift 3
exec "$@"
"#;

/// Traces its command line, and lets anybody in without a question.
const TRACING: &str = r#"#!/bin/sh
echo "+ sudo $*" >&2
shift 3
exec "$@"
"#;

const REFUSING: &str = "#!/bin/sh\necho 'Sorry, user alice may not run sudo on login01.' >&2\nexit 1\n";

async fn open(exec: Exec, become_: Become, password: Option<&str>) -> Result<HostShell, StepError> {
    let password = password.map(|text| Secret::new(text.to_owned()));
    HostShell::open(exec, become_, password, "", ShellOptions::default()).await
}

/// Opens a shell and says who it is, or what went wrong.
async fn whoami(exec: Exec, become_: Become, password: Option<&str>) -> String {
    let reply = async { open(exec, become_, password).await?.call(call("id -u")).await };
    match reply.await {
        Ok(reply) => format!("uid {}{}", text(&reply.stdout).trim(), text(&reply.stderr)),
        Err(error) => {
            assert_eq!(error.class(), pipedown_model::FailureClass::Become, "{error}");
            format!("failed to {error}\n  {}", error.hint().unwrap_or_default())
        }
    }
}

fn own_uid() -> String {
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    format!("uid {}", text(&output.stdout).trim())
}

#[tokio::test]
async fn a_password_is_given_when_asked_for_with_our_own_word() {
    on_every_shell(async |host| {
        host.provide("sudo", ASKING);
        assert_eq!(
            whoami(host.exec(Become::Sudo, true), Become::Sudo, Some("correct horse")).await,
            own_uid()
        );
        let wrong = whoami(host.exec(Become::Sudo, true), Become::Sudo, Some("wrong")).await;
        assert!(wrong.starts_with("failed to become root: sudo did not take the password"), "{wrong}");
        host.gone().await;
    })
    .await;
}

#[tokio::test]
async fn a_password_that_nobody_asks_for_stays_here() {
    let host = Host::dash();
    host.provide("sudo", TRACING);
    assert_eq!(whoami(host.exec(Become::Sudo, true), Become::Sudo, Some("correct horse")).await, own_uid());
}

#[tokio::test]
async fn a_refusal_is_told_by_the_first_call() {
    let host = Host::dash();
    host.provide("sudo", REFUSING);
    let said = whoami(host.exec(Become::Sudo, false), Become::Sudo, None).await;
    assert!(
        said.starts_with("failed to become root: Sorry, user alice may not run sudo on login01."),
        "{said}"
    );
    let said = whoami(host.exec(Become::Sudo, true), Become::Sudo, Some("correct horse")).await;
    assert!(
        said.starts_with("failed to become root: Sorry, user alice may not run sudo on login01."),
        "{said}"
    );
}

#[tokio::test]
async fn sudo_that_never_answers_is_given_up() {
    let host = Host::dash();
    host.provide("sudo", "#!/bin/sh\nexec sleep 1000\n");
    let options = ShellOptions { opening: Duration::from_millis(100), ..ShellOptions::default() };
    let password = Some(Secret::new("correct horse".to_owned()));
    let opened = HostShell::open(host.exec(Become::Sudo, true), Become::Sudo, password, "", options)
        .await
        .unwrap_err();
    assert!(matches!(opened, StepError::Deadline { call: "sudo", .. }), "{opened:?}");
}

#[tokio::test]
async fn a_line_without_our_word_is_not_run() {
    on_every_shell(async |host| {
        let Exec { mut stdin, mut output, .. } = host.exec(Become::None, false);
        stdin.write_all(b": >\"$PIPEDOWN_ROOT/run\"\n").await.unwrap();
        let mut status = None;
        while let Some(chunk) = output.next().await {
            if let Chunk::Exit(code) = chunk {
                status = Some(code);
            }
        }
        assert_eq!(status, Some(1));
        assert!(!host.file("run").exists());
    })
    .await;
}

/// What the real sudo and doas see as /etc: users alice (password), ops (none needed), mallory (no right).
struct Etc(TempDir);

/// `correct horse`, by crypt(3) with SHA-512.
const HASH: &str =
    "$6$pipedown$PI0U3TmdQAmriy.eWNIoxfCPokXGbtUs6xutjGWfZZY5xpPYHe9bQwG2VeoGZfuA/1sl9/iXNTsB89zgFMm5I/";

/// Goes on as a user, in a mount namespace of its own in which /etc is ours.
const AS_USER: &str = r#"mount -t overlay overlay -o "lowerdir=$1:/etc" /etc && mount -t tmpfs none /run || exit 99
[ ! -d /var/lib/sudo ] || mount -t tmpfs none /var/lib/sudo
exec setpriv --reuid="$2" --regid="$2" --clear-groups sh -c "$3""#;

impl Etc {
    /// `None`, with a reason printed, where this cannot be done.
    fn prepare(program: &str) -> Option<Self> {
        let missing = [program, "unshare", "setpriv"].into_iter().find(|name| find_program(name).is_none());
        if let Some(name) = missing {
            println!("skipped, not installed: {name}");
            return None;
        }
        let etc = Self(TempDir::new().unwrap());
        std::fs::set_permissions(etc.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let users = [("root", 0), ("alice", 4001), ("ops", 4002), ("mallory", 4003)];
        let lines = |line: &dyn Fn(&str, u32) -> String| {
            users.iter().map(|(name, uid)| line(name, *uid)).collect::<String>()
        };
        etc.write("passwd", 0o644, &lines(&|name, uid| format!("{name}:x:{uid}:{uid}::/:/bin/sh\n")));
        etc.write("shadow", 0o600, &lines(&|name, _| format!("{name}:{HASH}:19000::::::\n")));
        etc.write(
            "sudoers",
            0o440,
            "Defaults lecture=always\nalice ALL=(ALL) ALL\nops ALL=(ALL) NOPASSWD: ALL\n",
        );
        etc.write("doas.conf", 0o600, "permit alice\npermit nopass ops\n");
        let works = etc.command("4001", "exit 0").status().is_ok_and(|status| status.success());
        if !works {
            println!("skipped: a mount namespace with another /etc needs root and overlayfs");
        }
        works.then_some(etc)
    }

    fn write(&self, name: &str, mode: u32, content: &str) {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.0.path().join(name);
        let mut file =
            std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(path).unwrap();
        std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
    }

    fn command(&self, uid: &str, command: &str) -> std::process::Command {
        let mut process = std::process::Command::new("unshare");
        process.args(["--mount", "sh", "-c", AS_USER, "sh"]).arg(self.0.path()).args([uid, command]);
        process.env_remove("PIPEDOWN_ROOT").stdin(Stdio::null());
        process
    }

    fn exec(&self, uid: &str, become_: Become, with_password: bool) -> Exec {
        let mut process = tokio::process::Command::from(self.command(uid, &command(become_, with_password)));
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Exec::from_child(process.spawn().unwrap(), 1024 * 1024).unwrap()
    }
}

/// A result without the tool's own words, which differ between versions.
fn outcome(result: &str) -> &str {
    result.rsplit_once("\n  ").map_or(result, |(_, hint)| hint)
}

#[tokio::test]
async fn the_real_sudo() {
    let Some(etc) = Etc::prepare("sudo") else { return };
    let mut seen = String::new();
    for (name, uid) in [("alice", "4001"), ("ops", "4002"), ("mallory", "4003")] {
        for password in [None, Some("wrong"), Some("correct horse")] {
            let exec = etc.exec(uid, Become::Sudo, password.is_some());
            let result = whoami(exec, Become::Sudo, password).await;
            seen.push_str(&format!("{name}, {}: {}\n", password.unwrap_or("no password"), outcome(&result)));
        }
    }
    insta::assert_snapshot!(seen);
}

#[tokio::test]
async fn the_real_doas() {
    let Some(etc) = Etc::prepare("doas") else { return };
    let mut seen = String::new();
    for (name, uid) in [("alice", "4001"), ("ops", "4002"), ("mallory", "4003")] {
        let result = whoami(etc.exec(uid, Become::Doas, false), Become::Doas, None).await;
        seen.push_str(&format!("{name}: {}\n", outcome(&result)));
    }
    insta::assert_snapshot!(seen);
    let refused = whoami(etc.exec("4002", Become::Doas, false), Become::Doas, Some("correct horse")).await;
    assert!(refused.contains("doas takes no password"), "{refused}");
}
