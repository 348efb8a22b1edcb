//! Effective values beside what was asked for, and beside those of before.

use pipedown_model::{SshdKeyword, sshd_keyword};

use super::candidate::SshdAsked;
use super::own::same_criteria;
use super::patterns::{Somebody, applies};
use super::printed::{Printed, printed};
use super::{SshdCandidate, SshdConfig, SshdEffective, SshdIdentity, SshdSeen};

/// Whether a value that was asked for is what sshd would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshdHolds {
    /// It is.
    Yes,
    /// Something else is.
    No {
        /// Who keeps another value, with file and line, if that can be told.
        because: Option<String>,
    },
    /// `sshd -T` does not show it in a form that can be compared.
    Unshown,
    /// The block may or may not be for this identity, and the value is another one.
    Depends,
}

/// What became of one value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdOutcome {
    /// The Match block; none: everyone.
    pub criteria: Option<String>,
    /// The keyword.
    pub keyword: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What sshd would use; several lines where values add up, none where it shows nothing.
    pub effective: Vec<String>,
    /// Whether that is the same.
    pub holds: SshdHolds,
}

impl std::fmt::Display for SshdOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.keyword, self.asked)?;
        let effective = self.effective.join(", ");
        match &self.holds {
            SshdHolds::Yes => write!(f, " holds"),
            SshdHolds::No { because: None } => write!(f, " does not hold: {effective}"),
            SshdHolds::No { because: Some(why) } => write!(f, " does not hold: {effective} ({why})"),
            SshdHolds::Unshown => write!(f, ": sshd does not show its value"),
            SshdHolds::Depends => {
                let criteria = self.criteria.as_deref().unwrap_or_default();
                write!(f, ": {effective} here, where Match {criteria} may not apply")
            }
        }
    }
}

/// A keyword whose effective value changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdDelta {
    /// As sshd_config(5) spells it, or as sshd prints it.
    pub keyword: String,
    /// The lines of before.
    pub before: Vec<String>,
    /// The lines of after.
    pub after: Vec<String>,
    /// Whether the step asks for it, or takes it away.
    pub asked: bool,
}

/// What changes for one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshdComparison {
    /// For whom.
    pub identity: SshdIdentity,
    /// What was asked for and concerns them.
    pub outcomes: Vec<SshdOutcome>,
    /// What changes, in the order in which sshd prints it.
    pub deltas: Vec<SshdDelta>,
    /// What sshd said instead of values.
    pub error: Option<String>,
}

/// The values of a keyword as `sshd -T` printed them, under its own name or else an older one.
pub(super) fn values_of(effective: &SshdEffective, keyword: &str) -> Vec<String> {
    let of = |name: &str| -> Vec<String> {
        let lines = effective.values.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.clone()).collect()
    };
    let own = of(keyword);
    let aliases = sshd_keyword(keyword).map_or(&[] as &[&str], |known| known.aliases);
    if own.is_empty() {
        aliases.iter().map(|alias| of(alias)).find(|v| !v.is_empty()).unwrap_or_default()
    } else {
        own
    }
}

/// Compares the effective values of a candidate with what was asked for, and with those of before, identity by identity.
pub fn sshd_compare(
    seen: &SshdSeen,
    candidate: &SshdCandidate,
    before: &[SshdEffective],
    after: &[SshdEffective],
) -> Vec<SshdComparison> {
    let config = SshdConfig::of(seen);
    let compare = |after: &SshdEffective| {
        let identity = after.identity.clone();
        let old = before.iter().find(|before| before.identity == identity);
        let outcomes =
            if after.error.is_none() { outcomes(seen, &config, candidate, after) } else { Vec::new() };
        let both = old.filter(|old| old.error.is_none() && after.error.is_none());
        let deltas = both.map(|old| deltas(candidate, old, after)).unwrap_or_default();
        SshdComparison { identity, outcomes, deltas, error: after.error.clone() }
    };
    after.iter().map(compare).collect()
}

