//! One host's turn: look, gates, steps, arm, read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{
    Become, Effect, EventKind, Failure, FailureClass, Finding, FindingCode, HostPhase, HostPlan, HostState,
    HostStep, Mode, OnFailure, Outcome, Presence, Severity, SkipReason, SshdStep, StepId, StepSpec,
};
use pipedown_steps::agenda::{AgendaFiles, Owner, render};
use pipedown_steps::{
    ArmReport, Changer, GateOptions, LedgerEntry, Looker, Persistence, SecondWay, Seen, StepError, diff,
    look, nologin_files, preflight,
};
use tokio::time::Instant;

use crate::conductor::Turn;
use crate::context::Context;
use crate::perform::perform;
use crate::recovery::{Decision, OnHost, decide};
use crate::sshd;
use crate::{Opened, adhoc};

mod reboot;

/// Whether a host of a recorded run still has to have its turn. One that is armed is looked at again until it fires:
/// somebody may have called it off there.
pub(crate) fn unfinished(phase: &HostPhase, now: DateTime<Utc>) -> bool {
    match phase {
        HostPhase::Armed { fires, .. } => *fires > now,
        HostPhase::Waiting
        | HostPhase::Ready
        | HostPhase::Working { .. }
        | HostPhase::Refused
        | HostPhase::Unreachable
        | HostPhase::Failed { .. } => true,
        HostPhase::Done
        | HostPhase::Undoing
        | HostPhase::TakenBack
        | HostPhase::StillArmed
        | HostPhase::GoingDown
        | HostPhase::Silent
        | HostPhase::NeverBack
        | HostPhase::Settled => false,
    }
}

/// Looks at a host and says what its gates say, for `--require-all`; true if it could be armed.
pub(crate) async fn survey(context: Arc<Context>, index: usize) -> bool {
    let Some(host) = context.plan.hosts.get(index) else { return false };
    let turn = HostTurn::new(&context, host, None, Mode::DryRun);
    match turn.open().await {
        None => false,
        Some(mut opened) => {
            let fit = turn.look(&mut opened).await.is_some();
            opened.close().await;
            fit
        }
    }
}

/// Gives a host its turn.
pub(crate) async fn turn(context: Arc<Context>, index: usize, prior: Option<HostState>, mode: Mode) -> Turn {
    let Some(host) = context.plan.hosts.get(index) else { return Turn::NotWell };
    // Each on the heap: it has as much room as it needs, and no future around it has the same once more.
    if host.is_adhoc() {
        Box::pin(adhoc::turn(&context, index, host, prior, mode)).await
    } else {
        Box::pin(in_playbook(&context, host, prior, mode)).await
    }
}

async fn in_playbook(context: &Context, host: &HostPlan, prior: Option<HostState>, mode: Mode) -> Turn {
    let was_armed = prior.as_ref().is_some_and(|prior| matches!(prior.phase, HostPhase::Armed { .. }));
    let turn = HostTurn::new(context, host, prior, mode);
    let Some(mut opened) = turn.open().await else {
        // Armed hosts need nobody: what was read back holds until something else is seen.
        return if was_armed { Turn::Armed(None) } else { Turn::NotWell };
    };
    let end = if was_armed {
        turn.look_again(&mut opened).await
    } else {
        turn.work(&mut opened).await.unwrap_or(Turn::NotWell)
    };
    if matches!(end, Turn::Armed(_)) && context.options.follow && host.arms() {
        return Turn::Armed(Some(Box::new(opened)));
    }
    opened.close().await;
    end
}

struct HostTurn<'a> {
    context: &'a Context,
    host: &'a HostPlan,
    prior: Option<HostState>,
    mode: Mode,
    ends: Instant,
}

