//! What a candidate changes: files, effective values per identity, who may log in; pure.

use pipedown_model::{Finding, FindingCode, HostPlan, Severity};
use pipedown_steps::sshd::{
    SshdCandidate, SshdChecked, SshdComparison, SshdConfig, SshdDelta, SshdEffective, SshdHolds,
    SshdIdentity, SshdOutcome, SshdSeen, sshd_compare, sshd_shut_out,
};

use super::change::Prepared;
use super::gates::{accounts, finding};

/// So many of those who logged in lately are asked about; the latest come first.
const MOST: usize = 200;
/// So many of those who would be shut out are named.
const NAMED: usize = 8;

/// For whom effective values are asked: each account over the connection in hand, then who has logged in lately.
pub(crate) fn identities(seen: &SshdSeen, host: &HostPlan) -> Vec<SshdIdentity> {
    let ours = accounts(host).into_iter().map(|user| SshdIdentity { user, address: None });
    let lately = seen
        .logins
        .iter()
        .map(|login| SshdIdentity { user: login.user.clone(), address: login.address.clone() });
    let mut identities: Vec<SshdIdentity> = Vec::new();
    for identity in ours.chain(lately.take(MOST)) {
        if !identities.contains(&identity) {
            identities.push(identity);
        }
    }
    identities
}

/// What changes for each account of ours.
fn comparisons(seen: &SshdSeen, candidate: &SshdCandidate, checked: &SshdChecked) -> Vec<SshdComparison> {
    let ours: Vec<SshdEffective> =
        checked.effective.iter().filter(|effective| effective.identity.address.is_none()).cloned().collect();
    sshd_compare(seen, candidate, &seen.effective, &ours)
}

/// What sshd says of the candidate, and what else should be known of it.
pub(crate) fn candidate(seen: &SshdSeen, candidate: &SshdCandidate, checked: &SshdChecked) -> Vec<Finding> {
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
    let compared = comparisons(seen, candidate, checked);
    for comparison in &compared {
        if let Some(error) = &comparison.error {
            let text = format!("sshd shows no values for {}: {error}", comparison.identity.user);
            findings.push(finding(code, Severity::Refuse, text, None));
        }
    }
    findings.extend(not_held(&compared));
    let also = lines(&compared, |delta| !delta.asked);
    let also = also.into_iter().map(|line| format!("also changes: {line}"));
    findings.extend(also.map(|text| finding(code, Severity::Warn, text, None)));
    let blind = SshdConfig::of(seen).canary_blind();
    if !blind.is_empty() {
        let text = format!("the canary cannot tell what these do: {}", blind.join("; "));
        findings.push(finding(code, Severity::Info, text, "the logins on new connections can"));
    }
    findings
}

/// Values that do not become effective: a refusal if for nobody, else a warning.
fn not_held(compared: &[SshdComparison]) -> Vec<Finding> {
    let mut found: Vec<(&SshdOutcome, Vec<&str>)> = Vec::new();
    for comparison in compared {
        for outcome in &comparison.outcomes {
            if !matches!(outcome.holds, SshdHolds::No { .. }) {
                continue;
            }
            let user = comparison.identity.user.as_str();
            match found.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, users)) => users.push(user),
                None => found.push((outcome, vec![user])),
            }
        }
    }
    let everyone = compared.iter().filter(|comparison| comparison.error.is_none()).count();
    let found = found.into_iter().map(|(outcome, users)| {
        let for_nobody = users.len() == everyone;
        let severity = if for_nobody { Severity::Refuse } else { Severity::Warn };
        let whom = if for_nobody { String::new() } else { format!(" for {}", users.join(", ")) };
        let hint = "whoever set the other value must take it away first";
        finding(FindingCode::Sshd, severity, format!("{outcome}{whom}"), hint)
    });
    found.collect()
}

/// Who logged in lately and could not any more.
pub(crate) fn access(
    seen: &SshdSeen,
    before: &[SshdEffective],
    checked: &SshdChecked,
    accepted: bool,
) -> Option<Finding> {
    let code = FindingCode::Access;
    let out = sshd_shut_out(&seen.logins, before, &checked.effective);
    if out.is_empty() {
        let text = "nobody who logged in within 30 days is shut out";
        return Some(finding(code, Severity::Good, text, None));
    }
    let mut named: Vec<String> = out.iter().take(NAMED).map(ToString::to_string).collect();
    if out.len() > NAMED {
        named.push(format!("and {} more", out.len().saturating_sub(NAMED)));
    }
    let text = format!("shuts out who logged in lately: {}", named.join("; "));
    Some(if accepted {
        finding(code, Severity::Warn, text, None)
    } else {
        finding(code, Severity::Refuse, text, "--narrows-access accepts that")
    })
}

/// `ClientAliveInterval 0 -> 60`, each once, with those for whom it changes unless that is everybody.
fn lines(compared: &[SshdComparison], wanted: impl Fn(&SshdDelta) -> bool) -> Vec<String> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for comparison in compared {
        for delta in comparison.deltas.iter().filter(|delta| wanted(delta)) {
            let of = |values: &[String]| {
                if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
            };
            let line = format!("{} {} -> {}", delta.keyword, of(&delta.before), of(&delta.after));
            let user = comparison.identity.user.as_str();
            match found.iter_mut().find(|(known, _)| *known == line) {
                Some((_, users)) => users.push(user),
                None => found.push((line, vec![user])),
            }
        }
    }
    let told = found.into_iter().map(|(line, users)| {
        if users.len() == compared.len() { line } else { format!("{line} for {}", users.join(", ")) }
    });
    told.collect()
}

fn effective(prepared: &Prepared) -> Vec<String> {
    let compared = comparisons(&prepared.seen, &prepared.candidate, &prepared.checked);
    let asked = lines(&compared, |delta| delta.asked).into_iter().map(|line| format!("effective: {line}"));
    let also = lines(&compared, |delta| !delta.asked).into_iter().map(|line| format!("also changes: {line}"));
    asked.chain(also).collect()
}

/// What a dry run shows: the files' diff, then effective values, then who notices nothing yet.
pub(crate) fn would_change(prepared: &Prepared) -> Vec<String> {
    let seen = &prepared.seen;
    let mut lines: Vec<String> = prepared.candidate.diff(seen).lines().map(str::to_owned).collect();
    lines.extend(effective(prepared));
    match seen.sessions {
        0 => {}
        1 => lines.push("1 open session keeps the old configuration until reconnect".to_owned()),
        n => lines.push(format!("{n} open sessions keep the old configuration until reconnect")),
    }
    lines
}

/// What was changed, in short.
pub(crate) fn changed(prepared: &Prepared) -> Vec<String> {
    let files = prepared.candidate.changes.iter().map(|change| change.path.clone());
    files.chain(effective(prepared)).collect()
}
