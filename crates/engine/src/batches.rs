//! Batches and the failure budget: which hosts get their turn when, and how many of them may fail.
//!
//! Arithmetic only; the conductor gives the turns.

use std::collections::BTreeMap;
use std::ops::Range;

use pipedown_model::{
    BatchSize, Effect, ExitCode, FailureBudget, HostPhase, HostState, Outcome, Plan, StepRecord, StepSpec,
};

use crate::Options;

/// How the hosts of a run are given their turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// How many hosts each batch has, in the plan's order.
    sizes: Vec<usize>,
    budget: Option<FailureBudget>,
    unreachable: Option<FailureBudget>,
    /// Whether unreachable hosts of the first batch are failures: a canary that cannot be reached proves nothing.
    canary: bool,
    total: usize,
}

/// How a host's turn ended, as far as batches and budgets are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Confirmed,
    Unchanged,
    Armed,
    Done,
    RolledBack,
    Refused,
    Failed,
    Unreachable,
}

/// What has become of the hosts so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    rollout: Rollout,
    /// The batch that is open, from 0.
    batch: usize,
    /// How many hosts of it get their turn.
    hosts: usize,
    ends: BTreeMap<Ending, usize>,
    /// Failures that count against the budget, of all batches.
    used: usize,
    /// Hosts that could not be reached, of all batches.
    unreachable: usize,
}

impl Rollout {
    /// The operator's batches and budget, else the plan's. What changes sshd's configuration stops at the first failure
    /// unless somebody says otherwise.
    pub(crate) fn new(plan: &Plan, options: &Options) -> Self {
        let total = plan.hosts.len();
        let sizes = if options.batches.is_empty() { &plan.batches } else { &options.batches };
        let sshd = plan.hosts.iter().flat_map(|host| &host.steps);
        let is_sshd = sshd.map(|step| &step.spec).any(|spec| matches!(spec, StepSpec::SshdConfig(_)));
        let budget =
            options.max_failures.or(plan.max_failures).or(is_sshd.then_some(FailureBudget::Count(0)));
        let unreachable = options.limits.max_unreachable.or(plan.limits.max_unreachable);
        let sizes = BatchSize::cut(sizes, total);
        let canary = is_sshd || (sizes.len() > 1 && unreachable.is_none());
        Self { sizes, budget, unreachable, canary, total }
    }

    /// All hosts at once, whatever becomes of them: for looking only.
    pub(crate) fn at_once(plan: &Plan) -> Self {
        let total = plan.hosts.len();
        Self { sizes: BatchSize::cut(&[], total), budget: None, unreachable: None, canary: false, total }
    }

    /// How many batches there are.
    pub(crate) fn batches(&self) -> usize {
        self.sizes.len()
    }

    /// The hosts of a batch, counted from 0, by their place in the plan.
    pub(crate) fn members(&self, batch: usize) -> Range<usize> {
        let first = self.sizes.iter().take(batch).sum::<usize>();
        first..first.saturating_add(self.sizes.get(batch).copied().unwrap_or_default())
    }

    /// The hosts of each batch that still have to have their turn; `todo` in the plan's order.
    pub(crate) fn cut(&self, todo: &[usize]) -> Vec<Vec<usize>> {
        let batches = (0..self.sizes.len()).map(|batch| self.members(batch));
        batches.map(|hosts| todo.iter().copied().filter(|index| hosts.contains(index)).collect()).collect()
    }
}

