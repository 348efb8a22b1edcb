//! The steps of a host: hosts that do the same share them.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::HostStep;

/// The steps of a host, in the playbook's order. A clone is the same list: ten thousand hosts that do the same hold one.
#[derive(Clone)]
pub struct StepList(Arc<[HostStep]>);

impl Deref for StepList {
    type Target = [HostStep];

    fn deref(&self) -> &[HostStep] {
        &self.0
    }
}

impl Default for StepList {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl From<Vec<HostStep>> for StepList {
    fn from(steps: Vec<HostStep>) -> Self {
        Self(steps.into())
    }
}

impl FromIterator<HostStep> for StepList {
    fn from_iter<I: IntoIterator<Item = HostStep>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a StepList {
    type Item = &'a HostStep;
    type IntoIter = std::slice::Iter<'a, HostStep>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl PartialEq for StepList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for StepList {}

impl Hash for StepList {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for StepList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Step lists that were met: the second of two that say the same becomes the first.
#[derive(Debug, Default)]
pub struct StepLists(HashSet<StepList>);

impl StepLists {
    /// Gives the list that says the same as these steps.
    pub fn share(&mut self, steps: impl Into<StepList>) -> StepList {
        let steps = steps.into();
        if let Some(met) = self.0.get(&steps) {
            return met.clone();
        }
        self.0.insert(steps.clone());
        steps
    }
}