impl<'a> HostTurn<'a> {
    fn new(context: &'a Context, host: &'a HostPlan, prior: Option<HostState>, mode: Mode) -> Self {
        // A script or a trial of the playbook has a limit of its own, which adds to the host's.
        let scripts = host.steps.iter().map(|s| match &s.spec {
            StepSpec::Run(run) if run.at.is_none() => Duration::from_secs(run.timeout_s.into()),
            StepSpec::SshdConfig(sshd) => Duration::from_secs(sshd.confirm_within_s.into()),
            StepSpec::Reboot(reboot) => {
                Duration::from_secs(u64::from(reboot.timeout_s) + 2 * u64::from(reboot.stable_for_s))
            }
            _ => Duration::ZERO,
        });
        let ends = Instant::now() + context.options.host_timeout + scripts.sum::<Duration>();
        Self { context, host, prior, mode, ends }
    }

    async fn tell(&self, kind: EventKind) {
        self.context.proposer.tell(kind).await;
    }

    /// Whether the host may go on; if its time is up, that has been told. Every act has a shorter limit of its own.
    async fn in_time(&self) -> Option<()> {
        if Instant::now() < self.ends {
            return Some(());
        }
        let limit = self.context.options.host_timeout.as_secs();
        let error =
            Failure::new(FailureClass::Deadline, format!("be done with {} within {limit} s", self.host.host))
                .with_hint("the host is slow; give --host-timeout");
        self.tell(EventKind::Refused { host: self.host.host.clone(), error }).await;
        None
    }

    async fn open(&self) -> Option<Opened> {
        let host = self.host.host.clone();
        let opened = match self.under_way() {
            Some(reboot) => self.catch(&reboot).await,
            None => self.context.opener.open(Some(&self.context.run), self.host).await,
        };
        match opened {
            Ok(opened) => {
                self.tell(EventKind::HostConnected { host, key: opened.key.clone() }).await;
                Some(opened)
            }
            Err(error) => {
                self.lost(None, Effect::None, error).await;
                None
            }
        }
    }

    async fn lost(&self, during: Option<StepId>, effect: Effect, error: Failure) {
        self.tell(EventKind::HostLost { host: self.host.host.clone(), during, effect, error }).await;
    }

    /// Looks. None if the host is lost; that has been told.
    async fn see(&self, opened: &mut Opened) -> Option<Seen> {
        let mut seen = look(&mut Looker::new(&mut opened.shell), &*self.context.clock).await;
        // What an earlier process has begun may reach the host only now: it is waited for as if it had been caught later.
        if matches!(&seen, Err(error) if error.failure().class == FailureClass::Dropped)
            && let Some(reboot) = self.under_way()
        {
            match self.catch(&reboot).await {
                Ok(again) => *opened = again,
                Err(error) => {
                    self.lost(None, Effect::None, error).await;
                    return None;
                }
            }
            seen = look(&mut Looker::new(&mut opened.shell), &*self.context.clock).await;
        }
        match seen {
            Ok(seen) => {
                let facts = Box::new(seen.facts.clone());
                let (host, skew_ms) = (self.host.host.clone(), seen.skew_ms);
                self.tell(EventKind::HostSeen { host, skew_ms, facts }).await;
                Some(seen)
            }
            Err(error) => {
                self.lost(None, Effect::None, error.failure()).await;
                None
            }
        }
    }

    /// Looks whether a window that was armed still stands; nothing is changed.
    async fn look_again(&self, opened: &mut Opened) -> Turn {
        let host = &self.host.host;
        if !self.host.arms() {
            // What is timed there is sshd's configuration.
            let stands = sshd::look_again(self.context, self.host, opened).await;
            return if stands { Turn::Armed(None) } else { Turn::NotWell };
        }
        let Some(seen) = self.see(opened).await else { return Turn::Armed(None) };
        if seen.facts.window.as_ref().is_some_and(|window| window.run == self.context.run) {
            return Turn::Armed(None);
        }
        let ended = seen.ended.iter().find(|(run, _)| *run == self.context.run);
        if ended.is_some_and(|(_, line)| line.starts_with("fired")) {
            let evidence = "the host's own record says that it fired".to_owned();
            self.tell(EventKind::ShutdownObserved { host: host.clone(), evidence }).await;
            return Turn::Done;
        }
        let text = match ended {
            Some((_, line)) => format!("the window that was armed has ended here: {line}"),
            None => "nothing of the window that was armed is left".to_owned(),
        };
        let hint = Some("start a new run".to_owned());
        let finding = Finding {
            code: FindingCode::Tombstone,
            severity: Severity::Refuse,
            text: text.clone(),
            hint: hint.clone(),
        };
        self.tell(EventKind::Found { host: host.clone(), finding }).await;
        let error = Failure { class: FailureClass::Refused, text, hint };
        self.tell(EventKind::Refused { host: host.clone(), error }).await;
        Turn::NotWell
    }

