//! What sshd says of a candidate, and the candidate for one connection.

use std::time::Duration;

use super::look::{effective, verdict};
use super::{SshdChange, SshdChecked, SshdIdentity, SshdSeen, SshdStaged};
use crate::agenda::clean_text;
use crate::answer::{key_value, outcome};
use crate::sshd::candidate_text::{CandidateText, assemble};
use crate::{Call, Changer, Looker, StepError, fragment, privilege};

const CHECK: &str = "sshd-check";
const STAGE: &str = "sshd-stage";
const DEADLINE: Duration = Duration::from_secs(60);

/// Asks sshd about what would stand if `changes` were made: `sshd -t`, and `sshd -T -C` for each identity. Without
/// changes it is about what stands. Nothing is written on the host, not even to a temporary file.
///
/// # Errors
/// [`StepError::Unsendable`] for changes that cannot be shown that way (two included files, or one that no Include
/// names), and what a call can fail with. A candidate that sshd refuses is no error.
pub async fn sshd_check(
    looker: &mut Looker<'_>,
    seen: &SshdSeen,
    changes: &[SshdChange],
    identities: &[SshdIdentity],
) -> Result<SshdChecked, StepError> {
    let token = token();
    let CandidateText { main, part, part_path } =
        assemble(seen, changes, &token).map_err(|reason| StepError::Unsendable { call: CHECK, reason })?;
    let part = part.map(|part| clean_text(&part)).unwrap_or_default();
    let mut args = vec![
        token.clone(),
        seen.binary.clone(),
        seen.extra.join("\n"),
        part.matches('\n').count().to_string(),
    ];
    args.extend(identities.iter().map(|identity| specs(seen, identity)));
    let call = Call {
        name: CHECK,
        source: fragment::sshd_check(),
        args,
        input: format!("{part}{main}").into_bytes(),
        deadline: DEADLINE,
        ledger: None,
    };
    let reply = looker.call(call).await?;
    let lines: Vec<String> = outcome(CHECK, &reply)?
        .iter()
        .map(|line| line.replace(&token, &part_path).replace("/dev/stdin", &seen.main))
        .collect();
    let effective =
        if verdict(&lines).ok { effective(&lines, identities.iter().cloned()) } else { Vec::new() };
    Ok(SshdChecked { verdict: verdict(&lines), effective })
}

/// A word that stands in no configuration.
fn token() -> String {
    format!("/@{}@", privilege::token())
}

/// The forms of `-C` to try, the fullest first: older ones do not know all that can be said.
fn specs(seen: &SshdSeen, identity: &SshdIdentity) -> String {
    let here = seen.connection.as_ref();
    let address = identity.address.as_deref().or(here.map(|at| at.client.as_str())).unwrap_or("127.0.0.1");
    let spec = format!("user={},host={address},addr={address}", identity.user);
    match here {
        Some(at) => format!("{spec},laddr={},lport={} {spec}", at.server, at.server_port),
        None => spec,
    }
}

/// Puts a candidate on the host's disk, outside of `/etc`, for `sshd -i` on a channel of the connection in hand.
///
/// # Errors
/// [`StepError::Host`] when there is no room for it, and as [`sshd_check`].
pub async fn sshd_stage(
    changer: &mut Changer<'_>,
    seen: &SshdSeen,
    changes: &[SshdChange],
) -> Result<SshdStaged, StepError> {
    let token = token();
    let text =
        assemble(seen, changes, &token).map_err(|reason| StepError::Unsendable { call: STAGE, reason })?;
    let mut archive = String::new();
    super::trial::pack(&mut archive, "main", &clean_text(&text.main));
    super::trial::pack(&mut archive, "part", &clean_text(&text.part.unwrap_or_default()));
    archive.push_str("end\n");
    let call = stage(seen, "put", &token, archive);
    let lines = outcome(STAGE, &changer.call(call).await?)?;
    let candidate = lines.iter().map(|line| key_value(line)).find(|(key, _)| *key == "candidate");
    let Some((_, candidate)) = candidate else {
        return Err(StepError::Unread { call: STAGE, line: lines.join(" "), wanted: "a candidate" });
    };
    let mut command = vec![seen.binary.clone(), "-i".to_owned(), "-f".to_owned(), candidate.to_owned()];
    command.extend(seen.extra.iter().cloned());
    Ok(SshdStaged { command })
}

/// Takes the candidate for one connection away again.
///
/// # Errors
/// What a call can fail with.
pub async fn sshd_unstage(changer: &mut Changer<'_>, seen: &SshdSeen) -> Result<(), StepError> {
    let reply = changer.call(stage(seen, "remove", "-", String::new())).await?;
    outcome(STAGE, &reply).map(|_| ())
}

fn stage(seen: &SshdSeen, what: &str, token: &str, archive: String) -> Call {
    Call {
        name: STAGE,
        source: fragment::sshd_stage(),
        args: vec![seen.instance.clone(), what.to_owned(), token.to_owned()],
        input: archive.into_bytes(),
        deadline: DEADLINE,
        ledger: None,
    }
}