impl Ending {
    /// How a host's turn ended; none for one that was interrupted between two steps.
    pub(crate) fn of(host: &HostState) -> Option<Self> {
        Some(match &host.phase {
            HostPhase::Failed { effect: Effect::None } if host.rolled_back.is_some() => Self::RolledBack,
            HostPhase::Refused => Self::Refused,
            // A host that answered, and did not let us in or do anything, was reached.
            HostPhase::Unreachable if host.exit_code() != ExitCode::Unreachable => Self::Failed,
            HostPhase::Unreachable => Self::Unreachable,
            HostPhase::Armed { .. } => Self::Armed,
            HostPhase::Done if host.confirmed => Self::Confirmed,
            HostPhase::Done if is_unchanged(host) => Self::Unchanged,
            HostPhase::Done => Self::Done,
            HostPhase::Waiting | HostPhase::Ready => return None,
            HostPhase::GoingDown | HostPhase::Silent | HostPhase::Settled => Self::Done,
            HostPhase::Failed { .. }
            | HostPhase::Working { .. }
            | HostPhase::Undoing
            | HostPhase::TakenBack
            | HostPhase::StillArmed
            | HostPhase::NeverBack => Self::Failed,
        })
    }

    /// Whether it counts against the budget of failures; an unreachable host does as a canary only.
    fn counts(self, canary: bool) -> bool {
        match self {
            Self::RolledBack | Self::Refused | Self::Failed => true,
            Self::Unreachable => canary,
            Self::Confirmed | Self::Unchanged | Self::Armed | Self::Done => false,
        }
    }