    /// Looks, and asks the gates. None if the host is refused or lost; that has been told.
    async fn look(&self, opened: &mut Opened) -> Option<Seen> {
        let host = &self.host.host;
        let seen = self.see(opened).await?;
        let mut refused: Option<Finding> = None;
        for finding in self.findings(&seen).await {
            if finding.severity == Severity::Refuse && refused.is_none() {
                refused = Some(finding.clone());
            }
            // A dry run is asked for every verdict; in the journal of a real one ten thousand hosts that are well would
            // drown the one that is not.
            if finding.severity == Severity::Good && self.mode == Mode::Apply {
                continue;
            }
            self.tell(EventKind::Found { host: host.clone(), finding }).await;
        }
        match refused {
            None => Some(seen),
            Some(finding) => {
                let act = if self.host.arms() { "arm" } else { "change" };
                let text = format!("{act} {host}: {}", finding.text);
                let error = Failure { class: FailureClass::Refused, text, hint: finding.hint };
                self.tell(EventKind::Refused { host: host.clone(), error }).await;
                None
            }
        }
    }

    async fn findings(&self, seen: &Seen) -> Vec<Finding> {
        let context = self.context;
        let options = &context.options;
        let gates = GateOptions {
            run: &context.run,
            replace: &context.replace_mode(),
            allow_skew: options.allow_skew,
            accept_lockout: options.accept_lockout,
            second_way: self.second_way().await,
            time: &context.plan.time,
            controller_machine: context.controller.as_deref(),
            bastion_of: &context.opener.reached_through(self.host),
            allow_controller: options.include_controller,
        };
        let mut findings = preflight(seen, self.host, &gates);
        findings.extend(self.other_name(seen));
        findings
    }

    async fn second_way(&self) -> SecondWay {
        if self.context.options.follow {
            SecondWay::HeldConnection
        } else if self.root_can_enter().await {
            SecondWay::Root
        } else {
            SecondWay::None
        }
    }

    /// Whether root's own login works, which nologin does not keep out. Tried only where our login will be kept out.
    async fn root_can_enter(&self) -> bool {
        let kept_out = self
            .host
            .steps
            .iter()
            .any(|step| matches!(step.spec, StepSpec::Nologin { presence: Presence::Present, .. }));
        if !kept_out || self.host.target.user == "root" || self.context.options.accept_lockout {
            return false;
        }
        let mut as_root = self.host.clone();
        as_root.target.user = "root".to_owned();
        as_root.target.r#become = Become::None;
        match self.context.opener.open(None, &as_root).await {
            Ok(opened) => {
                opened.close().await;
                true
            }
            Err(_) => false,
        }
    }

    /// Whether another name of the run is the same machine. Clones share a machine id, but never a boot.
    fn other_name(&self, seen: &Seen) -> Option<Finding> {
        let machine = (seen.facts.machine_id.clone()?, seen.facts.boot_id.clone()?);
        let code = FindingCode::SameMachine;
        Some(match self.context.claim(machine, &self.host.host) {
            None => {
                let text = "no other name of the run has led to this machine".to_owned();
                Finding { code, severity: Severity::Good, text, hint: None }
            }
            Some(first) => Finding {
                code,
                severity: Severity::Refuse,
                text: format!("is the same machine as {first}, which has its turn"),
                hint: Some("leave one of the two names out".to_owned()),
            },
        })
    }

