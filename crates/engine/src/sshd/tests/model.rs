//! A host in a few words: files, a trial, a dead-man, a link that may be lost.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use pipedown_model::{Failure, FailureClass, Operator, RunId, TextId};
use pipedown_steps::StepError;
use pipedown_steps::sshd::{
    ConfirmReport, RecentLogin, RollbackReport, RollbackScope, SshdChange, SshdChecked, SshdConfirmed,
    SshdConnection, SshdEffective, SshdFile, SshdIdentity, SshdInclude, SshdListener, SshdOwner,
    SshdRolledBack, SshdSeen, SshdService, SshdStaged, SshdState, SshdTrial, SshdTrialPhase, SshdTrialSeen,
    SshdVerdict, TrialRefusal, TrialReport,
};
use tokio::time::{Instant, sleep};

use super::told::run_id;
use crate::Login;
use crate::sshd::machine::Machine;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    BrokenBaseline,
    CheckRefuses,
    /// The candidate's `AllowUsers` leaves somebody out who logged in lately.
    ShutsOut,
    StageFails,
    CanaryRefused(&'static str),
    TrialRefused,
    /// Files moved, then the host itself put them back.
    TrialFails,
    /// It began, and nobody heard so.
    TrialAnswerLost,
    LoginRefused(&'static str),
    LoginRefusedAndLinkLost(&'static str),
    LoginHangs(&'static str),
    Banned,
    /// Lets us in, and runs no command.
    RunsNothing,
    NoKeepalive,
    ClosesIdle,
    KeepsStalled,
    /// The dead-man was faster.
    ConfirmLost,
    ConfirmNotSent,
    ConfirmAnswerLost,
    /// The link is lost at the first login, and the host cannot be reached for so many seconds.
    LostUntil(u64),
    LostAtCall {
        call: usize,
        back_after: u64,
    },
}

#[derive(Debug)]
struct Inner {
    interval: u64,
    count: u64,
    /// Our file, as it stands.
    file: Option<String>,
    before: Option<String>,
    trial: Option<(RunId, Instant)>,
    confirmed: Option<SshdConfirmed>,
    rolled_back: Option<SshdRolledBack>,
    calls: Vec<String>,
    link: bool,
    reachable_from: Instant,
    faults: u32,
}

/// The host, whatever becomes of connections to it.
#[derive(Debug, Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn owner(run: &RunId, operator: &str) -> SshdOwner {
    let operator = Operator::parse(operator);
    SshdOwner { run: run.clone(), operator, since: noon(), reason: String::new() }
}

impl Inner {
    /// The dead-man needs nobody.
    fn tick(&mut self) {
        if self.trial.as_ref().is_some_and(|(_, ends)| *ends <= Instant::now()) {
            self.put_back("deadman", "nobody confirmed in time");
        }
    }

    fn put_back(&mut self, by: &str, why: &str) {
        if let Some((run, _)) = self.trial.take() {
            self.file = self.before.take();
            let (by, why) = (by.to_owned(), why.to_owned());
            self.rolled_back = Some(SshdRolledBack { run, at: noon(), began: None, by, why });
        }
    }

    fn claim(&mut self) {
        if let Some((run, _)) = self.trial.take() {
            self.before = None;
            self.confirmed = Some(SshdConfirmed {
                owner: owner(&run, "alice@admin"),
                at: noon(),
                same_listener: true,
                changed_files: Vec::new(),
                reverts: None,
                alive: true,
            });
        }
    }

    fn effective(&self, file: Option<&str>) -> Vec<SshdEffective> {
        let (interval, count) = if file.is_some() { (self.interval, self.count) } else { (0, 3) };
        let values = vec![
            ("clientaliveinterval".to_owned(), interval.to_string()),
            ("clientalivecountmax".to_owned(), count.to_string()),
        ];
        let of = |user: &str| SshdEffective {
            identity: SshdIdentity { user: user.to_owned(), address: None },
            values: values.clone(),
            error: None,
        };
        vec![of("root"), of("deploy")]
    }

    fn seen(&self) -> SshdSeen {
        let file = |path: &str, text: &str| SshdFile {
            path: path.to_owned(),
            mode: 0o600,
            owner: "0:0".to_owned(),
            hash: TextId::of(text.as_bytes()),
            text: text.to_owned(),
            exact: true,
        };
        let ours = self.file.as_deref().map(|text| file("/etc/ssh/sshd_config.d/00-pipedown.conf", text));
        let include = SshdInclude {
            file: "/etc/ssh/sshd_config".to_owned(),
            line: 1,
            pattern: "/etc/ssh/sshd_config.d/*.conf".to_owned(),
            matches: ours.iter().map(|file| file.path.clone()).collect(),
        };
        let mut files = vec![file("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n")];
        files.extend(ours);
        let trial = self.trial.as_ref().map(|(run, ends)| SshdTrialSeen {
            owner: owner(run, if *run == run_id() { "alice@admin" } else { "bob@desk" }),
            phase: SshdTrialPhase::Armed,
            left_s: ends.saturating_duration_since(Instant::now()).as_secs(),
            alive: true,
        });
        SshdSeen {
            binary: "/usr/sbin/sshd".into(),
            version: "OpenSSH_9.2p1 Debian-2+deb12u7".into(),
            service: SshdService::Service { unit: "ssh.service".into(), socket: None },
            listener: Some(SshdListener { pid: 700, started: 1, image: "7ffe".into(), inodes: vec![1] }),
            main: "/etc/ssh/sshd_config".into(),
            extra: Vec::new(),
            files,
            includes: vec![include],
            selinux: false,
            instance: "main".into(),
            baseline: SshdVerdict { ok: true, text: Vec::new() },
            connection: Some(SshdConnection {
                client: "192.0.2.1".into(),
                client_port: 50_000,
                server: "192.0.2.7".into(),
                server_port: 22,
            }),
            effective: self.effective(self.file.as_deref()),
            logins: vec![RecentLogin {
                user: "carol".to_owned(),
                groups: vec!["users".to_owned()],
                address: None,
                method: Some("publickey".to_owned()),
                at: Some(noon()),
                on: false,
                locked: false,
            }],
            sessions: 3,
            others: Vec::new(),
            state: SshdState {
                trial,
                confirmed: self.confirmed.clone(),
                rolled_back: self.rolled_back.clone(),
            },
            survives_reboot: true,
            service_file: String::new(),
            now: noon(),
        }
    }
}

impl World {
    /// A host on which `ClientAliveInterval` and `ClientAliveCountMax` are to be set.
    pub(crate) fn new(interval: u64, count: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            interval,
            count,
            file: None,
            before: None,
            trial: None,
            confirmed: None,
            rolled_back: None,
            calls: Vec::new(),
            link: true,
            reachable_from: Instant::now(),
            faults: 0,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock().unwrap();
        inner.tick();
        inner
    }

    pub(crate) fn wanted(&self) -> [(&'static str, String); 2] {
        let inner = self.inner();
        [
            ("ClientAliveInterval", inner.interval.to_string()),
            ("ClientAliveCountMax", inner.count.to_string()),
        ]
    }

    pub(crate) fn machine(&self, fault: Fault) -> Model {
        Model { world: self.clone(), fault }
    }

    /// Whether the new configuration stands there, and will stay.
    pub(crate) fn serves_new(&self) -> bool {
        let inner = self.inner();
        inner.file.is_some() && inner.trial.is_none()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.inner().calls.clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.inner().calls.clear();
    }

    /// The network is well again.
    pub(crate) fn heal(&self) {
        let mut inner = self.inner();
        inner.link = true;
        inner.reachable_from = Instant::now();
        inner.faults = 0;
    }

    fn begin_trial(&self, run: RunId, file: Option<String>) {
        let mut inner = self.inner();
        inner.before = inner.file.take();
        inner.file = file;
        inner.trial = Some((run, Instant::now() + Duration::from_secs(120)));
    }

    /// A process of this run was killed while its trial ran.
    pub(crate) fn on_trial(&self) {
        self.begin_trial(run_id(), Some("ClientAliveInterval 99\n".to_owned()));
    }

    pub(crate) fn other_trial(&self) {
        self.begin_trial(RunId::new("other-1").unwrap(), Some("ClientAliveInterval 99\n".to_owned()));
    }
}

/// A connection to it.
pub(crate) struct Model {
    world: World,
    fault: Fault,
}

fn ended(call: &'static str) -> StepError {
    StepError::Ended { call, text: "the link went away".to_owned(), lost: true }
}

impl Model {
    /// Notes a call. An error if the link is gone, or goes now.
    fn call(&self, name: &str) -> Result<MutexGuard<'_, Inner>, StepError> {
        let mut inner = self.world.inner();
        let number = inner.calls.len();
        inner.calls.push(name.to_owned());
        if let Fault::LostAtCall { call, back_after } = self.fault
            && call == number
        {
            self.cut(&mut inner, back_after);
        }
        if inner.link { Ok(inner) } else { Err(ended("sshd")) }
    }

    fn cut(&self, inner: &mut Inner, back_after: u64) {
        inner.link = false;
        inner.reachable_from = Instant::now() + Duration::from_secs(back_after);
    }

    /// Whether a fault that strikes once strikes now.
    fn once(&self, inner: &mut Inner, fault: Fault) -> bool {
        let strikes = self.fault == fault && inner.faults == 0;
        inner.faults += u32::from(strikes);
        strikes
    }
}

impl Model {
    /// None: no answer ever comes.
    fn let_in(&self, account: &str) -> Option<Result<Box<dyn Login>, Failure>> {
        // A connection of its own: the link may be gone.
        drop(self.call(&format!("log in {account}")));
        let mut inner = self.world.inner();
        if let Fault::LostUntil(seconds) = self.fault
            && inner.link
        {
            self.cut(&mut inner, seconds);
        }
        let refused = Failure::new(FailureClass::Auth, format!("log in to web01 as {account}: denied"));
        let unreachable = Failure::new(FailureClass::Connect, "timed out");
        if inner.reachable_from > Instant::now() {
            return Some(Err(unreachable));
        }
        match self.fault {
            Fault::LoginRefused(who) if who == account => Some(Err(refused)),
            Fault::LoginRefusedAndLinkLost(who) if who == account => {
                // Only the dead-man helps: nobody gets in before.
                inner.link = false;
                inner.reachable_from = inner.trial.as_ref().unwrap().1;
                Some(Err(refused))
            }
            Fault::Banned => Some(Err(unreachable)),
            Fault::LoginHangs(who) if who == account => None,
            _ => {
                let (interval, count) = (inner.interval, inner.count);
                let idle = Idle { fault: self.fault, interval, count, world: self.world.clone() };
                Some(Ok(Box::new(idle)))
            }
        }
    }
}

impl Machine for Model {
    fn look<'a>(&'a mut self, logins: &'a [String]) -> BoxFuture<'a, Result<SshdSeen, StepError>> {
        async move {
            assert_eq!(logins, ["root", "deploy"]);
            let mut seen = self.call("look")?.seen();
            if self.fault == Fault::BrokenBaseline {
                seen.baseline = SshdVerdict { ok: false, text: vec!["line 3: bad".to_owned()] };
            }
            Ok(seen)
        }
        .boxed()
    }

    fn check<'a>(
        &'a mut self,
        _seen: &'a SshdSeen,
        changes: &'a [SshdChange],
        _identities: &'a [SshdIdentity],
    ) -> BoxFuture<'a, Result<SshdChecked, StepError>> {
        async move {
            let inner = self.call("check")?;
            let ok = self.fault != Fault::CheckRefuses;
            let text = changes.iter().find_map(|change| change.text.as_deref());
            let verdict = SshdVerdict { ok, text: Vec::new() };
            let mut effective = inner.effective(text);
            if self.fault == Fault::ShutsOut && text.is_some() {
                let allowed = ("allowusers".to_owned(), "root deploy".to_owned());
                let carol = SshdIdentity { user: "carol".to_owned(), address: None };
                effective.push(SshdEffective { identity: carol, values: vec![allowed], error: None });
            }
            Ok(SshdChecked { verdict, effective })
        }
        .boxed()
    }

    fn stage<'a>(
        &'a mut self,
        _seen: &'a SshdSeen,
        _changes: &'a [SshdChange],
    ) -> BoxFuture<'a, Result<SshdStaged, StepError>> {
        async move {
            drop(self.call("stage")?);
            if self.fault == Fault::StageFails {
                return Err(StepError::Host { call: "stage", text: "no space left".to_owned() });
            }
            Ok(SshdStaged { command: vec!["/usr/sbin/sshd".to_owned(), "-i".to_owned()] })
        }
        .boxed()
    }

    fn unstage<'a>(&'a mut self, _seen: &'a SshdSeen) -> BoxFuture<'a, Result<(), StepError>> {
        async move { self.call("unstage").map(drop) }.boxed()
    }

    fn canary<'a>(
        &'a mut self,
        account: &'a str,
        _staged: &'a SshdStaged,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        async move {
            drop(self.call(&format!("canary {account}")).map_err(|e| e.failure())?);
            if self.fault == Fault::CanaryRefused(if account == "root" { "root" } else { "deploy" }) {
                return Err(Failure::new(
                    FailureClass::Auth,
                    format!("log in to web01 as {account}: denied"),
                ));
            }
            Ok(format!("id_{account}"))
        }
        .boxed()
    }

    fn trial<'a>(
        &'a mut self,
        _seen: &'a SshdSeen,
        trial: &'a SshdTrial,
    ) -> BoxFuture<'a, Result<TrialReport, StepError>> {
        async move {
            drop(self.call("trial")?);
            assert_eq!(trial.confirm_within, Duration::from_secs(120));
            if self.fault == Fault::TrialRefused {
                let path = "/etc/ssh/sshd_config".to_owned();
                return Ok(TrialReport::Refused(TrialRefusal::Changed { path }));
            }
            if self.fault == Fault::TrialFails {
                let why = "the listener did not take over".to_owned();
                return Ok(TrialReport::RolledBack { why, done: Vec::new() });
            }
            let file = trial.changes.iter().find_map(|change| change.text.clone());
            self.world.begin_trial(run_id(), file);
            let mut inner = self.world.inner();
            if self.once(&mut inner, Fault::TrialAnswerLost) {
                self.cut(&mut inner, 5);
                return Err(ended("trial"));
            }
            let listener = inner.seen().listener;
            Ok(TrialReport::Running { listener, left_s: 120, survives_reboot: true, notes: Vec::new() })
        }
        .boxed()
    }

    fn confirm<'a>(&'a mut self, _seen: &'a SshdSeen) -> BoxFuture<'a, Result<ConfirmReport, StepError>> {
        async move {
            let mut inner = self.call("confirm")?;
            if self.once(&mut inner, Fault::ConfirmNotSent) {
                self.cut(&mut inner, 5);
                return Err(ended("confirm"));
            }
            if self.once(&mut inner, Fault::ConfirmLost) {
                inner.put_back("deadman", "nobody confirmed in time");
            }
            if inner.trial.is_none() {
                return Ok(ConfirmReport::Lost { rolled_back: inner.rolled_back.clone() });
            }
            inner.claim();
            if self.once(&mut inner, Fault::ConfirmAnswerLost) {
                self.cut(&mut inner, 5);
                return Err(ended("confirm"));
            }
            Ok(ConfirmReport::Won { at: noon(), reverts: None, notes: Vec::new() })
        }
        .boxed()
    }

    fn rollback<'a>(
        &'a mut self,
        _seen: &'a SshdSeen,
        scope: RollbackScope,
    ) -> BoxFuture<'a, Result<RollbackReport, StepError>> {
        async move {
            let mut inner = self.call("rollback")?;
            assert_eq!(scope, RollbackScope::Trial);
            if inner.trial.as_ref().is_some_and(|(run, _)| *run == run_id()) {
                inner.put_back("trial", "taken back");
                return Ok(RollbackReport::RolledBack { done: Vec::new(), to: "before run-1".to_owned() });
            }
            Ok(match (&inner.rolled_back, &inner.confirmed) {
                (Some(back), _) => RollbackReport::Already(back.clone()),
                (None, Some(_)) => RollbackReport::Confirmed,
                (None, None) => RollbackReport::Nothing,
            })
        }
        .boxed()
    }

    fn bans<'a>(&'a mut self, address: &'a str) -> BoxFuture<'a, Result<Vec<String>, StepError>> {
        async move {
            assert_eq!(address, "192.0.2.1");
            drop(self.call("bans")?);
            let banned = self.fault == Fault::Banned;
            Ok(banned.then(|| "sshguard, for 240 s".to_owned()).into_iter().collect())
        }
        .boxed()
    }

    fn log_in<'a>(&'a mut self, account: &'a str) -> BoxFuture<'a, Result<Box<dyn Login>, Failure>> {
        async move {
            match self.let_in(account) {
                Some(answer) => answer,
                None => futures::future::pending().await,
            }
        }
        .boxed()
    }

    fn reopen(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let mut inner = self.world.inner();
            inner.calls.push("reopen".to_owned());
            if inner.reachable_from > Instant::now() {
                return Err(Failure::new(FailureClass::Connect, "connect to web01: timed out"));
            }
            inner.link = true;
            Ok(())
        }
        .boxed()
    }
}

/// A login that does nothing.
struct Idle {
    fault: Fault,
    interval: u64,
    count: u64,
    world: World,
}

impl Login for Idle {
    fn runs(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            if self.fault == Fault::RunsNothing {
                return Err(Failure::new(FailureClass::Step, "run a command: status 1"));
            }
            Ok(())
        }
        .boxed()
    }

    fn keepalive(&mut self) -> BoxFuture<'_, bool> {
        async move {
            sleep(Duration::from_secs(self.interval)).await;
            match self.fault {
                Fault::NoKeepalive => futures::future::pending().await,
                fault => fault != Fault::ClosesIdle,
            }
        }
        .boxed()
    }

    fn stall(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.world.inner().calls.push("stall".to_owned());
            if self.fault == Fault::KeepsStalled {
                futures::future::pending::<()>().await;
            }
            sleep(Duration::from_secs(self.interval * (self.count + 1))).await;
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
