//! Runs the procedure with a real dispatcher, and collects what it tells.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use pipedown_model::{
    Become, EventKind, ExitCode, HostKeySeen, HostName, HostPhase, HostPlan, Mode, Operator, Proof, RunId,
    SshdSetting, SshdStep, StepId, StepList, Target, TextId,
};
use tokio::sync::mpsc;

use super::model::{Fault, World};
use crate::sshd::change::{Change, Changed};
use crate::{Clock, Dispatcher, MemoryJournal, WireProof};

/// What came of it.
pub(crate) struct Told {
    /// Without those that set the scene.
    pub(crate) events: Vec<EventKind>,
    pub(crate) phase: HostPhase,
    pub(crate) code: ExitCode,
    pub(crate) changed: Option<Changed>,
}

impl Told {
    pub(crate) fn proofs(&self) -> Vec<Proof> {
        let proofs = self.events.iter().find_map(|kind| match kind {
            EventKind::Confirmed { proofs, .. } => Some(proofs.clone()),
            _ => None,
        });
        proofs.unwrap()
    }

    pub(crate) fn serves(&self) -> Vec<String> {
        let serves = self.events.iter().find_map(|kind| match kind {
            EventKind::RolledBack { serves, .. } => Some(serves.clone()),
            _ => None,
        });
        serves.unwrap()
    }
}

pub(crate) fn run_id() -> RunId {
    RunId::new("run-1").unwrap()
}

fn host() -> HostPlan {
    let target = Target {
        address: "192.0.2.7".into(),
        port: 22,
        user: "root".into(),
        logins: vec!["deploy".into()],
        identity_files: Vec::new(),
        known_hosts: Vec::new(),
        r#become: Become::None,
    };
    let host = HostName::new("web01").unwrap();
    HostPlan { host, target, zone: "Etc/UTC".into(), window: None, steps: StepList::default() }
}

fn spec(world: &World) -> SshdStep {
    let setting = |(keyword, value): (&str, String)| SshdSetting { keyword: keyword.into(), value };
    SshdStep {
        settings: world.wanted().map(setting).into(),
        matches: Vec::new(),
        unset: Vec::new(),
        confirm_within_s: 120,
        keep_for_s: None,
    }
}

fn scene(host: &HostPlan) -> [EventKind; 2] {
    let begun = EventKind::PlanCompiled {
        plan: TextId::of(b"plan"),
        mode: Mode::Apply,
        playbook: "keepalive-rollout".into(),
        reason: String::new(),
        by: Operator::new("alice", "admin"),
        window: None,
        supersedes: None,
        hosts: vec![host.host.clone()],
    };
    let key = HostKeySeen { algorithm: "ssh-ed25519".into(), fingerprint: "SHA256:x".into() };
    [begun, EventKind::HostConnected { host: host.host.clone(), key }]
}

pub(crate) async fn run(world: &World, fault: Fault) -> Told {
    run_with(world, fault, |_| {}).await
}

/// Runs it; `adjust` changes what it is given.
pub(crate) async fn run_with(world: &World, fault: Fault, adjust: impl FnOnce(&mut Given)) -> Told {
    let (host, spec, run, step) = (host(), spec(world), run_id(), StepId::new("sshd").unwrap());
    let mut given =
        Given { narrows_access: false, prior: None, mode: Mode::Apply, wire_proof: WireProof::default() };
    adjust(&mut given);
    let clock: Clock = {
        let noon: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
        let begun = tokio::time::Instant::now();
        Arc::new(move || noon + begun.elapsed())
    };
    let (consumer, mut shown) = mpsc::unbounded_channel();
    let journal = Box::new(MemoryJournal);
    let (dispatcher, proposer) =
        Dispatcher::new(run.clone(), Arc::clone(&clock), journal, None, consumer).unwrap();
    let dispatching = tokio::spawn(dispatcher.work());
    for kind in scene(&host) {
        proposer.tell(kind).await;
    }
    let change = Change {
        proposer: &proposer,
        clock: &clock,
        run: &run,
        host: &host,
        step: &step,
        spec: &spec,
        prior: given.prior.as_ref(),
        mode: given.mode,
        narrows_access: given.narrows_access,
        wire_proof: given.wire_proof,
    };
    let changed = change.work(&mut world.machine(fault)).await;
    drop(proposer);
    let ended = dispatching.await.unwrap();
    assert_eq!(ended.defect, None);
    let state = ended.state.unwrap();
    let host = &state.hosts[&host.host];
    let mut events = Vec::new();
    while let Some(event) = shown.recv().await {
        events.push(event.kind.clone());
    }
    let events = events.split_off(2);
    Told { events, phase: host.phase.clone(), code: host.exit_code(), changed }
}

/// What a test may change.
pub(crate) struct Given {
    pub(crate) narrows_access: bool,
    pub(crate) prior: Option<pipedown_model::StepRecord>,
    pub(crate) mode: Mode,
    pub(crate) wire_proof: WireProof,
}