    async fn work(&self, opened: &mut Opened) -> Option<Turn> {
        let seen = self.look(opened).await?;
        if self.mode == Mode::DryRun {
            self.would_change(opened, &seen).await?;
            self.tell(EventKind::HostDone { host: self.host.host.clone() }).await;
            return Some(Turn::Done);
        }
        let at_once: Vec<&HostStep> = self.host.steps.iter().filter(|s| !s.is_armed()).collect();
        let ledger = self.ledger(opened, !at_once.is_empty()).await?;
        let mut reverts: Option<DateTime<Utc>> = None;
        for step in &at_once {
            if self.context.enough.is_cancelled() {
                return Some(Turn::NotBegun);
            }
            self.in_time().await?;
            match &step.spec {
                StepSpec::SshdConfig(spec) => {
                    let changed = self.sshd(opened, step, spec).await?;
                    reverts = reverts.max(changed.reverts);
                }
                StepSpec::Reboot(spec) => {
                    let boot_id = seen.facts.boot_id.as_deref();
                    self.reboot(opened, (step, *spec), boot_id, &ledger).await?;
                }
                _ => self.step(opened, step, &ledger).await?,
            }
        }
        if let Some(files) = self.files() {
            self.in_time().await?;
            if self.context.enough.is_cancelled() {
                return Some(Turn::NotBegun);
            }
            return self.arm(opened, &seen, &files).await;
        }
        if let Some(reverts) = reverts {
            sshd::timed(self.context, self.host, reverts).await;
            return Some(Turn::Armed(None));
        }
        self.tell(EventKind::HostDone { host: self.host.host.clone() }).await;
        // The ledger is what `resume` goes by until the journal has it all; one that cannot be removed harms nobody.
        if !at_once.is_empty() && self.context.proposer.settle().await.is_ok() {
            let _ = opened.shell.forget(&self.context.run).await;
        }
        Some(Turn::Done)
    }

    /// Says what would change; None if a gate of sshd's configuration stays closed.
    async fn would_change(&self, opened: &mut Opened, seen: &Seen) -> Option<()> {
        for step in &self.host.steps {
            if let StepSpec::SshdConfig(spec) = &step.spec {
                self.sshd(opened, step, spec).await?;
            }
        }
        let mut others = self.host.steps.iter().filter(|s| !matches!(s.spec, StepSpec::SshdConfig(_)));
        if others.next().is_none() && !self.host.steps.is_empty() {
            return Some(());
        }
        let files = self.files();
        let diff = diff(seen, &self.context.plan, self.host, files.as_ref());
        let first = self.host.steps.iter().find(|s| !matches!(s.spec, StepSpec::SshdConfig(_)));
        let first = first.filter(|_| files.is_none());
        let step = first.map_or_else(StepId::arm, |step| step.id.clone());
        let outcome = if diff.is_empty() { Outcome::Unchanged } else { Outcome::WouldChange { diff } };
        self.tell(EventKind::StepFinished { host: self.host.host.clone(), step, outcome }).await;
        Some(())
    }

    /// Changes sshd's configuration, or says what would change; None if the host's turn ends here.
    async fn sshd(&self, opened: &mut Opened, step: &HostStep, spec: &SshdStep) -> Option<sshd::Changed> {
        let prior = self.prior.as_ref();
        sshd::change(self.context, self.host, (step, spec), prior, self.mode, opened).await
    }

    /// The window's files, as they are sent to the host; none if nothing is armed there.
    fn files(&self) -> Option<AgendaFiles> {
        let context = self.context;
        let owner = Owner {
            run: context.run.clone(),
            operator: context.by.clone(),
            controller: context.by.controller().to_owned(),
            reason: context.plan.reason.clone(),
        };
        render(&context.plan, self.host, &owner)
    }

