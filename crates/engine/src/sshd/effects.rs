//! What a candidate changes: files, effective values per identity, and what that means; pure.

use pipedown_model::{Finding, FindingCode, Severity, SshdStep, sshd_seconds};
use pipedown_steps::sshd::{SshdAsked, SshdCandidate, SshdChecked, SshdConfig, SshdEffective, SshdSeen};

use super::change::Prepared;
use super::gates::{self, finding};

/// A keyword whose effective value changes, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    keyword: String,
    from: String,
    to: String,
    users: Vec<String>,
    asked: bool,
}

/// The values of a keyword, in the order in which sshd prints them; empty if it prints none.
fn values(effective: &SshdEffective, keyword: &str) -> String {
    let wanted = effective.values.iter().filter(|(name, _)| name.eq_ignore_ascii_case(keyword));
    wanted.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

fn after<'a>(checked: &'a SshdChecked, before: &SshdEffective) -> Option<&'a SshdEffective> {
    checked.effective.iter().find(|after| after.identity == before.identity && after.error.is_none())
}

fn differences(seen: &SshdSeen, checked: &SshdChecked, spec: &SshdStep) -> Vec<Difference> {
    let asked = gates::keywords(spec);
    let mut found: Vec<Difference> = Vec::new();
    for before in &seen.effective {
        let Some(after) = after(checked, before) else { continue };
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in before.values.iter().chain(&after.values) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        for name in names {
            let (from, to) = (values(before, name), values(after, name));
            if from == to {
                continue;
            }
            let asked_as = asked.iter().find(|keyword| keyword.eq_ignore_ascii_case(name));
            let keyword = asked_as.map_or(name, String::as_str).to_owned();
            let same = |d: &&mut Difference| d.keyword == keyword && d.from == from && d.to == to;
            let user = before.identity.user.clone();
            match found.iter_mut().find(same) {
                Some(difference) => difference.users.push(user),
                None => {
                    let asked = asked_as.is_some();
                    found.push(Difference { keyword, from, to, users: vec![user], asked });
                }
            }
        }
    }
    found.sort_by_key(|difference| !difference.asked);
    found
}

impl Difference {
    fn line(&self, everyone: usize) -> String {
        let or_none = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
        let text = format!("{} {} -> {}", self.keyword, or_none(&self.from), or_none(&self.to));
        if self.users.len() == everyone { text } else { format!("{text} for {}", self.users.join(", ")) }
    }
}

/// What sshd says of the candidate, and what else should be known of it.
pub(crate) fn candidate(
    seen: &SshdSeen,
    candidate: &SshdCandidate,
    checked: &SshdChecked,
    spec: &SshdStep,
) -> Vec<Finding> {
    let code = FindingCode::Sshd;
    if !checked.verdict.ok {
        let said = checked.verdict.text.join("; ");
        let text = format!("sshd does not take the new configuration: {said}");
        return vec![finding(code, Severity::Refuse, text, "nothing was changed; correct the setting")];
    }
    let mut findings = vec![finding(code, Severity::Good, "sshd takes the new configuration", None)];
    let warnings = checked.verdict.text.iter().map(|said| format!("sshd says of it: {said}"));
    findings.extend(warnings.map(|text| finding(code, Severity::Warn, text, None)));
    findings.extend(candidate.notes.iter().map(|note| finding(code, Severity::Info, note.clone(), None)));
    findings.extend(candidate.asked.iter().filter_map(|asked| kept(seen, checked, asked)));
    let everyone = seen.effective.len();
    let also = differences(seen, checked, spec).into_iter().filter(|difference| !difference.asked);
    let also = also.map(|difference| format!("also changes: {}", difference.line(everyone)));
    findings.extend(also.map(|text| finding(code, Severity::Warn, text, None)));
    let blind = SshdConfig::of(seen).canary_blind();
    if !blind.is_empty() {
        let text =
            format!("a login over the connection in hand cannot tell what these do: {}", blind.join("; "));
        findings.push(finding(code, Severity::Info, text, None));
    }
    findings
}

/// A value for everyone that somebody else's line keeps from becoming effective.
fn kept(seen: &SshdSeen, checked: &SshdChecked, asked: &SshdAsked) -> Option<Finding> {
    if asked.criteria.is_some() || asked.keyword.cumulative {
        return None;
    }
    let name = asked.keyword.name;
    let stays: Vec<&SshdEffective> = seen
        .effective
        .iter()
        .filter(|before| {
            let Some(after) = after(checked, before) else { return false };
            let (from, to) = (values(before, name), values(after, name));
            // sshd does not print every keyword, and writes values in its own way.
            !to.is_empty() && from == to && !same(&to, &asked.value)
        })
        .collect();
    let first = stays.first()?;
    let users: Vec<&str> = stays.iter().map(|stays| stays.identity.user.as_str()).collect();
    let config = SshdConfig::of(seen);
    let places = config
        .matched(name)
        .filter(|(_, line)| !line.ours)
        .map(|(block, line)| format!("Match {} in {}", block.criteria, line.place));
    let places: Vec<String> = places.collect();
    let by = if places.is_empty() { String::new() } else { format!(": see {}", places.join(", ")) };
    let value = values(first, name);
    let text = format!(
        "{name} {} does not become effective for {}: it stays {value}{by}",
        asked.value,
        users.join(", ")
    );
    let severity = if stays.len() == seen.effective.len() { Severity::Refuse } else { Severity::Warn };
    Some(finding(FindingCode::Sshd, severity, text, "who set it there must agree first"))
}

/// Whether two spellings mean the same value.
fn same(effective: &str, asked: &str) -> bool {
    let asked = asked.trim_matches('"');
    let seconds = |text: &str| sshd_seconds(text);
    effective.eq_ignore_ascii_case(asked)
        || (seconds(asked).is_some() && seconds(asked) == seconds(effective))
}

/// What a dry run shows: the files' diff, then effective values, then who notices nothing yet.
pub(crate) fn would_change(prepared: &Prepared, spec: &SshdStep) -> Vec<String> {
    let Prepared { seen, candidate, checked } = prepared;
    let mut lines: Vec<String> = candidate.diff(seen).lines().map(str::to_owned).collect();
    lines.extend(effective(seen, checked, spec));
    if seen.sessions > 0 {
        let sessions = if seen.sessions == 1 {
            "1 open session keeps"
        } else {
            &format!("{} open sessions keep", seen.sessions)
        };
        lines.push(format!("{sessions} the old configuration until reconnect"));
    }
    lines
}

/// What was changed, in short.
pub(crate) fn changed(prepared: &Prepared, spec: &SshdStep) -> Vec<String> {
    let Prepared { seen, candidate, checked } = prepared;
    let files = candidate.changes.iter().map(|change| change.path.clone());
    files.chain(effective(seen, checked, spec)).collect()
}

fn effective(seen: &SshdSeen, checked: &SshdChecked, spec: &SshdStep) -> Vec<String> {
    let everyone = seen.effective.len();
    let lines = differences(seen, checked, spec).into_iter().map(|difference| {
        let lead = if difference.asked { "effective" } else { "also changes" };
        format!("{lead}: {}", difference.line(everyone))
    });
    lines.collect()
}
