//! How many hosts get their turn at a time, and how many of them may fail.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many hosts a batch has. As text, and so in plans and journals: `3`, `10%`, `rest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// So many, 1 or more.
    Count(u32),
    /// So many of a hundred of the run's hosts, from 1 to 100; rounded up.
    Percent(u8),
    /// All that are left.
    Rest,
}

/// How many hosts may fail before no further one is begun. As text: `0`, `5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureBudget {
    /// So many.
    Count(u32),
    /// So many of a hundred of the run's hosts, from 0 to 100; rounded down.
    Percent(u8),
}

/// A size or a budget that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {text:?} as {what}: {wanted}")]
pub struct InvalidBatch {
    /// What was given.
    pub text: String,
    /// What it was to be.
    pub what: &'static str,
    /// What would have been right.
    pub wanted: &'static str,
}

impl BatchSize {
    const WANTED: &'static str = "write a number of hosts (1 or more), a share of them such as 10%, or rest";

    /// How many hosts of a run's `total` that is; at least one.
    pub fn hosts(self, total: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX).max(1),
            Self::Percent(percent) => total.saturating_mul(usize::from(percent)).div_ceil(100).max(1),
            Self::Rest => total.max(1),
        }
    }

    /// Cuts `total` hosts into batches: their sizes, which add up to `total`.
    ///
    /// The last size is repeated until no host is left; without any size, all hosts are one batch.
    pub fn cut(sizes: &[Self], total: usize) -> Vec<usize> {
        let last = sizes.last().copied().unwrap_or(Self::Rest);
        let mut left = total;
        sizes
            .iter()
            .copied()
            .chain(std::iter::repeat(last))
            .map_while(|size| {
                let batch = size.hosts(total).min(left);
                left -= batch;
                (batch > 0).then_some(batch)
            })
            .collect()
    }
}

impl FailureBudget {
    const WANTED: &'static str = "write a number of hosts (0 or more), or a share of them such as 5%";

    /// How many hosts of a run's `total` may fail.
    pub fn hosts(self, total: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Self::Percent(percent) => total.saturating_mul(usize::from(percent)) / 100,
        }
    }

    /// Whether so many failures of a run's `total` hosts are within it.
    pub fn allows(self, failed: usize, total: usize) -> bool {
        failed <= self.hosts(total)
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

impl fmt::Display for FailureBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for BatchSize {
    type Err = InvalidBatch;

    fn from_str(text: &str) -> Result<Self, InvalidBatch> {
        let size = match number(text) {
            Some(Number::Count(count)) if count > 0 => Self::Count(count),
            Some(Number::Percent(percent)) if percent > 0 => Self::Percent(percent),
            None if text.trim() == "rest" => Self::Rest,
            _ => {
                let text = text.to_owned();
                return Err(InvalidBatch { text, what: "a batch", wanted: Self::WANTED });
            }
        };
        Ok(size)
    }
}

impl FromStr for FailureBudget {
    type Err = InvalidBatch;

    fn from_str(text: &str) -> Result<Self, InvalidBatch> {
        match number(text) {
            Some(Number::Count(count)) => Ok(Self::Count(count)),
            Some(Number::Percent(percent)) => Ok(Self::Percent(percent)),
            None => {
                let text = text.to_owned();
                Err(InvalidBatch { text, what: "a limit of failures", wanted: Self::WANTED })
            }
        }
    }
}

enum Number {
    Count(u32),
    Percent(u8),
}

/// Digits only: what parses otherwise (`+1`) is more likely a slip than a number.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if percent {
        return digits.parse().ok().filter(|percent| *percent <= 100).map(Number::Percent);
    }
    digits.parse().ok().map(Number::Count)
}

macro_rules! as_text {
    ($($name:ident)*) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                }
            }
        )*
    };
}

as_text!(BatchSize FailureBudget);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(sizes: &[&str], total: usize) -> Vec<usize> {
        let sizes: Vec<BatchSize> = sizes.iter().map(|size| size.parse().unwrap()).collect();
        BatchSize::cut(&sizes, total)
    }

    #[test]
    fn hosts_are_cut_into_batches() {
        assert_eq!(cut(&["1", "10%", "rest"], 200), [1, 20, 179]);
        assert_eq!(cut(&["1", "10%", "rest"], 5), [1, 1, 3]);
        assert_eq!(cut(&["1", "10%", "rest"], 1), [1]);
        assert_eq!(cut(&["1", "10%", "rest"], 0), [0; 0]);
        assert_eq!(cut(&["25%"], 10), [3, 3, 3, 1]);
        assert_eq!(cut(&["1", "4"], 10), [1, 4, 4, 1]);
        assert_eq!(cut(&["rest", "1"], 3), [3]);
        assert_eq!(cut(&[], 7), [7]);
    }

    #[test]
    fn a_budget_is_rounded_down() {
        let allows = |text: &str, failed, total| text.parse::<FailureBudget>().unwrap().allows(failed, total);
        assert!(allows("0", 0, 10) && !allows("0", 1, 10));
        assert!(allows("5%", 1, 20) && !allows("5%", 1, 19));
        assert!(allows("3", 3, 3));
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_would_be() {
        for text in ["", "0", "0%", "101%", "+1", "-1", "1.5", "10 %", "%", "all", "99999999999", "300%"] {
            let error = text.parse::<BatchSize>().unwrap_err().to_string();
            assert!(error.contains("rest"), "{text}: {error}");
        }
        for text in ["", "101%", "+1", "-1", "rest", "%"] {
            let error = text.parse::<FailureBudget>().unwrap_err().to_string();
            assert!(error.contains("5%"), "{text}: {error}");
        }
    }

    fn size() -> impl Strategy<Value = BatchSize> {
        prop_oneof![
            (1_u32..).prop_map(BatchSize::Count),
            (1_u8..=100).prop_map(BatchSize::Percent),
            Just(BatchSize::Rest)
        ]
    }

    proptest! {
        #[test]
        fn a_size_survives_its_text(size in size()) {
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let json = serde_json::to_string(&size).unwrap();
            prop_assert_eq!(serde_json::from_str::<BatchSize>(&json).unwrap(), size);
        }

        #[test]
        fn a_budget_survives_its_text(count: u32, percent in 0_u8..=100) {
            for budget in [FailureBudget::Count(count), FailureBudget::Percent(percent)] {
                prop_assert_eq!(budget.to_string().parse(), Ok(budget));
            }
        }

        #[test]
        fn whatever_is_typed_is_read_or_refused(text in "\\PC{0,12}") {
            if let Ok(size) = text.parse::<BatchSize>() {
                prop_assert!(size.hosts(10) >= 1);
            }
        }

        #[test]
        fn every_host_is_in_one_batch(sizes in prop::collection::vec(size(), 0..5), total in 0_usize..5000) {
            let batches = BatchSize::cut(&sizes, total);
            prop_assert_eq!(batches.iter().sum::<usize>(), total);
            prop_assert!(batches.iter().all(|batch| *batch > 0));
        }
    }
}