    /// What the host itself recorded, if this run was there before.
    async fn ledger(&self, opened: &mut Opened, wanted: bool) -> Option<BTreeMap<String, LedgerEntry>> {
        if !wanted || self.prior.is_none() {
            return Some(BTreeMap::new());
        }
        match opened.shell.ledger(&self.context.run).await {
            Ok(entries) => Some(entries.into_iter().map(|e| (e.name.clone(), e)).collect()),
            Err(error) => {
                self.lost(None, Effect::None, error.failure()).await;
                None
            }
        }
    }

    /// Does one step over the link; None if the host's turn ends here.
    async fn step(
        &self,
        opened: &mut Opened,
        step: &HostStep,
        ledger: &BTreeMap<String, LedgerEntry>,
    ) -> Option<()> {
        let host = &self.host.host;
        let on_host = match ledger.get(step.id.as_str()) {
            None => OnHost::NotStarted,
            Some(LedgerEntry { status: None, .. }) => OnHost::Started,
            Some(LedgerEntry { status: Some(0), .. }) => OnHost::Succeeded,
            // Ended by a signal, such as its deadline's: how far it came is not known.
            Some(LedgerEntry { status: Some(129..), .. }) => OnHost::Started,
            Some(LedgerEntry { status: Some(_), .. }) => OnHost::Failed,
        };
        let record = self.prior.as_ref().and_then(|p| p.steps.get(&step.id));
        let finished =
            |outcome| EventKind::StepFinished { host: host.clone(), step: step.id.clone(), outcome };
        let skipped = |reason| finished(Outcome::Skipped { reason });
        let noted = matches!(&step.spec, StepSpec::Run(run) if run.on_failure == OnFailure::Continue);
        match decide(record, on_host, is_guarded(&step.spec), noted, self.context.options.unknown) {
            Decision::Passed => return Some(()),
            Decision::AlreadyDone => {
                self.tell(skipped(SkipReason::AlreadyDone)).await;
                return Some(());
            }
            Decision::LeaveOut => {
                self.tell(skipped(SkipReason::Operator)).await;
                return Some(());
            }
            Decision::Unknown => {
                self.unknown(step).await;
                return None;
            }
            Decision::Do => {}
        }
        self.intend(&step.id).await?;
        let mut changer = Changer::new(&mut opened.shell, self.context.name());
        match perform(&mut changer, &self.context.plan, step, self.context.options.replace).await {
            Ok(done) => {
                let failed = matches!(done.outcome, Outcome::Failed { .. });
                if let Some((ttys, missed)) = done.delivered {
                    self.tell(EventKind::Delivered { host: host.clone(), ttys, missed }).await;
                }
                self.tell(finished(done.outcome)).await;
                (!failed || noted).then_some(())
            }
            Err(error) => {
                self.failed(&step.id, &error).await;
                None
            }
        }
    }

    /// The step may have finished: says so and leaves the decision to an operator.
    async fn unknown(&self, step: &HostStep) {
        let host = self.host.host.clone();
        let text =
            format!("step {} began in an earlier attempt, and it is not known whether it finished", step.id);
        let hint = "look at the host, then resume with --retry-unknown or --skip-unknown".to_owned();
        let finding = Finding {
            code: FindingCode::UnknownEffect,
            severity: Severity::Refuse,
            text,
            hint: Some(hint.clone()),
        };
        self.tell(EventKind::Found { host: host.clone(), finding }).await;
        let text = format!("tell whether step {} of an earlier attempt has finished", step.id);
        let error = Failure::new(FailureClass::Step, text).with_hint(hint);
        // The intent of the earlier attempt may have been lost with the journal's end.
        if self.intend(&step.id).await.is_some() {
            let outcome = Outcome::Failed { error, effect: Effect::Unknown };
            self.tell(EventKind::StepFinished { host, step: step.id.clone(), outcome }).await;
        }
    }

