//! Slots: of some sets only so many hosts may be away at once, while hosts of other sets go on.
//!
//! Arithmetic only. A host takes its slots when its turn begins, and gives them back when it is proven to be back: one that
//! failed, or of which nothing is known, keeps them.

use std::collections::{BTreeSet, HashMap, VecDeque};

use pipedown_model::{HostName, MaxDown, Plan};

/// One set of which only so many may be away.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    set: String,
    most: usize,
    away: BTreeSet<usize>,
}

/// Who may be away, and who is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Slots {
    limits: Vec<Limit>,
    /// The limits that hold for a host; hosts without any are missing.
    of: HashMap<usize, Vec<usize>>,
}

/// The hosts that wait for their turn. Those for which the same limits hold stand in one queue, so that nobody has to look
/// through ten thousand hosts of a set that is full.
#[derive(Debug)]
pub(crate) struct Line {
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    limits: Vec<usize>,
    /// Place in the line, and host.
    hosts: VecDeque<(usize, usize)>,
}

impl Slots {
    /// The slots of a run. Of several limits for the same set the first holds.
    pub(crate) fn new<'a>(limits: impl IntoIterator<Item = &'a MaxDown>, plan: &Plan) -> Self {
        let places: HashMap<&HostName, usize> =
            plan.hosts.iter().enumerate().map(|(index, host)| (&host.host, index)).collect();
        let mut slots = Self::default();
        for limit in limits {
            if slots.limits.iter().any(|known| known.set == limit.set) {
                continue;
            }
            let number = slots.limits.len();
            let most = usize::try_from(limit.most).unwrap_or(usize::MAX).max(1);
            slots.limits.push(Limit { set: limit.set.clone(), most, away: BTreeSet::new() });
            for index in limit.hosts.iter().filter_map(|host| places.get(host)) {
                slots.of.entry(*index).or_default().push(number);
            }
        }
        slots
    }

    fn limits_of(&self, host: usize) -> &[usize] {
        self.of.get(&host).map(Vec::as_slice).unwrap_or_default()
    }

    /// Notes that a host's turn begins, or that it is away since an earlier process.
    pub(crate) fn leave(&mut self, host: usize) {
        for number in self.of.get(&host).into_iter().flatten() {
            if let Some(limit) = self.limits.get_mut(*number) {
                limit.away.insert(host);
            }
        }
    }

    /// Notes that a host is proven to be back.
    pub(crate) fn back(&mut self, host: usize) {
        for number in self.of.get(&host).into_iter().flatten() {
            if let Some(limit) = self.limits.get_mut(*number) {
                limit.away.remove(&host);
            }
        }
    }

    fn is_away(&self, host: usize) -> bool {
        let limits = self.limits_of(host).iter().filter_map(|number| self.limits.get(*number));
        limits.clone().next().is_some() && limits.into_iter().all(|limit| limit.away.contains(&host))
    }

    fn have_room(&self, limits: &[usize]) -> bool {
        let mut limits = limits.iter().filter_map(|number| self.limits.get(*number));
        limits.all(|limit| limit.away.len() < limit.most)
    }

    /// The sets that are full, with their limits and the hosts that are away.
    pub(crate) fn full(&self) -> impl Iterator<Item = (&str, usize, &BTreeSet<usize>)> {
        let full = self.limits.iter().filter(|limit| limit.away.len() >= limit.most);
        full.map(|limit| (limit.set.as_str(), limit.most, &limit.away))
    }
}

impl Line {
    /// Hosts in the order in which they are to have their turn. Those that are away already have their slots.
    pub(crate) fn new(hosts: &[usize], slots: &Slots) -> Self {
        let mut queues: Vec<Queue> = Vec::new();
        let mut known: HashMap<&[usize], usize> = HashMap::new();
        for (place, host) in hosts.iter().enumerate() {
            let limits = if slots.is_away(*host) { &[] } else { slots.limits_of(*host) };
            let number = *known.entry(limits).or_insert_with(|| {
                queues.push(Queue { limits: limits.to_vec(), hosts: VecDeque::new() });
                queues.len().saturating_sub(1)
            });
            if let Some(queue) = queues.get_mut(number) {
                queue.hosts.push_back((place, *host));
            }
        }
        Self { queues }
    }

    fn first(&self, slots: &Slots) -> Option<usize> {
        let ready = self.queues.iter().enumerate().filter(|(_, queue)| slots.have_room(&queue.limits));
        let first = ready.filter_map(|(number, queue)| Some((queue.hosts.front()?.0, number)));
        first.min().map(|(_, number)| number)
    }

