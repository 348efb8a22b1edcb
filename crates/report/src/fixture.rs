//! Realistic runs for tests.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

use chrono::{DateTime, TimeDelta, Utc};
use pipedown_model::{
    ControllerMode, DeliveryMiss, Effect, Event, EventKind, Evidence, Failure, FailureClass, FileSeen,
    Finding, FindingCode, Gate, HostFacts, HostKeySeen, HostName, Init, LocalWhen, LogindState, Mode,
    NextEntry, Operator, Outcome, Proof, RolledBackBy, RunId, RunState, Session, SessionClass, Severity,
    ShutdownHow, SkipReason, StepId, TextId, Verdict, WindowSeen,
};

use crate::{Reporter, Style};

pub(crate) const CANCEL: &str = "/var/lib/pipedown/window/cancel";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

pub(crate) fn step(id: &str) -> StepId {
    StepId::new(id).unwrap()
}

pub(crate) fn run() -> RunId {
    RunId::new("20261122-7f3kq2").unwrap()
}

/// T of every run here: 18:00 in Paris.
pub(crate) fn window() -> DateTime<Utc> {
    at("2026-11-22T17:00:00Z")
}

pub(crate) fn style() -> Style {
    fn join(hosts: &[HostName]) -> String {
        hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(",")
    }
    Style::new(chrono_tz::Europe::Paris, join)
}

/// Events with the states they lead to, stamped a second apart.
pub(crate) struct Story {
    now: DateTime<Utc>,
    pub(crate) told: Vec<(Event, RunState)>,
}

impl Story {
    pub(crate) fn begin(mode: Mode, hosts: &[&str]) -> Self {
        Self::of(mode, "graceful-shutdown", "new power supply", Some(window()), hosts)
    }

    pub(crate) fn of(
        mode: Mode,
        playbook: &str,
        reason: &str,
        window: Option<DateTime<Utc>>,
        hosts: &[&str],
    ) -> Self {
        let now = at("2026-11-22T13:00:10Z");
        let kind = EventKind::PlanCompiled {
            plan: TextId::of(b"plan"),
            mode,
            playbook: playbook.into(),
            reason: reason.into(),
            by: Operator::new("admin", "ctl"),
            window,
            supersedes: None,
            hosts: hosts.iter().map(|h| host(h)).collect(),
        };
        let first = Event { v: 1, run: run(), seq: 1, at: now, kind };
        let state = RunState::begin(&first).unwrap();
        Self { now, told: vec![(first, state)] }
    }

    pub(crate) fn until(&mut self, moment: &str) -> &mut Self {
        self.now = at(moment);
        self
    }

    pub(crate) fn push(&mut self, kind: EventKind) -> &mut Self {
        self.now += TimeDelta::seconds(1);
        let mut state = self.state().clone();
        let event = Event { v: 1, run: run(), seq: state.seq + 1, at: self.now, kind };
        state.apply(&event).unwrap();
        self.told.push((event, state));
        self
    }

