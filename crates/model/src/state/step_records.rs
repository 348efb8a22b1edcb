//! What is known about the steps of a host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Outcome, StepId};

/// What is known about one step of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepRecord {
    /// The intent is durable, the outcome unknown.
    Started {
        /// How often it was tried.
        attempt: u32,
    },
    /// It ended.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// What is known about the steps of a host, in the order of their ids. It takes what its few steps need and no more: ten
/// thousand hosts are in memory at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<StepId, StepRecord>", into = "BTreeMap<StepId, StepRecord>")]
pub struct StepRecords(Vec<(StepId, StepRecord)>);

impl StepRecords {
    /// What is known about a step.
    pub fn get(&self, step: &StepId) -> Option<&StepRecord> {
        let at = self.0.binary_search_by(|(id, _)| id.cmp(step)).ok()?;
        self.0.get(at).map(|(_, record)| record)
    }

    /// Notes what is known about a step from now on.
    pub fn insert(&mut self, step: StepId, record: StepRecord) {
        match self.0.binary_search_by(|(id, _)| id.cmp(&step)) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = record;
                }
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (step, record));
            }
        }
    }

    /// Whether nothing is known about any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every step and what is known about it.
    pub fn iter(&self) -> impl Iterator<Item = (&StepId, &StepRecord)> {
        self.0.iter().map(|(id, record)| (id, record))
    }

    /// What is known about each.
    pub fn values(&self) -> impl Iterator<Item = &StepRecord> {
        self.0.iter().map(|(_, record)| record)
    }
}

impl From<BTreeMap<StepId, StepRecord>> for StepRecords {
    fn from(records: BTreeMap<StepId, StepRecord>) -> Self {
        Self(records.into_iter().collect())
    }
}

impl From<StepRecords> for BTreeMap<StepId, StepRecord> {
    fn from(records: StepRecords) -> Self {
        records.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(noted in proptest::collection::vec((0u8..9, 1u32..9), 0..30)) {
            let (mut records, mut map) = (StepRecords::default(), BTreeMap::new());
            for (step, attempt) in noted {
                let step = StepId::new(&format!("s{step}")).unwrap();
                records.insert(step.clone(), StepRecord::Started { attempt });
                map.insert(step, StepRecord::Started { attempt });
            }
            prop_assert!(records.iter().eq(map.iter()) && records.values().eq(map.values()));
            prop_assert_eq!(records.is_empty(), map.is_empty());
            for step in 0..9 {
                let step = StepId::new(&format!("s{step}")).unwrap();
                prop_assert_eq!(records.get(&step), map.get(&step));
            }
            let text = serde_json::to_string(&records).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<StepRecords>(&text).unwrap(), records);
        }
    }
}