    /// Makes the intent durable. None if that cannot be: nothing is done then.
    async fn intend(&self, step: &StepId) -> Option<()> {
        let attempt = match self.prior.as_ref().and_then(|p| p.steps.get(step)) {
            Some(pipedown_model::StepRecord::Started { attempt }) => attempt + 1,
            _ => 1,
        };
        let host = self.host.host.clone();
        let intent = EventKind::StepStarted { host: host.clone(), step: step.clone(), attempt };
        let Err(error) = self.context.proposer.intend(intent).await else { return Some(()) };
        let error = Failure::new(FailureClass::Controller, error.to_string()).with_hint(
            "nothing was changed there; free the disk of the state directory, or give --state-dir",
        );
        let outcome = Outcome::Failed { error, effect: Effect::None };
        self.tell(EventKind::StepFinished { host, step: step.clone(), outcome }).await;
        None
    }

    async fn failed(&self, step: &StepId, error: &StepError) {
        let effect = if error.effect_unknown() { Effect::Unknown } else { Effect::None };
        let failure = error.failure();
        if failure.class == FailureClass::Dropped {
            return self.lost(Some(step.clone()), effect, failure).await;
        }
        let outcome = Outcome::Failed { error: failure, effect };
        let host = self.host.host.clone();
        self.tell(EventKind::StepFinished { host, step: step.clone(), outcome }).await;
    }

    async fn arm(&self, opened: &mut Opened, seen: &Seen, files: &AgendaFiles) -> Option<Turn> {
        let arm = StepId::arm();
        self.intend(&arm).await?;
        let mode = self.context.replace_mode();
        let nologins = nologin_files(seen);
        let mut changer = Changer::new(&mut opened.shell, self.context.name());
        match pipedown_steps::arm(&mut changer, files, &mode, nologins).await {
            Ok(report) => {
                self.armed(seen, files, report).await;
                Some(Turn::Armed(None))
            }
            Err(error) => {
                self.failed(&arm, &error).await;
                None
            }
        }
    }

    async fn armed(&self, seen: &Seen, files: &AgendaFiles, report: ArmReport) {
        let host = self.host.host.clone();
        let (Some(fires), Some(not_after)) = (files.fires(), files.not_after()) else { return };
        let outcome = if report.unchanged {
            Outcome::Unchanged
        } else {
            let count = files.entries().len();
            Outcome::Changed { diff: vec![format!("agenda of {count} entries, process {}", report.process)] }
        };
        self.tell(EventKind::StepFinished { host: host.clone(), step: StepId::arm(), outcome }).await;
        // Where it was to be expected, the gate has said so.
        if report.persistence != Persistence::Persistent && seen.keeps_window() {
            let text =
                "an unplanned reboot before T would end the window there: its agenda does not come back";
            let finding = Finding {
                code: FindingCode::NotPersistent,
                severity: Severity::Info,
                text: text.to_owned(),
                hint: None,
            };
            self.tell(EventKind::Found { host: host.clone(), finding }).await;
        }
        let ends_with = self.host.steps.iter().find_map(|step| match &step.spec {
            StepSpec::Shutdown { how, .. } => Some(*how),
            _ => None,
        });
        let armed = EventKind::Armed {
            host,
            ends_with,
            fires,
            not_after,
            agenda: report.agenda,
            cancel_script: report.cancel.trim_start_matches("sh ").to_owned(),
        };
        self.tell(armed).await;
    }
}

/// Whether a step may be repeated without harm, because it looks before it acts.
fn is_guarded(spec: &StepSpec) -> bool {
    match spec {
        StepSpec::Broadcast { .. } | StepSpec::Exec(_) | StepSpec::Reboot(_) => false,
        StepSpec::Run(run) => run.is_guarded(),
        StepSpec::SshdConfig(_)
        | StepSpec::Copy(_)
        | StepSpec::Fetch(_)
        | StepSpec::Motd { .. }
        | StepSpec::Nologin { .. }
        | StepSpec::Drain { .. }
        | StepSpec::Shutdown { .. } => true,
    }
}