/// One identity, as Match blocks see it.
pub(super) fn somebody<'a>(seen: &'a SshdSeen, identity: &'a SshdIdentity) -> Somebody<'a> {
    let connection = seen.connection.as_ref();
    let address = identity.address.as_deref().or(connection.map(|c| c.client.as_str()));
    let known = seen.logins.iter().find(|login| login.user == identity.user && !login.groups.is_empty());
    Somebody {
        user: &identity.user,
        groups: known.map(|login| login.groups.as_slice()),
        address: address.and_then(|address| address.parse().ok()),
        local: connection.and_then(|c| Some((c.server.parse().ok()?, c.server_port))),
    }
}

fn outcomes(
    seen: &SshdSeen,
    config: &SshdConfig,
    candidate: &SshdCandidate,
    after: &SshdEffective,
) -> Vec<SshdOutcome> {
    let who = somebody(seen, &after.identity);
    let mut outcomes = Vec::new();
    for asked in &candidate.asked {
        let concerns = asked.criteria.as_deref().map_or(Some(true), |criteria| applies(criteria, &who));
        if concerns == Some(false) || shadowed(candidate, asked, &who) {
            continue;
        }
        let effective = values_of(after, asked.keyword.name);
        let holds = match printed(asked.keyword, &asked.value, &effective) {
            Printed::Same => SshdHolds::Yes,
            Printed::Unknown => SshdHolds::Unshown,
            Printed::Other if concerns.is_none() => SshdHolds::Depends,
            Printed::Other => SshdHolds::No { because: who_keeps(config, asked.keyword, &who) },
        };
        outcomes.push(SshdOutcome {
            criteria: asked.criteria.clone(),
            keyword: asked.keyword.name,
            asked: asked.value.clone(),
            effective,
            holds,
        });
    }
    outcomes
}

/// Whether an earlier block of ours, or for a global value any, may set the same keyword for them.
fn shadowed(candidate: &SshdCandidate, asked: &SshdAsked, who: &Somebody<'_>) -> bool {
    let own = asked.criteria.as_deref().map(same_criteria);
    let blocks = candidate.own.iter().filter(|mine| mine.keyword == asked.keyword);
    let mut criteria = blocks.filter_map(|mine| mine.criteria.as_deref());
    let first = criteria.find(|criteria| applies(criteria, who) != Some(false));
    first.is_some_and(|first| Some(same_criteria(first)) != own)
}

/// The Match block of somebody else that keeps its own value for them.
fn who_keeps(config: &SshdConfig, keyword: &SshdKeyword, who: &Somebody<'_>) -> Option<String> {
    let theirs = config.matched(keyword.name).filter(|(block, _)| !block.ours);
    let (block, line) =
        theirs.into_iter().find(|(block, _)| applies_within(config, block, who) != Some(false))?;
    Some(format!("Match {} keeps its own value, {}", block.criteria, line.place))
}

/// Whether a block and those around it are for somebody.
pub(super) fn applies_within(
    config: &SshdConfig,
    block: &super::SshdBlock,
    who: &Somebody<'_>,
) -> Option<bool> {
    let outer = block.within.and_then(|index| config.blocks.get(index));
    match (applies(&block.criteria, who), outer) {
        (Some(false), _) => Some(false),
        (inner, None) => inner,
        (inner, Some(outer)) => match applies_within(config, outer, who) {
            Some(true) => inner,
            other => other,
        },
    }
}

/// What changes; lines that only stand in another order do not.
fn deltas(candidate: &SshdCandidate, before: &SshdEffective, after: &SshdEffective) -> Vec<SshdDelta> {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in before.values.iter().chain(&after.values) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let lines = |of: &SshdEffective, key: &str| -> Vec<String> {
        of.values.iter().filter(|(k, _)| k == key).map(|(_, value)| value.clone()).collect()
    };
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let changed = keys.into_iter().filter_map(|key| {
        let (before, after) = (lines(before, key), lines(after, key));
        let known = sshd_keyword(key);
        let asked = candidate.asked.iter().any(|asked| asked.keyword.is(key))
            || candidate.unset.iter().any(|name| known.is_some_and(|known| known.is(name)));
        let keyword = known.map_or(key, |known| known.name).to_owned();
        (sorted(before.clone()) != sorted(after.clone())).then_some(SshdDelta {
            keyword,
            before,
            after,
            asked,
        })
    });
    changed.collect()
}

#[cfg(test)]
mod tests;
