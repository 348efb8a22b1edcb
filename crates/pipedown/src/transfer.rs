//! Copying and fetching: where, how many bytes, and in which way.

mod manifest;
mod place;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pipedown_engine::{Options, UnknownSteps, WireProof};
use pipedown_model::{Become, Plan, StepSpec, amount};

use crate::cli::{BatchArgs, ReachArgs};
use crate::commands::run::{Begin, begin, host_set};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{adhoc, rollout, targets};

pub use manifest::manifest;
pub use place::Place;

/// Bytes of files that are to go over all connections, and those that have gone.
#[derive(Debug, Default)]
pub struct Transfer {
    wanted: AtomicU64,
    gone: AtomicU64,
    began: OnceLock<Instant>,
}

impl Transfer {
    /// So many more are to go.
    pub fn expect(&self, bytes: u64) {
        self.began.get_or_init(Instant::now);
        self.wanted.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many have gone.
    pub fn moved(&self, bytes: u64) {
        self.gone.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How far it has come, in words; empty as long as nothing is to go.
    pub fn progress(&self) -> String {
        match self.wanted.load(Ordering::Relaxed) {
            0 => String::new(),
            wanted => {
                let gone = amount(self.gone.load(Ordering::Relaxed).min(wanted));
                format!("{gone} of {}{}", amount(wanted), self.rate())
            }
        }
    }

    /// What has gone in all; none if nothing has.
    fn total(&self) -> Option<String> {
        let gone = self.gone.load(Ordering::Relaxed);
        (gone > 0).then(|| format!("{}{}", amount(gone), self.rate()))
    }

    fn rate(&self) -> String {
        let millis = self.began.get().map_or(0, |began| began.elapsed().as_millis());
        let gone = u128::from(self.gone.load(Ordering::Relaxed));
        let rate = gone.saturating_mul(1000).checked_div(millis).and_then(|rate| u64::try_from(rate).ok());
        rate.filter(|rate| *rate > 0).map(|rate| format!(", {}/s", amount(rate))).unwrap_or_default()
    }
}

/// What is to be done, and where.
pub struct Work<'a> {
    /// The command's name: also that of the step.
    pub name: &'static str,
    /// For the lists of runs.
    pub shown: String,
    /// The host set.
    pub set: &'a str,
    /// The step, the same on every host.
    pub spec: StepSpec,
    /// The text that it names, if it names one.
    pub text: Option<String>,
    /// Whether it is done as root.
    pub sudo: bool,
    /// Whether hosts are only looked at.
    pub dry_run: bool,
    /// Whether a change that would be made has an exit code of its own.
    pub detailed: bool,
}

/// Begins a run of one step and sees it through.
///
/// # Errors
/// When it cannot begin.
pub async fn see_through(
    around: &Surroundings,
    work: Work<'_>,
    batches: &BatchArgs,
    reach: &ReachArgs,
) -> Result<pipedown_model::ExitCode, Stop> {
    let plan = plan(around, &work)?;
    let limits = rollout::limits(around, batches, &plan)?;
    let options = Options {
        parallel: reach.parallel,
        host_timeout: reach.host_timeout,
        require_all: false,
        replace: false,
        allow_skew: true,
        accept_lockout: false,
        include_controller: true,
        follow: false,
        settle_timeout: std::time::Duration::ZERO,
        unknown: UnknownSteps::Ask,
        host_set: host_set(&plan),
        narrows_access: false,
        wire_proof: WireProof::Off,
        batches: batches.batch.clone(),
        max_failures: batches.failures(),
        limits,
    };
    let opener = SshOpener::new(around, reach)?;
    let how = match work.dry_run {
        true => Begin::DryRun { detailed: work.detailed },
        false => Begin::Apply { supersedes: None },
    };
    let (code, _) = begin(around, plan, options, opener, how).await?;
    if let Some(total) = around.transfer.total() {
        around.note(&format!("{}: {total}", work.name));
    }
    Ok(code)
}

fn plan(around: &Surroundings, work: &Work<'_>) -> Result<Plan, Stop> {
    let called = targets::hosts_of(around, work.set)?;
    let mut plan = adhoc::plan(around, called, work.name, &work.shown)?;
    adhoc::each_does(&mut plan, work.name, work.spec.clone());
    for host in plan.hosts.iter_mut().filter(|host| work.sudo && host.target.user != "root") {
        if host.target.r#become == Become::None {
            host.target.r#become = Become::Sudo;
        }
    }
    if let Some(text) = &work.text {
        plan.texts.insert(pipedown_model::TextId::of(text.as_bytes()), text.clone());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_much_of_what() {
        let transfer = Transfer::default();
        assert_eq!((transfer.progress(), transfer.total()), (String::new(), None));
        transfer.expect(4096);
        assert_eq!(transfer.progress(), "0 B of 4.0 KiB");
        transfer.moved(1024);
        assert!(transfer.progress().starts_with("1.0 KiB of 4.0 KiB"), "{}", transfer.progress());
        assert!(transfer.total().is_some_and(|total| total.starts_with("1.0 KiB")));
    }
}