    pub(crate) fn state(&self) -> &RunState {
        &self.told.last().unwrap().1
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Ends the run with the verdict that follows from it.
    pub(crate) fn end(&mut self) -> &mut Self {
        let verdict = self.state().conclude();
        self.push(EventKind::RunFinished { verdict })
    }

    pub(crate) fn play(&self, reporter: &mut dyn Reporter) {
        for (event, state) in &self.told {
            reporter.event(event, state);
        }
        reporter.finish(self.state());
    }

    pub(crate) fn connect(&mut self, name: &str) -> &mut Self {
        let key = HostKeySeen {
            algorithm: "ssh-ed25519".into(),
            fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrrKfZ0s1vB2xqL3fW0ZpYtA".into(),
        };
        self.push(EventKind::HostConnected { host: host(name), key });
        self.push(EventKind::HostSeen { host: host(name), skew_ms: 312, facts: Box::new(facts(name)) })
    }

    pub(crate) fn arm(&mut self, name: &str) -> &mut Self {
        self.connect(name).stand(name, ShutdownHow::Poweroff)
    }

    /// Arms a host that is connected.
    pub(crate) fn stand(&mut self, name: &str, how: ShutdownHow) -> &mut Self {
        self.push(EventKind::StepStarted { host: host(name), step: StepId::arm(), attempt: 1 });
        self.push(EventKind::StepFinished {
            host: host(name),
            step: StepId::arm(),
            outcome: Outcome::Changed {
                diff: vec!["agenda of 21 entries".into(), "unit pipedown-window.service".into()],
            },
        });
        self.push(armed(name, how))
    }

    pub(crate) fn lose(
        &mut self,
        name: &str,
        during: Option<StepId>,
        effect: Effect,
        error: Failure,
    ) -> &mut Self {
        self.push(EventKind::HostLost { host: host(name), during, effect, error })
    }

    pub(crate) fn find(&mut self, name: &str, finding: Finding) -> &mut Self {
        self.push(EventKind::Found { host: host(name), finding })
    }
}

pub(crate) fn armed(name: &str, how: ShutdownHow) -> EventKind {
    EventKind::Armed {
        host: host(name),
        ends_with: Some(how),
        fires: window(),
        not_after: window() + TimeDelta::minutes(5),
        agenda: TextId::of(b"agenda"),
        cancel_script: CANCEL.into(),
    }
}

pub(crate) fn no_connection(name: &str) -> Failure {
    Failure::new(FailureClass::Connect, format!("connect to {name}.example.org:22: timed out after 10 s"))
        .with_hint(format!("is {name} up, and is port 22 open from here?"))
}

pub(crate) fn finding(code: FindingCode, severity: Severity, text: &str, hint: Option<&str>) -> Finding {
    Finding { code, severity, text: text.into(), hint: hint.map(Into::into) }
}

pub(crate) fn facts(name: &str) -> HostFacts {
    HostFacts {
        now: at("2026-11-22T13:00:20Z"),
        hostname: name.into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        machine_id: Some("4c6f72656d20697073756d20646f6c6f".into()),
        boot_id: Some("0b9d3f6e-8a51-4c27-9d0e-5a1f2b3c4d5e".into()),
        zone: "Europe/Paris".into(),
        init: Init::Systemd,
        logind: LogindState::Running,
        root: true,
        login_user: "root".into(),
        sessions: vec![
            session("alice", Some("pts/0"), SessionClass::Terminal, "10.0.0.7"),
            session("alice", Some("pts/3"), SessionClass::Terminal, "10.0.0.7"),
            session("bob", None, SessionClass::Background, "tmux"),
        ],
        sessions_unreadable: false,
        nologin: None,
        motd: None,
        window: None,
        schedule: None,
        ended: Vec::new(),
        inhibitors: Vec::new(),
        missing_tools: Vec::new(),
        unwritable: Vec::new(),
        root_login: "keys".into(),
    }
}

pub(crate) fn session(user: &str, tty: Option<&str>, class: SessionClass, from: &str) -> Session {
    Session { user: user.into(), tty: tty.map(Into::into), class, from: from.into() }
}

pub(crate) fn nologin(ours: bool, first_line: &str) -> FileSeen {
    FileSeen {
        path: "/run/nologin".into(),
        sha256: TextId::of(first_line.as_bytes()),
        mode: "644".into(),
        ours,
        first_line: first_line.into(),
    }
}

pub(crate) fn seen_window() -> WindowSeen {
    WindowSeen {
        run: run(),
        operator: Operator::new("admin", "ctl"),
        reason: "new power supply".into(),
        armed: at("2026-11-22T13:00:15Z"),
        fires: window(),
        not_after: window() + TimeDelta::minutes(5),
        ends_with: "poweroff".into(),
        agenda: TextId::of(b"agenda"),
        alive: true,
        lost: false,
        next: Some(NextEntry {
            at: at("2026-11-22T13:15:00Z"),
            action: "broadcast".into(),
            text: Some("login01 goes down at 18:00 CET, in 3 hours 45 minutes".into()),
        }),
        cancel_script: CANCEL.into(),
        last_delivery: Some("2 terminals; not reached: bob (no terminal)".into()),
    }
}

/// A run that meets everything: armed, refused, unreachable, not trusted, unknown, failed.
pub(crate) fn mixed() -> Story {
    let names =
        ["login01", "login02", "login03", "login04", "login05", "login06", "login07", "login08", "login09"];
    let mut story = Story::begin(Mode::Apply, &names);
    story.push(EventKind::LocalStarted { step: step("drain-queue"), when: LocalWhen::Before });
    story.push(EventKind::LocalFinished {
        step: step("drain-queue"),
        outcome: Outcome::Changed { diff: Vec::new() },
    });
    story.arm("login01");
    story.push(EventKind::Delivered {
        host: host("login01"),
        ttys: 2,
        missed: vec![DeliveryMiss { user: "bob".into(), why: "no terminal".into() }],
    });
    story.connect("login03");
    story.find("login03", finding(FindingCode::Skew, Severity::Good, "0.3 s ahead", None));
    let skew = finding(
        FindingCode::Skew,
        Severity::Warn,
        "the host's clock is 4.1 s behind",
        Some("is ntp running there?"),
    );
    story.connect("login02").find("login02", skew).stand("login02", ShutdownHow::Poweroff);
    refuse(&mut story, "login03");
    story.lose("login04", None, Effect::None, no_connection("login04"));
    story.lose("login05", None, Effect::None, no_connection("login05"));
    distrust(&mut story, "login06", FailureClass::HostKeyUnknown, "SHA256:AAAAexampleofafingerprint06");
    distrust(&mut story, "login07", FailureClass::HostKeyChanged, "SHA256:BBBBexampleofafingerprint07");
    story.connect("login08");
    story.push(EventKind::StepStarted { host: host("login08"), step: StepId::arm(), attempt: 1 });
    let dropped = Failure::new(FailureClass::Dropped, "read from login08: connection reset");
    story.lose("login08", Some(StepId::arm()), Effect::Unknown, dropped);
    fail_half_way(&mut story, "login09");
    story.end();
    story
}

fn refuse(story: &mut Story, name: &str) {
    let text = "an admin's /run/nologin stands: \"disk swap until 5pm\"";
    let hint = "--replace keeps it and puts it back on cancel";
    story.find(name, finding(FindingCode::ForeignNologin, Severity::Refuse, text, Some(hint)));
    let error = Failure::new(FailureClass::Refused, format!("arm {name}: {text}")).with_hint(hint);
    story.push(EventKind::Refused { host: host(name), error });
}

fn distrust(story: &mut Story, name: &str, class: FailureClass, fingerprint: &str) {
    let text = format!("trust {name}.example.org:22\nssh-ed25519 {fingerprint}");
    let error = Failure::new(class, text)
        .with_hint(format!("compare it on the console, then: ssh-keygen -R {name}.example.org"));
    story.lose(name, None, Effect::None, error);
}

fn fail_half_way(story: &mut Story, name: &str) {
    story.connect(name);
    story.push(EventKind::StepStarted { host: host(name), step: StepId::arm(), attempt: 1 });
    let error = Failure::new(FailureClass::Step, "write /run/nologin: no space left on device")
        .with_hint("free some space in /run");
    story.push(EventKind::StepFinished {
        host: host(name),
        step: StepId::arm(),
        outcome: Outcome::Failed { error, effect: Effect::Unknown },
    });
    story.push(EventKind::UndoStarted { host: host(name), by: RolledBackBy::FailedArm });
    story.push(EventKind::UndoFinished { host: host(name), restored: vec!["window removed".into()] });
}

/// A dry run: two hosts alike, one with nothing to do, one refused, one not reached.
pub(crate) fn dry() -> Story {
    let mut story = Story::begin(Mode::DryRun, &["login01", "login02", "login03", "login04", "login05"]);
    for (name, measured) in [("login01", 12), ("login02", 7)] {
        story.connect(name);
        let skew = format!("its clock is {measured} ms ahead of ours, give or take 2 ms");
        story.find(name, finding(FindingCode::Skew, Severity::Good, &skew, None));
        let text = "the agenda will not survive an unplanned reboot: no systemd";
        story.find(
            name,
            finding(
                FindingCode::NotPersistent,
                Severity::Warn,
                text,
                Some("look again with `pipedown status`"),
            ),
        );
        let diff = [
            "+ /var/lib/pipedown/window: 21 entries",
            "+ 2026-11-22 17:55 CET /run/nologin",
            "+ 2026-11-22 18:00 CET poweroff",
        ];
        let outcome = Outcome::WouldChange { diff: diff.map(Into::into).into() };
        story.push(EventKind::StepFinished { host: host(name), step: StepId::arm(), outcome });
        story.push(EventKind::HostDone { host: host(name) });
    }
    story.connect("login03");
    story.push(EventKind::StepFinished {
        host: host("login03"),
        step: StepId::arm(),
        outcome: Outcome::Unchanged,
    });
    let outcome = Outcome::Skipped { reason: SkipReason::Guard };
    story.push(EventKind::StepFinished { host: host("login03"), step: step("run"), outcome });
    story.push(EventKind::HostDone { host: host("login03") });
    story.connect("login04");
    refuse(&mut story, "login04");
    story.lose("login05", None, Effect::None, no_connection("login05"));
    story.end();
    story
}

/// A cancel from elsewhere, 20 minutes before T, with two hosts that it cannot reach.
pub(crate) fn cancelled() -> Story {
    let names = ["login01", "login02", "login03", "login04"];
    let mut story = Story::begin(Mode::Apply, &names);
    for name in names {
        story.arm(name);
    }
    story.end();
    story.until("2026-11-22T16:40:00Z");
    let by = Operator::new("oncall", "ctl2");
    story.push(EventKind::RunTaken { epoch: 2, by: by.clone(), mode: ControllerMode::Cancel });
    story.push(EventKind::CancelRequested { by, reason: "supply is late".into(), hosts: Vec::new() });
    for name in ["login01", "login02"] {
        story.connect(name);
        story.push(EventKind::UndoStarted { host: host(name), by: RolledBackBy::Operator });
        let restored =
            ["agenda stopped", "/run/nologin removed", "/etc/motd as before"].map(Into::into).into();
        story.push(EventKind::UndoFinished { host: host(name), restored });
    }
    story.push(EventKind::UndoStarted { host: host("login03"), by: RolledBackBy::Operator });
    story.push(EventKind::UndoFailed { host: host("login03"), error: no_connection("login03") });
    story.lose("login04", None, Effect::None, no_connection("login04"));
    story.end();
    story
}

/// A reboot that is watched: one settles, one goes down, one is silent, one never comes back.
pub(crate) fn followed() -> Story {
    let names = ["login01", "login02", "login03", "login04"];
    let mut story = Story::begin(Mode::Apply, &names);
    for name in names {
        story.connect(name).stand(name, ShutdownHow::Reboot);
    }
    story.until("2026-11-22T17:00:00Z");
    for name in names {
        let evidence = "logind: reboot at 18:00:00, scheduled by the agenda".into();
        story.push(EventKind::ShutdownObserved { host: host(name), evidence });
    }
    for name in ["login01", "login03", "login04"] {
        story.push(EventKind::Silent { host: host(name), since: at("2026-11-22T17:00:04Z") });
    }
    story.push(EventKind::Settled {
        host: host("login01"),
        boot_ids: [
            "0b9d3f6e-8a51-4c27-9d0e-5a1f2b3c4d5e".into(),
            "77e1c0aa-12f4-4b1d-8c55-9f00aa11bb22".into(),
        ],
    });
    let error = Failure::new(FailureClass::Deadline, "see login04 back before 18:15 CET")
        .with_hint("look at its console");
    story.push(EventKind::NeverBack { host: host("login04"), error });
    story
}

/// A change of sshd's configuration in batches: confirmed, rolled back, reverted by the host itself, not known.
pub(crate) fn trials() -> Story {
    let names = ["web01", "web02", "web03", "web04", "web05", "web06"];
    let mut story = Story::of(Mode::Apply, "keepalive-rollout", "idle sessions pile up", None, &names);
    open(&mut story, 1, &names[..1], "budget 0 of 6 hosts, used 0");
    try_out(&mut story, "web01");
    confirm(&mut story, "web01");
    open(&mut story, 2, &names[1..4], "budget 0 of 6 hosts, used 0");
    for name in &names[1..4] {
        try_out(&mut story, name);
    }
    let refused = Failure::new(FailureClass::Auth, "log in to web02 as deploy: the server refused every key")
        .with_hint("look at AllowUsers there");
    let old = ["ClientAliveInterval 0", "AllowUsers root deploy"].map(Into::into).to_vec();
    roll_back(&mut story, "web02", RolledBackBy::FailedTrial, refused, old);
    let late = Failure::new(FailureClass::Deadline, "confirm within 120 s: the link to web03 was lost");
    roll_back(&mut story, "web03", RolledBackBy::Deadman, late, Vec::new());
    let dropped = Failure::new(FailureClass::Dropped, "read from web04: connection reset")
        .with_hint("the host reverts by itself at 14:02 CET");
    story.lose("web04", Some(step("sshd")), Effect::Unknown, dropped);
    let reason =
        "batch 2 of 3: 3 hosts, 2 rolled back, 1 failed; budget 0 of 6 hosts, used 3; 2 hosts not begun";
    story.push(EventKind::Gated { gate: Gate::FailureBudget, reason: reason.into() });
    story.end();
    story
}

fn open(story: &mut Story, batch: u32, hosts: &[&str], budget: &str) {
    let hosts = hosts.iter().map(|h| host(h)).collect();
    story.push(EventKind::BatchOpened { batch, of: 3, hosts, budget: budget.into() });
}

fn try_out(story: &mut Story, name: &str) {
    story.connect(name);
    story.push(EventKind::StepStarted { host: host(name), step: step("sshd"), attempt: 1 });
    story.push(EventKind::TrialStarted { host: host(name), step: step("sshd"), reverts_in_s: 120 });
}

fn proof(what: &str, evidence: Evidence, detail: &str) -> Proof {
    Proof { what: what.into(), evidence, detail: detail.into() }
}

fn confirm(story: &mut Story, name: &str) {
    let proofs = vec![
        proof("login as root", Evidence::Wire, ""),
        proof("ClientAliveInterval 5", Evidence::Wire, "2 requests in 10 s"),
        proof("2 sessions from before", Evidence::Unproven, "unchanged until they reconnect"),
    ];
    story.push(EventKind::Confirmed { host: host(name), step: step("sshd"), proofs });
    let diff = vec!["/etc/ssh/sshd_config.d/00-pipedown.conf".into()];
    let outcome = Outcome::Changed { diff };
    story.push(EventKind::StepFinished { host: host(name), step: step("sshd"), outcome });
    story.push(EventKind::HostDone { host: host(name) });
}

fn roll_back(story: &mut Story, name: &str, by: RolledBackBy, error: Failure, serves: Vec<String>) {
    let (host, step) = (host(name), step("sshd"));
    let told =
        EventKind::RolledBack { host: host.clone(), step: step.clone(), by, error: error.clone(), serves };
    story.push(told);
    let outcome = Outcome::Failed { error, effect: Effect::None };
    story.push(EventKind::StepFinished { host, step, outcome });
}

/// One event of every kind, for pages and tables that must know them all.
pub(crate) fn every_kind() -> Vec<Event> {
    let mut events: Vec<Event> = [mixed(), dry(), cancelled(), followed(), trials()]
        .into_iter()
        .flat_map(|story| story.told.into_iter().map(|(event, _)| event))
        .collect();
    let last = Event { seq: 99, ..events.last().unwrap().clone() };
    let reason = "2 hosts failed and none may (--require-all)".into();
    events.push(Event { kind: EventKind::Gated { gate: Gate::FailureBudget, reason }, ..last.clone() });
    events.push(Event { kind: EventKind::HostDone { host: host("login01") }, ..last.clone() });
    let boot_id = "49ccf498-9f29-4b58-b4f8-33e222841c44".into();
    let reboot = EventKind::RebootStarted { host: host("web01"), step: step("reboot"), boot_id };
    events.push(Event { kind: reboot, ..last.clone() });
    let error =
        Failure::new(FailureClass::Step, "check the hosts of batch 1: status 1: 2 of 9 shards missing");
    events.push(Event { kind: EventKind::HealthChecked { batch: 1, error: Some(error) }, ..last.clone() });
    events.push(Event { kind: EventKind::RunFinished { verdict: Verdict::Stopped }, ..last.clone() });
    events.push(Event { kind: EventKind::Unknown, ..last });
    let mut seen = std::collections::BTreeSet::new();
    events.retain(|event| seen.insert(kind_name(event)));
    events
}

pub(crate) fn kind_name(event: &Event) -> String {
    serde_json::to_value(event).unwrap()["kind"].as_str().unwrap().to_owned()
}

/// A stream whose text a test reads afterwards.
pub(crate) struct Page(Receiver<Vec<u8>>);

struct Pen(Sender<Vec<u8>>);

impl Page {
    pub(crate) fn new() -> (Self, Box<dyn Write + Send>) {
        let (pen, page) = channel();
        (Self(page), Box::new(Pen(pen)))
    }

    pub(crate) fn text(&self) -> String {
        self.0.try_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
