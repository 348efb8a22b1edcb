//! Methods beyond keys, several in sequence, and who is asked for what.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, PrivateKey};
use russh::server::{self, Auth, PublicKeyOffer, VerifiedPublicKey};
use russh::{MethodKind, MethodSet};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::sshd::{Sshd, connector, settings};
use super::stall::{Staller, known_target};
use super::{new_key, with_keys, write_key};
use crate::{
    ConnectError, Connector, Deadlines, FailureClass, SecretText, Secrets, ServerQuestions, Settings, Target,
};

/// Takes these methods one after the other, and a password "right" or an answer "42".
struct Demanding {
    wanted: Vec<MethodKind>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Demanding {
    fn verdict(&mut self, method: MethodKind, good: bool) -> Auth {
        self.asked.lock().unwrap().push(format!("{method:?}{}", if good { "" } else { " wrong" }));
        if good && self.wanted.first() == Some(&method) {
            self.wanted.remove(0);
            if self.wanted.is_empty() {
                return Auth::Accept;
            }
            return Auth::Reject { proceed_with_methods: Some(self.next()), partial_success: true };
        }
        Auth::Reject { proceed_with_methods: Some(self.next()), partial_success: false }
    }

    fn next(&self) -> MethodSet {
        MethodSet::from(&self.wanted[..1])
    }
}

impl server::Handler for Demanding {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(self.verdict(MethodKind::None, false))
    }

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        if self.wanted.first() == Some(&MethodKind::PublicKey) {
            return Ok(Auth::Accept);
        }
        Ok(self.verdict(MethodKind::PublicKey, false))
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.verdict(MethodKind::PublicKey, true))
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.verdict(MethodKind::Password, password == "right"))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<server::Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(response) = response else {
            return Ok(Auth::Partial {
                name: "Second factor".into(),
                instructions: "Look at your token.".into(),
                prompts: vec![("Code: ".into(), true)].into(),
            });
        };
        let answers: Vec<String> =
            response.map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect();
        Ok(self.verdict(MethodKind::KeyboardInteractive, answers == ["42"]))
    }
}

/// Gives these answers, one after the other, each after some time, and writes the questions down.
#[derive(Default)]
struct Person {
    passwords: Mutex<Vec<&'static str>>,
    takes: Duration,
    heard: Mutex<Vec<String>>,
    typing: AtomicUsize,
}

impl Person {
    fn giving(passwords: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { passwords: Mutex::new(passwords.to_vec()), ..Self::default() })
    }

    fn next(&self) -> Option<SecretText> {
        assert_eq!(self.typing.fetch_add(1, Ordering::SeqCst), 0, "two questions at once");
        std::thread::sleep(self.takes);
        self.typing.fetch_sub(1, Ordering::SeqCst);
        let mut passwords = self.passwords.lock().unwrap();
        (!passwords.is_empty()).then(|| Zeroizing::new(passwords.remove(0).to_owned()))
    }
}

impl Secrets for Person {
    fn passphrase(&self, _: &Path) -> Option<SecretText> {
        None
    }

    fn password(&self, user: &str, host: &str, attempt: u32) -> Option<SecretText> {
        self.heard.lock().unwrap().push(format!("password {user}@{host} {attempt}"));
        self.next()
    }

    fn answers(&self, asked: &ServerQuestions) -> Option<Vec<SecretText>> {
        self.heard.lock().unwrap().push(format!("{asked:?}"));
        self.next().map(|answer| vec![answer])
    }
}

/// A server, and a target with one key for it.
struct Scene {
    _server: Staller,
    target: Target,
    asked: Arc<Mutex<Vec<String>>>,
    dir: TempDir,
}