    /// Whether some host can have its turn now.
    pub(crate) fn is_ready(&self, slots: &Slots) -> bool {
        self.first(slots).is_some()
    }

    /// Takes the first host that can have its turn now, and its slots.
    pub(crate) fn next(&mut self, slots: &mut Slots) -> Option<usize> {
        let queue = self.first(slots).and_then(|number| self.queues.get_mut(number))?;
        let (_, host) = queue.hosts.pop_front()?;
        slots.leave(host);
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Limits as (most, hosts).
    fn slots(limits: &[(usize, Vec<usize>)]) -> Slots {
        let mut slots = Slots::default();
        for (number, (most, hosts)) in limits.iter().enumerate() {
            slots.limits.push(Limit { set: format!("@{number}"), most: *most, away: BTreeSet::new() });
            for host in hosts.iter().collect::<BTreeSet<_>>() {
                slots.of.entry(*host).or_default().push(number);
            }
        }
        slots
    }

    #[test]
    fn hosts_of_other_sets_go_on_meanwhile() {
        let mut slots = slots(&[(1, vec![0, 1, 2])]);
        let mut line = Line::new(&[0, 1, 2, 3, 4], &slots);
        assert_eq!(line.next(&mut slots), Some(0));
        assert_eq!(line.next(&mut slots), Some(3));
        slots.back(3);
        slots.back(0);
        assert_eq!(line.next(&mut slots), Some(1));
        assert_eq!(line.next(&mut slots), Some(4));
        assert!(!line.is_ready(&slots));
        // It does not come back: nobody else of the set gets a turn.
        assert_eq!(line.next(&mut slots), None);
        assert_eq!(
            slots.full().map(|(set, most, away)| (set, most, away.len())).collect::<Vec<_>>(),
            [("@0", 1, 1)]
        );
    }

    #[test]
    fn a_host_that_is_away_already_is_first_of_its_set() {
        let mut slots = slots(&[(1, vec![0, 1, 2])]);
        slots.leave(2);
        let mut line = Line::new(&[0, 1, 2], &slots);
        assert_eq!(line.next(&mut slots), Some(2));
        assert_eq!(line.next(&mut slots), None);
        slots.back(2);
        assert_eq!((line.next(&mut slots), line.next(&mut slots)), (Some(0), None));
    }

    fn limits() -> impl Strategy<Value = Vec<(usize, Vec<usize>)>> {
        prop::collection::vec((1_usize..4, prop::collection::vec(0_usize..30, 0..20)), 0..5)
    }

    proptest! {
        /// Hosts end in any order; `stuck` hosts never come back.
        #[test]
        fn never_too_many_and_everybody_in_the_end(
            limits in limits(), parallel in 1_usize..6, choices in prop::collection::vec(0_usize..100, 200),
            stuck in prop::collection::btree_set(0_usize..30, 0..4),
        ) {
            let mut slots = slots(&limits);
            let hosts: Vec<usize> = (0..30).collect();
            let mut line = Line::new(&hosts, &slots);
            let (mut working, mut had, mut away) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
            let mut choices = choices.into_iter().cycle();
            loop {
                while working.len() < parallel && line.is_ready(&slots) {
                    let host = line.next(&mut slots).unwrap();
                    prop_assert!(had.insert(host), "{host} twice");
                    working.push(host);
                    away.insert(host);
                }
                for (most, set) in &limits {
                    let gone = set.iter().collect::<BTreeSet<_>>().into_iter().filter(|h| away.contains(*h));
                    prop_assert!(gone.count() <= *most);
                }
                if working.is_empty() {
                    break;
                }
                let host = working.swap_remove(choices.next().unwrap() % working.len());
                if !stuck.contains(&host) {
                    slots.back(host);
                    away.remove(&host);
                }
            }
            // Whoever had no turn waits for a host that does not come back.
            for host in hosts.iter().filter(|host| !had.contains(host)) {
                let full = limits.iter().any(|(most, set)| {
                    let gone = set.iter().collect::<BTreeSet<_>>().into_iter().filter(|h| away.contains(*h));
                    set.contains(host) && gone.count() >= *most
                });
                prop_assert!(full, "{host} was forgotten");
            }
            if stuck.is_empty() {
                prop_assert_eq!(had.len(), hosts.len());
            }
        }
    }
}
