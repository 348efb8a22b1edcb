//! What a candidate would do on a host, as findings and in words; pure.

use pipedown_model::{
    Evidence, Failure, Finding, FindingCode, HostName, HostPlan, Proof, RunId, Severity, SshdStep,
};
use pipedown_steps::sshd::{SshdConfirmed, SshdOwner, SshdProblem, SshdSeen};

pub(crate) fn finding(
    code: FindingCode,
    severity: Severity,
    text: impl Into<String>,
    hint: impl Into<Option<&'static str>>,
) -> Finding {
    Finding { code, severity, text: text.into(), hint: hint.into().map(str::to_owned) }
}

/// Why a step cannot be made of the host's configuration.
pub(crate) fn problem(problem: &SshdProblem) -> Finding {
    finding(FindingCode::Sshd, Severity::Refuse, problem.to_string(), None)
}

/// The login user and each of the host's further logins, once.
pub(crate) fn accounts(host: &HostPlan) -> Vec<String> {
    let mut accounts = vec![host.target.user.clone()];
    for login in &host.target.logins {
        if !accounts.contains(login) {
            accounts.push(login.clone());
        }
    }
    accounts
}

/// The keywords that a step is about, each once, as the playbook spells them.
pub(crate) fn keywords(spec: &SshdStep) -> Vec<String> {
    let asked = asked(spec).into_iter().map(|(keyword, _)| keyword);
    let mut keywords: Vec<String> = Vec::new();
    for keyword in asked.chain(spec.unset.iter().map(|unset| unset.keyword.clone())) {
        if !keywords.iter().any(|known| known.eq_ignore_ascii_case(&keyword)) {
            keywords.push(keyword);
        }
    }
    keywords
}

/// Keywords and values that a step sets; those of Match blocks say so.
pub(crate) fn asked(spec: &SshdStep) -> Vec<(String, String)> {
    let everyone = spec.settings.iter().map(|s| (s.keyword.clone(), s.value.clone()));
    let some = spec.matches.iter().flat_map(|block| {
        let of = move |value: &str| format!("{value} for {}", block.criteria);
        block.settings.iter().map(move |s| (s.keyword.clone(), of(&s.value)))
    });
    everyone.chain(some).collect()
}

/// What stands there before anything is thought of.
pub(crate) fn standing(seen: &SshdSeen, run: &RunId) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !seen.baseline.ok {
        let said = seen.baseline.text.join("; ");
        let hint = "repair it first: a restart would leave the host without sshd";
        let text = format!("sshd does not take the configuration that stands: {said}");
        findings.push(finding(FindingCode::Sshd, Severity::Refuse, text, hint));
    }
    let others = |owner: &&SshdOwner| owner.run != *run;
    let trial = seen.state.trial.as_ref().map(|trial| &trial.owner);
    let timed = seen.state.confirmed.as_ref().filter(|confirmed| confirmed.reverts.is_some());
    for (owner, what) in [(trial, "trial"), (timed.map(|timed| &timed.owner), "timed change")] {
        if let Some(owner) = owner.filter(others) {
            let (text, hint) = busy(Some(owner), what);
            let (code, severity) = (FindingCode::OtherChange, Severity::Refuse);
            findings.push(Finding { code, severity, text, hint: Some(hint) });
        }
    }
    if !seen.survives_reboot {
        let text = "a reboot during the trial would not be noticed there: the new configuration would stay";
        findings.push(finding(FindingCode::NotPersistent, Severity::Info, text, None));
    }
    let twins: Vec<String> =
        seen.others.iter().filter(|other| other.same_config).map(|other| other.pid.to_string()).collect();
    if !twins.is_empty() {
        let text =
            format!("other sshd that read the same files are not reloaded: process {}", twins.join(", "));
        findings.push(finding(FindingCode::Sshd, Severity::Warn, text, None));
    }
    findings
}

/// Somebody else's change stands in the way.
pub(crate) fn busy(owner: Option<&SshdOwner>, what: &str) -> (String, String) {
    match owner {
        Some(owner) => {
            let since = owner.since.format("%H:%M:%S UTC");
            let text =
                format!("{what} of run {} of {} since {since} stands in the way", owner.run, owner.operator);
            (text, format!("wait for its end, or `pipedown cancel {}`", owner.run))
        }
        None => (format!("{what} stands in the way"), "wait for its end, then resume the run".to_owned()),
    }
}

/// What the canary means to the operator: the host is as it was.
pub(crate) fn canary_failed(account: &str, failure: Failure, host: &HostName) -> Failure {
    let text = format!("{} (through the new configuration; {host} still has the old one)", failure.text);
    let hint = failure.hint.unwrap_or_else(|| format!("with this configuration {account} could not log in"));
    Failure::new(failure.class, text).with_hint(hint)
}

/// A confirm that only the host knows of.
pub(crate) fn by_record(confirmed: &SshdConfirmed) -> Proof {
    let untouched = confirmed.same_listener && confirmed.changed_files.is_empty();
    Proof {
        what: format!("confirmed at {}", confirmed.at.format("%H:%M:%S UTC")),
        evidence: if untouched { Evidence::Reload } else { Evidence::Disk },
        detail: "by the host's own record".to_owned(),
    }
}