fn scene(wanted: &[MethodKind]) -> Scene {
    let host_key = new_key(Algorithm::Ed25519);
    let zero = Duration::ZERO;
    let config = server::Config {
        keys: vec![host_key.clone()],
        auth_rejection_time: zero,
        auth_rejection_time_initial: Some(zero),
        ..server::Config::default()
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (wanted, log) = (wanted.to_vec(), Arc::clone(&asked));
    let server =
        Staller::serving(config, move |_| Demanding { wanted: wanted.clone(), asked: Arc::clone(&log) });
    let dir = tempfile::tempdir().unwrap();
    let target = known_target(&server, &host_key, dir.path());
    Scene { _server: server, target, asked, dir }
}

impl Scene {
    async fn log_in(&self, person: &Arc<Person>) -> Result<String, ConnectError> {
        let secrets: Arc<dyn Secrets> = person.clone();
        let connector = Connector::new(settings(), Some(secrets));
        let connection = connector.connect(&self.target).await?;
        Ok(connection.identity().replace(&self.dir.path().display().to_string(), "DIR"))
    }

    fn text(&self, error: &ConnectError) -> String {
        error.to_string().replace(&self.dir.path().display().to_string(), "DIR")
    }
}

use MethodKind::{KeyboardInteractive, Password, PublicKey};

#[tokio::test]
async fn a_key_and_then_a_password() {
    let scene = scene(&[PublicKey, Password]);
    let person = Person::giving(&["wrong", "right"]);
    assert_eq!(scene.log_in(&person).await.unwrap(), "DIR/id and password");
    assert_eq!(*person.heard.lock().unwrap(), ["password nobody@stalled 1", "password nobody@stalled 2"]);
    assert_eq!(*scene.asked.lock().unwrap(), ["PublicKey", "Password wrong", "Password"]);
}

#[tokio::test]
async fn a_key_and_then_answers() {
    let scene = scene(&[PublicKey, KeyboardInteractive]);
    let person = Person::giving(&["42"]);
    assert_eq!(scene.log_in(&person).await.unwrap(), "DIR/id and keyboard-interactive");
    insta::assert_snapshot!(person.heard.lock().unwrap().join("\n"), @r#"ServerQuestions { user: "nobody", host: "stalled", attempt: 1, name: "Second factor", instructions: "Look at your token.", prompts: [ServerPrompt { text: "Code: ", echo: true }] }"#);
}

#[tokio::test]
async fn two_keys() {
    let mut scene = scene(&[PublicKey, PublicKey]);
    let error = scene.log_in(&Person::giving(&[])).await.unwrap_err();
    insta::assert_snapshot!(scene.text(&error), @"log in to stalled as nobody: accepted DIR/id, but more is asked for; the server offers publickey");
    insta::assert_snapshot!(error.hint(), @"the server wants publickey as well (AuthenticationMethods): name a second key, or be there to be asked");
    let second = scene.dir.path().join("second");
    write_key(&second, &new_key(Algorithm::Ed25519), 0o600);
    scene.target.login.identities.push(second);
    assert_eq!(scene.log_in(&Person::giving(&[])).await.unwrap(), "DIR/id and DIR/second");
}

#[tokio::test]
async fn nobody_is_asked_for_what_the_server_does_not_take() {
    let mut scene = scene(&[KeyboardInteractive]);
    scene.target.login.identities.clear();
    scene.target.login.methods = Some(vec!["password".to_owned(), "hostbased".to_owned()]);
    let person = Person::giving(&["right"]);
    let error = scene.log_in(&person).await.unwrap_err();
    insta::assert_snapshot!(scene.text(&error), @"log in to stalled as nobody: no identity to offer; the server offers keyboard-interactive");
    assert!(person.heard.lock().unwrap().is_empty());
    assert_eq!(*scene.asked.lock().unwrap(), ["None wrong"]);
}

#[tokio::test]
async fn the_order_and_the_number_of_questions_are_the_users() {
    let mut scene = scene(&[Password]);
    scene.target.login.methods = Some(vec!["password".to_owned(), "publickey".to_owned()]);
    scene.target.login.password_prompts = 2;
    let person = Person::giving(&["a", "b", "right"]);
    let error = scene.log_in(&person).await.unwrap_err();
    insta::assert_snapshot!(scene.text(&error), @"log in to stalled as nobody: denied; tried password, password; the server offers password");
    assert_eq!(person.heard.lock().unwrap().len(), 2);
    let silent = Person::giving(&[]);
    let error = scene.log_in(&silent).await.unwrap_err();
    insta::assert_snapshot!(scene.text(&error), @"log in to stalled as nobody: no identity to offer; not usable: password (nobody gave one); the server offers password");
}

#[tokio::test]
async fn a_password_is_typed_once_for_a_host_and_no_deadline_runs_meanwhile() {
    let scene = scene(&[Password]);
    let person = Arc::new(Person {
        passwords: Mutex::new(vec!["right"]),
        takes: Duration::from_secs(6),
        ..Person::default()
    });
    let secrets: Arc<dyn Secrets> = person.clone();
    let deadlines = Deadlines { auth: Duration::from_secs(5), ..settings().deadlines };
    let connector = Connector::new(Settings { deadlines, ..settings() }, Some(secrets));
    let first = connector.connect(&scene.target).await.unwrap();
    assert_eq!(first.identity(), "password");
    assert!(connector.connect(&scene.target).await.is_ok());
    assert_eq!(person.heard.lock().unwrap().len(), 1);
    let shown = format!("{connector:?} {first:?}");
    assert!(!shown.contains("right"), "{shown}");
}

#[tokio::test]
async fn real_sshd_wants_two_keys() {
    let Some(sshd) = Sshd::start("AuthenticationMethods publickey,publickey").await else { return };
    sshd.knows_host_key();
    let keys: Vec<PrivateKey> = (0..2).map(|_| new_key(Algorithm::Ed25519)).collect();
    let lines: Vec<String> = keys.iter().map(super::sshd::public).collect();
    super::write_file(&sshd.dir.path().join("authorized_keys"), &lines.join("\n"), 0o644);
    let files: Vec<_> = (0..2).map(|number| sshd.dir.path().join(format!("key{number}"))).collect();
    for (file, key) in files.iter().zip(&keys) {
        write_key(file, key, 0o600);
    }
    let one = connector().connect(&with_keys(&sshd.target(), &files[..1])).await.unwrap_err();
    assert_eq!(one.class(), FailureClass::AuthDenied);
    assert!(one.to_string().contains("but more is asked for"), "{one}");
    let both = connector().connect(&with_keys(&sshd.target(), &files)).await.unwrap();
    assert!(both.identity().contains(" and "), "{}", both.identity());
}

/// A server that never gets enough.
struct Curious;

impl server::Handler for Curious {
    type Error = russh::Error;

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        _: Option<server::Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        Ok(Auth::Partial {
            name: "".into(),
            instructions: "".into(),
            prompts: vec![("More? ".into(), true)].into(),
        })
    }
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_left() {
    let host_key = new_key(Algorithm::Ed25519);
    let config = server::Config { keys: vec![host_key.clone()], ..server::Config::default() };
    let server = Staller::serving(config, |_| Curious);
    let dir = tempfile::tempdir().unwrap();
    let mut target = known_target(&server, &host_key, dir.path());
    target.login.public_key = false;
    let person = Person::giving(&["yes"; 100]);
    let secrets: Arc<dyn Secrets> = person.clone();
    let error = Connector::new(settings(), Some(secrets)).connect(&target).await.unwrap_err();
    insta::assert_snapshot!(error, @"log in to stalled as nobody: denied; tried keyboard-interactive (it asked 20 times); the server offers password, publickey, hostbased, keyboard-interactive");
    assert_eq!(person.heard.lock().unwrap().len(), 20);
}

/// Wants every password changed (RFC 4252, section 8): OpenSSH's server asks for that in other ways.
const CHANGE_IT: &str = "
import asyncio, asyncssh, sys

class Server(asyncssh.SSHServer):
    def begin_auth(self, user):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, user, password):
        raise asyncssh.PasswordChangeRequired('Your password has expired.')

async def main():
    server = await asyncssh.create_server(Server, '127.0.0.1', 0, server_host_keys=[sys.argv[1]])
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
";

#[tokio::test]
async fn a_password_that_has_to_be_changed_is_called_that() {
    use tokio::io::AsyncBufReadExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (host_key, file) = (new_key(Algorithm::Ed25519), dir.path().join("host_key"));
    write_key(&file, &host_key, 0o600);
    let mut command = tokio::process::Command::new("/usr/bin/python3");
    command.arg("-c").arg(CHANGE_IT).arg(&file).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    command.stderr(std::process::Stdio::null());
    let Ok(mut process) = command.spawn() else {
        println!("skipped: there is no /usr/bin/python3");
        return;
    };
    let mut line = String::new();
    tokio::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let Ok(port) = line.trim().parse() else {
        println!("skipped: there is no asyncssh for /usr/bin/python3");
        return;
    };
    let known = dir.path().join("known_hosts");
    super::write_file(&known, &format!("[old]:{port} {}\n", super::sshd::public(&host_key)), 0o644);
    let mut target = Target::new("old", "127.0.0.1", port, "ops");
    target.login.agent = crate::Agent::None;
    target.login.methods = Some(vec!["password".to_owned()]);
    target.trust.user_files = Some(vec![known]);
    let person = Person::giving(&["expired"; 3]);
    let secrets: Arc<dyn Secrets> = person.clone();
    let error = Connector::new(settings(), Some(secrets)).connect(&target).await.unwrap_err();
    insta::assert_snapshot!(error, @"log in to old as ops: denied; tried password (the server wants it changed first); the server offers keyboard-interactive, password");
    insta::assert_snapshot!(error.hint(), @"log in once with ssh as ops, and change the password");
    assert_eq!(person.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_identity_alone_is_one_try() {
    let easy = scene(&[PublicKey]);
    let connection = connector().connect(&easy.target).await.unwrap();
    let proven = connection.proven_identity().unwrap().clone();
    assert_eq!(proven.to_string(), connection.identity());
    // Neither its own file nor a password, which the server would take, is tried.
    let mut strict = scene(&[Password]);
    strict.target.login.only_identity = Some(proven.clone());
    let person = Person::giving(&["right"]);
    let error = strict.log_in(&person).await.unwrap_err();
    let ConnectError::AuthDenied { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(*tried, [proven.to_string()]);
    assert_eq!(*strict.asked.lock().unwrap(), ["PublicKey wrong"]);
    assert!(person.heard.lock().unwrap().is_empty());
    // Where it is enough it logs in, also when the target names other files.
    let mut other = scene(&[PublicKey]);
    other.target.login.identities = vec!["/nonexistent/key".into()];
    other.target.login.only_identity = Some(proven.clone());
    let connection = connector().connect(&other.target).await.unwrap();
    assert_eq!(connection.proven_identity(), Some(&proven));
    // What took more than an identity proves none.
    let person: Arc<dyn Secrets> = Person::giving(&["right"]);
    let both = scene(&[PublicKey, Password]);
    let connection = Connector::new(settings(), Some(person)).connect(&both.target).await.unwrap();
    assert_eq!(connection.proven_identity(), None);
}
