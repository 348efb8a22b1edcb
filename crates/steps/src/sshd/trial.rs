//! Trying a change: the host's own dead-man is armed before a file moves.

use std::fmt::Write as _;
use std::time::Duration;

use pipedown_model::{Operator, RunId, TextId};

use super::look::read_listener;
use super::{SshdOwner, SshdSeen, SshdTrial, TrialRefusal, TrialReport};
use crate::agenda::{instant, one_line};
use crate::answer::{key_value, lines, outcome};
use crate::{Call, Changer, StepError, fragment};

const CALL: &str = "sshd-trial";
/// Waiting for the lock (20 s), the unit, `sshd -t`, reload (30 s) and takeover (10 s), and as much for putting back.
const DEADLINE: Duration = Duration::from_secs(240);

/// Tries a change: lock, copies, dead-man, files, `sshd -t`, reload, and the listener has taken over. The host refuses
/// files that are not those of `seen`. What fails after a file has moved is put back at once.
///
/// # Errors
/// What a call can fail with: then nobody knows how far it came, and the dead-man, if it was armed, puts back what
/// stood after the time limit.
pub async fn sshd_trial(
    changer: &mut Changer<'_>,
    seen: &SshdSeen,
    trial: &SshdTrial,
) -> Result<TrialReport, StepError> {
    let call = Call {
        name: CALL,
        source: fragment::sshd_trial(),
        args: vec![seen.instance.clone(), trial.confirm_within.as_secs().to_string()],
        input: archive(changer, seen, trial).into_bytes(),
        deadline: DEADLINE,
        // It can be looked at, and its end is the host's own: no need for the ledger.
        ledger: None,
    };
    let reply = changer.call(call).await?;
    if !reply.timed_out {
        let said = lines(&reply.stdout);
        let refusal = said.iter().find_map(|line| line.strip_prefix("refused ")).and_then(refused);
        if let Some(refusal) = refusal {
            return Ok(TrialReport::Refused(refusal));
        }
    }
    read(&outcome(CALL, &reply)?)
}

/// A file of the archive: `file NAME LINES whole|cut`, and its lines.
pub(super) fn pack(archive: &mut String, name: &str, text: &str) {
    let cut = !text.is_empty() && !text.ends_with('\n');
    let count = text.matches('\n').count() + usize::from(cut);
    // Writing to a string cannot fail.
    let _ = writeln!(archive, "file {name} {count} {}", if cut { "cut" } else { "whole" });
    archive.push_str(text);
    if cut {
        archive.push('\n');
    }
}

fn archive(changer: &Changer<'_>, seen: &SshdSeen, trial: &SshdTrial) -> String {
    let name = &changer.name;
    let mut owner = format!(
        "run {}\noperator {}\nreason {}\nsince {}\n",
        name.run,
        one_line(name.operator.as_str()),
        one_line(&name.reason),
        seen.now.timestamp()
    );
    if let Some(keep) = trial.keep_for {
        let _ = writeln!(owner, "keep {}", keep.as_secs());
    }
    let (mut plan, mut archive) = (String::new(), String::new());
    for (index, change) in trial.changes.iter().enumerate() {
        let hash = |text: &str| TextId::of(text.as_bytes()).to_string();
        let new = change.text.as_deref().map_or_else(|| "-".to_owned(), hash);
        let old = seen.files.iter().find(|file| file.path == change.path);
        let old = old.map_or_else(|| "-".to_owned(), |file| file.hash.to_string());
        let _ = writeln!(plan, "{index} {new} {old} {}", change.path);
        if let Some(text) = &change.text {
            pack(&mut archive, &format!("after/{index}"), text);
        }
    }
    let seen_files: String = seen.files.iter().map(|file| format!("{} {}\n", file.hash, file.path)).collect();
    let mut files: Vec<&str> = seen.files.iter().map(|file| file.path.as_str()).collect();
    files.extend(
        trial
            .changes
            .iter()
            .map(|change| change.path.as_str())
            .filter(|path| !seen.files.iter().any(|file| file.path == *path)),
    );
    let removed =
        |path: &&str| trial.changes.iter().any(|change| change.path == *path && change.text.is_none());
    files.retain(|path| !removed(path));
    pack(&mut archive, "files", &files.iter().flat_map(|path| [path, "\n"]).collect::<String>());
    pack(&mut archive, "owner", &owner);
    pack(&mut archive, "plan", &plan);
    pack(&mut archive, "seen", &seen_files);
    pack(&mut archive, "service", &seen.service_file);
    pack(&mut archive, "keeper", fragment::sshd_keeper());
    archive.push_str("end\n");
    archive
}

/// What the host refused, if it is about this change and not about our rights.
pub(super) fn refused(refusal: &str) -> Option<TrialRefusal> {
    let (word, rest) = key_value(refusal);
    Some(match word {
        "busy" => {
            let words: Vec<&str> = rest.splitn(4, ' ').collect();
            let [run, since, operator, what] = words.as_slice() else { return None };
            let owner = RunId::new(run).ok().zip(since.parse().ok()).map(|(run, since)| SshdOwner {
                run,
                operator: Operator::parse(operator),
                since: instant(since),
                reason: String::new(),
            });
            TrialRefusal::Busy { owner, what: (*what).to_owned() }
        }
        "changed" => TrialRefusal::Changed { path: rest.to_owned() },
        "impossible" => TrialRefusal::Impossible { why: rest.to_owned() },
        _ => return None,
    })
}

fn read(lines: &[String]) -> Result<TrialReport, StepError> {
    let all = |key: &'static str| {
        lines.iter().map(|line| key_value(line)).filter(move |(name, _)| *name == key).map(|(_, value)| value)
    };
    if let Some(why) = all("rolled-back").next() {
        return Ok(TrialReport::RolledBack {
            why: why.to_owned(),
            done: all("done").map(str::to_owned).collect(),
        });
    }
    if all("result").next() != Some("running") {
        return Err(StepError::Unread { call: CALL, line: lines.join(" "), wanted: "a result" });
    }
    Ok(TrialReport::Running {
        listener: all("listener").next().map(read_listener).transpose()?,
        left_s: all("left").next().and_then(|value| value.parse().ok()).unwrap_or(0),
        survives_reboot: all("survives").next() == Some("yes"),
        notes: all("note").map(str::to_owned).collect(),
    })
}