    /// Whether the host's turn ended well.
    pub(crate) fn is_well(self) -> bool {
        matches!(self, Self::Confirmed | Self::Unchanged | Self::Armed | Self::Done)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unchanged => "unchanged",
            Self::Armed => "armed",
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Whether a host is known to be up and as it should be, or as it was, after its turn or before it: any other may be down.
pub(crate) fn is_back(host: &HostState) -> bool {
    match Ending::of(host) {
        Some(ending) if ending.is_well() => true,
        Some(Ending::RolledBack) => true,
        // Refused before the first step, it was left as it was.
        Some(Ending::Refused) | None => host.steps.is_empty(),
        Some(_) => false,
    }
}

fn is_unchanged(host: &HostState) -> bool {
    let unchanged =
        |record: &StepRecord| matches!(record, StepRecord::Finished { outcome: Outcome::Unchanged });
    !host.steps.is_empty() && host.steps.values().all(unchanged)
}

impl Tally {
    /// Begins with nothing used.
    pub(crate) fn new(rollout: Rollout) -> Self {
        Self { rollout, batch: 0, hosts: 0, ends: BTreeMap::new(), used: 0, unreachable: 0 }
    }

    /// Counts what an earlier process has used, and what is not tried again.
    pub(crate) fn count_before(&mut self, ending: Ending) {
        self.used = self.used.saturating_add(usize::from(ending.counts(false)));
        self.unreachable = self.unreachable.saturating_add(usize::from(ending == Ending::Unreachable));
    }

    /// Opens a batch, counted from 0, of so many hosts.
    pub(crate) fn open(&mut self, batch: usize, hosts: usize) {
        self.batch = batch;
        self.hosts = hosts;
        self.ends.clear();
    }

    /// Counts how a host ended; false once the budget is used up.
    pub(crate) fn count(&mut self, ending: Ending) -> bool {
        let entry = self.ends.entry(ending).or_default();
        *entry = entry.saturating_add(1);
        let canary = self.batch == 0 && self.rollout.canary;
        self.used = self.used.saturating_add(usize::from(ending.counts(canary)));
        self.unreachable = self.unreachable.saturating_add(usize::from(ending == Ending::Unreachable));
        !self.is_over()
    }

    /// Whether more hosts have failed, or were unreachable, than may.
    pub(crate) fn is_over(&self) -> bool {
        let over = |budget: Option<FailureBudget>, used| {
            budget.is_some_and(|budget| !budget.allows(used, self.rollout.total))
        };
        over(self.rollout.budget, self.used) || over(self.rollout.unreachable, self.unreachable)
    }

    /// `budget 0 of 200 hosts, used 1`.
    pub(crate) fn budget(&self) -> String {
        let of = |budget: FailureBudget, used: usize| {
            let given = match budget {
                FailureBudget::Percent(percent) => format!(" ({percent}%)"),
                FailureBudget::Count(_) => String::new(),
            };
            let total = self.rollout.total;
            format!("{}{given} of {}, used {used}", budget.hosts(total), hosts(total))
        };
        let failures = self.rollout.budget.map(|budget| format!("budget {}", of(budget, self.used)));
        let unreachable = self
            .rollout
            .unreachable
            .map(|budget| format!("for unreachable {}", of(budget, self.unreachable)));
        [failures.unwrap_or_else(|| "no failure budget".to_owned())]
            .into_iter()
            .chain(unreachable)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// `batch 2 of 3: 20 hosts, 19 confirmed, 1 rolled back; budget 0 of 200 hosts, used 1; 179 hosts not begun`.
    /// `later`: how many hosts of later batches have not had their turn.
    pub(crate) fn arithmetic(&self, later: usize) -> String {
        let begun: usize = self.ends.values().sum();
        let here = self.hosts.saturating_sub(begun);
        let mut parts = vec![hosts(self.hosts)];
        parts.extend(self.ends.iter().map(|(ending, count)| format!("{count} {}", ending.word())));
        if here > 0 {
            parts.push(format!("{here} not begun"));
        }
        let left = here.saturating_add(later);
        let (number, of) = (self.batch.saturating_add(1), self.rollout.batches());
        let batch = if of > 1 { format!("batch {number} of {of}: ") } else { String::new() };
        format!("{batch}{}; {}; {} not begun", parts.join(", "), self.budget(), hosts(left))
    }
}

/// `1 host`, `2 hosts`.
pub(crate) fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rollout(sizes: &str, budget: Option<&str>, total: usize) -> Rollout {
        let sizes: Vec<BatchSize> =
            sizes.split(',').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect();
        Rollout {
            sizes: BatchSize::cut(&sizes, total),
            budget: budget.map(|text| text.parse().unwrap()),
            unreachable: None,
            canary: true,
            total,
        }
    }

    #[test]
    fn the_first_host_over_budget_stops_and_the_arithmetic_says_so() {
        let mut tally = Tally::new(rollout("1,10%,rest", Some("0"), 200));
        tally.open(0, 1);
        assert!(tally.count(Ending::Confirmed));
        tally.open(1, 20);
        assert_eq!(tally.budget(), "budget 0 of 200 hosts, used 0");
        assert!((0..18).all(|_| tally.count(Ending::Confirmed)));
        assert!(!tally.count(Ending::RolledBack));
        // One more was at work and finishes.
        assert!(!tally.count(Ending::Confirmed));
        assert_eq!(
            tally.arithmetic(179),
            "batch 2 of 3: 20 hosts, 19 confirmed, 1 rolled back; budget 0 of 200 hosts, used 1; 179 hosts not begun"
        );
    }

    #[test]
    fn hosts_of_the_batch_that_were_not_begun_are_told() {
        let mut tally = Tally::new(rollout("1,10%,rest", Some("1%"), 200));
        tally.open(1, 20);
        assert!(tally.count(Ending::Refused) && tally.count(Ending::Failed));
        assert!(!tally.count(Ending::Failed));
        assert_eq!(
            tally.arithmetic(179),
            "batch 2 of 3: 20 hosts, 1 refused, 2 failed, 17 not begun; budget 2 (1%) of 200 hosts, used 3; 196 hosts not \
             begun"
        );
    }

    #[test]
    fn an_unreachable_host_counts_in_the_first_batch_only() {
        let mut tally = Tally::new(rollout("1,rest", Some("0"), 10));
        tally.open(1, 9);
        assert!(tally.count(Ending::Unreachable));
        tally.open(0, 1);
        assert!(!tally.count(Ending::Unreachable));
    }

    #[test]
    fn unreachable_hosts_have_a_budget_of_their_own() {
        let mut rollout = rollout("", Some("0"), 200);
        (rollout.unreachable, rollout.canary) = (Some(FailureBudget::Percent(1)), false);
        let mut tally = Tally::new(rollout);
        tally.count_before(Ending::Unreachable);
        tally.open(0, 199);
        assert!(tally.count(Ending::Unreachable) && tally.count(Ending::Done));
        assert!(!tally.count(Ending::Unreachable));
        assert_eq!(
            tally.arithmetic(0),
            "199 hosts, 1 done, 2 unreachable, 196 not begun; budget 0 of 200 hosts, used 0, for unreachable 2 (1%) of 200 \
             hosts, used 3; 196 hosts not begun"
        );
    }

    #[test]
    fn without_a_budget_nothing_stops() {
        let mut tally = Tally::new(rollout("", None, 3));
        tally.open(0, 3);
        assert!((0..3).all(|_| tally.count(Ending::Failed)));
        assert_eq!(tally.budget(), "no failure budget");
    }

    fn sizes() -> impl Strategy<Value = Vec<BatchSize>> {
        let size = prop_oneof![
            (1_u32..40).prop_map(BatchSize::Count),
            (1_u8..=100).prop_map(BatchSize::Percent),
            Just(BatchSize::Rest)
        ];
        prop::collection::vec(size, 0..5)
    }

    fn ending() -> impl Strategy<Value = Ending> {
        prop::sample::select(vec![
            Ending::Confirmed,
            Ending::Unchanged,
            Ending::Armed,
            Ending::Done,
            Ending::RolledBack,
            Ending::Refused,
            Ending::Failed,
            Ending::Unreachable,
        ])
    }

    proptest! {
        #[test]
        fn every_host_that_is_left_has_its_turn_once_and_in_order(
            sizes in sizes(), total in 0_usize..300, skip in 1_usize..7,
        ) {
            let sizes = BatchSize::cut(&sizes, total);
            let rollout = Rollout { sizes, budget: None, unreachable: None, canary: false, total };
            let todo: Vec<usize> = (0..total).filter(|index| index % skip == 0).collect();
            let batches = rollout.cut(&todo);
            prop_assert_eq!(batches.len(), rollout.batches());
            prop_assert_eq!(batches.concat(), todo);
        }

        #[test]
        fn it_stops_exactly_when_more_have_failed_than_may(
            allowed in 0_u32..6, ends in prop::collection::vec((0_usize..3, ending()), 0..40),
        ) {
            let budget = Some(FailureBudget::Count(allowed));
            let sizes = vec![14, 13, 13];
            let mut tally = Tally::new(Rollout { sizes, budget, unreachable: None, canary: true, total: 40 });
            let mut failed = 0;
            for (batch, ending) in ends {
                tally.open(batch, 13);
                let bad = matches!(ending, Ending::RolledBack | Ending::Refused | Ending::Failed);
                failed += u32::from(bad || (ending == Ending::Unreachable && batch == 0));
                prop_assert_eq!(tally.count(ending), failed <= allowed);
            }
        }

        #[test]
        fn the_arithmetic_adds_up(ends in prop::collection::vec(ending(), 0..20), more in 0_usize..20, later in 0_usize..50) {
            let mut tally = Tally::new(rollout("1,rest", Some("50%"), 100));
            let size = ends.len() + more;
            tally.open(1, size);
            ends.iter().for_each(|ending| { tally.count(*ending); });
            let text = tally.arithmetic(later);
            let (batch, rest) = text.split_once(": ").unwrap().1.split_once("; ").unwrap();
            let number = |part: &str| part.trim().split(' ').next().unwrap().parse::<usize>().unwrap();
            let mut parts = batch.split(',').map(number);
            prop_assert_eq!(parts.next().unwrap(), size);
            prop_assert_eq!(parts.sum::<usize>(), size);
            prop_assert_eq!(number(rest.rsplit("; ").next().unwrap()), more + later);
        }
    }
}
