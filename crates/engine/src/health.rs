//! Checks after a batch: what must be well before the hosts of the next one get their turn.

use std::sync::Arc;
use std::time::Duration;

use pipedown_model::{
    EventKind, Failure, FailureClass, Health, HostPlan, LocalStep, LocalWhen, OnFailure, Outcome, StepId,
};
use pipedown_steps::{Looker, check};

use crate::context::Context;
use crate::each::each;
use crate::local;

/// Checks the hosts of a batch, as often as it takes; says what came of it. True if the run may go on.
///
/// `batch`: 1, 2, …; `hosts`: those of it that have ended well.
pub(crate) async fn checked(
    context: &Arc<Context>,
    health: &Health,
    batch: u32,
    hosts: &[usize],
) -> Option<Failure> {
    let mut left = health.retries;
    let error = loop {
        let Some(error) = once(context, health, batch, hosts).await else { break None };
        if left == 0 || context.enough.is_cancelled() {
            break Some(error);
        }
        left = left.saturating_sub(1);
        let _ = context
            .enough
            .run_until_cancelled(tokio::time::sleep(Duration::from_secs(health.interval_s.into())))
            .await;
    };
    context.proposer.tell(EventKind::HealthChecked { batch, error: error.clone() }).await;
    error
}

async fn once(context: &Arc<Context>, health: &Health, batch: u32, hosts: &[usize]) -> Option<Failure> {
    let error = here(context, health, batch, hosts).await;
    if error.is_some() || health.run.is_none() {
        return error;
    }
    let limit = Duration::from_secs(health.timeout_s.into());
    let script: Arc<str> = health.run.map(|id| context.plan.text(&id).into()).unwrap_or_default();
    let make = |index| {
        let (context, script) = (Arc::clone(context), Arc::clone(&script));
        async move {
            match context.plan.hosts.get(index) {
                Some(host) => there(&context, host, &script, limit).await,
                None => None,
            }
        }
    };
    let ends = each(context, hosts, &context.stop, make).await;
    let of = hosts.len();
    let not_asked = of.saturating_sub(ends.len());
    let mut bad = ends.into_iter().filter_map(|(index, error)| Some((index, error?)));
    let Some((index, first)) = bad.next() else {
        return (not_asked > 0).then(|| {
            let text = format!("check the hosts of batch {batch}: {not_asked} of {of} were not asked");
            Failure::new(FailureClass::Step, text)
        });
    };
    let host = context.plan.hosts.get(index).map(|plan| plan.host.to_string()).unwrap_or_default();
    let count = bad.count().saturating_add(1);
    let text =
        format!("check the hosts of batch {batch}: {count} of {of} failed, {host} first: {}", first.text);
    Some(Failure { text, ..first })
}

/// On the controller.
async fn here(context: &Context, health: &Health, batch: u32, hosts: &[usize]) -> Option<Failure> {
    if health.local.is_empty() {
        return None;
    }
    let names = hosts.iter().filter_map(|index| Some(context.plan.hosts.get(*index)?.host.as_str()));
    let set = names.collect::<Vec<_>>().join(",");
    let step = LocalStep {
        id: StepId::new("health").ok()?,
        when: LocalWhen::After,
        argv: health.local.clone(),
        on_failure: OnFailure::Abort,
        timeout_s: health.timeout_s,
    };
    match local::run(&step, &context.run, &set).await {
        Outcome::Failed { error, .. } => {
            let text = format!("check the hosts of batch {batch}: {}", error.text);
            Some(Failure { text, ..error })
        }
        _ => None,
    }
}

/// On a host; nothing is changed there.
async fn there(context: &Context, host: &HostPlan, script: &str, limit: Duration) -> Option<Failure> {
    let mut opened = match context.opener.open(None, host).await {
        Ok(opened) => opened,
        Err(error) => return Some(error),
    };
    let report = check(&mut Looker::new(&mut opened.shell), script, limit).await;
    opened.close().await;
    let failed = |text: String| Some(Failure::new(FailureClass::Step, text));
    match report {
        Err(error) => Some(error.failure()),
        Ok(report) if report.timed_out => failed(format!("no answer within {} s", limit.as_secs())),
        Ok(report) if report.status == 0 => None,
        Ok(report) => {
            let said = [report.stderr, report.stdout].concat();
            let said = String::from_utf8_lossy(&said);
            let last = said.lines().find(|line| !line.trim().is_empty());
            failed(format!("status {}{}", report.status, last.map(|l| format!(": {l}")).unwrap_or_default()))
        }
    }
}
