//! How a plan is kept: every step list once, and with each host the number of its list.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{HostPlan, HostStep, LocalStep, Plan, PlaybookSource, StepList, StepLists, Target, TimeSource};
use crate::{BatchSize, FailureBudget, HostName, Limits, TextId};

/// The last format in which the steps of a host stood with the host.
const STEPS_WITH_HOSTS: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    compiled: DateTime<Utc>,
    playbook: &'a PlaybookSource,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<DateTime<Utc>>,
    time: &'a TimeSource,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    local: &'a [LocalStep],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    batches: &'a [BatchSize],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_failures: Option<FailureBudget>,
    #[serde(skip_serializing_if = "limits_are_empty")]
    limits: &'a Limits,
    texts: &'a BTreeMap<TextId, String>,
    step_lists: Vec<&'a [HostStep]>,
    hosts: WrittenHosts<'a>,
}

fn limits_are_empty(limits: &&Limits) -> bool {
    limits.is_empty()
}

/// The hosts and the numbers of their lists, written one after the other.
struct WrittenHosts<'a> {
    hosts: &'a [HostPlan],
    numbers: Vec<usize>,
}

#[derive(Serialize)]
struct WrittenHost<'a> {
    host: &'a HostName,
    target: &'a Target,
    zone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<DateTime<Utc>>,
    steps: usize,
}

impl Serialize for WrittenHosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hosts = serializer.serialize_seq(Some(self.hosts.len()))?;
        for (plan, steps) in self.hosts.iter().zip(&self.numbers) {
            let HostPlan { host, target, zone, window, steps: _ } = plan;
            hosts.serialize_element(&WrittenHost { host, target, zone, window: *window, steps: *steps })?;
        }
        hosts.end()
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers: HashMap<&StepList, usize> = HashMap::new();
        let mut step_lists: Vec<&[HostStep]> = Vec::new();
        let mut last: Option<(&StepList, usize)> = None;
        let mut of_hosts = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            let number = match last {
                // The usual case costs no hash: neighbours do the same.
                Some((steps, number)) if *steps == host.steps => number,
                _ => *numbers.entry(&host.steps).or_insert_with(|| {
                    step_lists.push(&host.steps);
                    step_lists.len() - 1
                }),
            };
            last = Some((&host.steps, number));
            of_hosts.push(number);
        }
        Written {
            v: self.v,
            compiled: self.compiled,
            playbook: &self.playbook,
            reason: &self.reason,
            window: self.window,
            time: &self.time,
            local: &self.local,
            batches: &self.batches,
            max_failures: self.max_failures,
            limits: &self.limits,
            texts: &self.texts,
            step_lists,
            hosts: WrittenHosts { hosts: &self.hosts, numbers: of_hosts },
        }
        .serialize(serializer)
    }
}

#[derive(Deserialize)]
struct Read {
    v: u32,
    compiled: DateTime<Utc>,
    playbook: PlaybookSource,
    reason: String,
    #[serde(default)]
    window: Option<DateTime<Utc>>,
    time: TimeSource,
    #[serde(default)]
    local: Vec<LocalStep>,
    #[serde(default)]
    batches: Vec<BatchSize>,
    #[serde(default)]
    max_failures: Option<FailureBudget>,
    #[serde(default)]
    limits: Limits,
    texts: BTreeMap<TextId, String>,
    #[serde(default)]
    step_lists: Vec<Vec<HostStep>>,
    hosts: Vec<ReadHost>,
}

#[derive(Deserialize)]
struct ReadHost {
    host: HostName,
    target: Target,
    zone: String,
    #[serde(default)]
    window: Option<DateTime<Utc>>,
    steps: ReadSteps,
}

enum ReadSteps {
    /// The number of a list.
    Number(usize),
    /// As format 1 has them.
    Own(Vec<HostStep>),
}

impl<'de> Deserialize<'de> for ReadSteps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StepsVisitor)
    }
}

struct StepsVisitor;

impl<'de> Visitor<'de> for StepsVisitor {
    type Value = ReadSteps;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a step list")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<ReadSteps, E> {
        usize::try_from(number).map(ReadSteps::Number).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<ReadSteps, A::Error> {
        let mut own = Vec::new();
        while let Some(step) = steps.next_element()? {
            own.push(step);
        }
        Ok(ReadSteps::Own(own))
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let lists: Vec<StepList> = read.step_lists.into_iter().map(StepList::from).collect();
        let mut met = StepLists::default();
        let host = |read: ReadHost| {
            let ReadHost { host, target, zone, window, steps } = read;
            let steps = match steps {
                ReadSteps::Own(steps) => met.share(steps),
                ReadSteps::Number(number) => lists.get(number).cloned().ok_or_else(|| {
                    D::Error::custom(format!("host {host} has step list {number} of {}", lists.len()))
                })?,
            };
            Ok(HostPlan { host, target, zone, window, steps })
        };
        let hosts = read.hosts.into_iter().map(host).collect::<Result<_, D::Error>>()?;
        Ok(Self {
            // In memory, and written again, it is one of today.
            v: if read.v == STEPS_WITH_HOSTS { Self::FORMAT } else { read.v },
            compiled: read.compiled,
            playbook: read.playbook,
            reason: read.reason,
            window: read.window,
            time: read.time,
            local: read.local,
            batches: read.batches,
            max_failures: read.max_failures,
            limits: read.limits,
            texts: read.texts,
            hosts,
        })
    }
}

#[cfg(test)]
mod tests;
