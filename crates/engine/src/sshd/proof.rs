//! What the daemon that runs has shown: logins on new connections, and what an idle and a stalled connection see.

use std::time::Duration;

use pipedown_model::{Evidence, Failure, FailureClass, Proof};
use pipedown_steps::sshd::{SshdListener, SshdService};
use tokio::time::{Instant, timeout};

use super::change::{Change, Prepared};
use super::gates;
use super::machine::Machine;
use crate::{Login, WireProof};

/// Accounts, and the key that the canary has shown to open each.
pub(crate) type Keys = Vec<(String, String)>;

/// What the confirm and the way there may take.
const RESERVE: Duration = Duration::from_secs(10);
/// By how much an event on the wire may be late, beyond [`SLOW`]: a busy host is no reason to put its configuration back.
const LATE: Duration = Duration::from_secs(8);
/// OpenSSH 9.2 wakes up a little too early when a client is due, and then asks an interval later only.
const SLOW: u32 = 2;
/// So many questions show that they come again and again.
const QUESTIONS: u32 = 2;

/// Proves, before `ends`, that the new configuration lets everybody in and does what it says.
pub(crate) async fn prove(
    change: &Change<'_>,
    machine: &mut dyn Machine,
    prepared: &Prepared,
    keys: &Keys,
    listener: Option<&SshdListener>,
    ends: Instant,
) -> Result<Vec<Proof>, Failure> {
    let host = &change.host.host;
    let left = |reserve: Duration| ends.saturating_duration_since(Instant::now()).saturating_sub(reserve);
    let mut proofs = Vec::new();
    for (account, key) in keys {
        let ours = *account == change.host.target.user;
        let failure = match timeout(left(RESERVE), enter(machine, account, ours)).await {
            Ok(Ok(())) => {
                let detail = if ours { format!("with {key}; a command runs") } else { format!("with {key}") };
                proofs.push(proof(format!("login as {account}"), Evidence::Wire, detail));
                continue;
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                let text = format!("log in to {host} as {account}: no answer before the trial's time was up");
                Failure::new(FailureClass::Deadline, text)
            }
        };
        let text = format!("{} (on a new connection, with the new configuration)", failure.text);
        let failure = Failure { text, ..failure };
        return Err(banned(machine, prepared, failure).await);
    }
    proofs.push(taken_over(prepared, listener));
    proofs.extend(keepalive(change, machine, prepared, keys, left(RESERVE)).await?);
    let shown = gates::asked(change.spec).into_iter().filter(|(keyword, _)| !is_keepalive(keyword));
    proofs.extend(shown.map(|(keyword, value)| proof(format!("{keyword} {value}"), Evidence::Reload, "")));
    if prepared.seen.sessions > 0 {
        let sessions = prepared.seen.sessions;
        let what = format!("{sessions} {}", if sessions == 1 { "older session" } else { "older sessions" });
        proofs.push(proof(what, Evidence::Unproven, "unchanged until reconnect"));
    }
    Ok(proofs)
}

/// Logs in and out again. Our own account must be able to run a command, too.
async fn enter(machine: &mut dyn Machine, account: &str, ours: bool) -> Result<(), Failure> {
    let mut login = machine.log_in(account).await?;
    let ran = if ours { login.runs().await } else { Ok(()) };
    login.close().await;
    ran
}

fn proof(what: impl Into<String>, evidence: Evidence, detail: impl Into<String>) -> Proof {
    Proof { what: what.into(), evidence, detail: detail.into() }
}

/// A refused login may be a ban: the host is asked over the connection that stands.
async fn banned(machine: &mut dyn Machine, prepared: &Prepared, failure: Failure) -> Failure {
    let Some(connection) = &prepared.seen.connection else { return failure };
    match machine.bans(&connection.client).await {
        Ok(bans) if !bans.is_empty() => Failure {
            text: format!("{}; {} is banned there: {}", failure.text, connection.client, bans.join("; ")),
            hint: Some("lift the ban, and except the controller's address from it".to_owned()),
            ..failure
        },
        Ok(_) | Err(_) => failure,
    }
}

fn taken_over(prepared: &Prepared, listener: Option<&SshdListener>) -> Proof {
    let detail = match (&prepared.seen.service, listener) {
        (SshdService::PerConnection { .. }, _) => "a process for each connection reads the files".to_owned(),
        (SshdService::Service { socket: Some(socket), .. }, Some(listener)) => {
            format!("process {} listens on the sockets of {socket}", listener.pid)
        }
        (_, Some(listener)) => format!("process {} listens on new sockets", listener.pid),
        (_, None) => "seen when the trial began".to_owned(),
    };
    proof("new configuration", Evidence::Reload, detail)
}

fn is_keepalive(keyword: &str) -> bool {
    keyword.eq_ignore_ascii_case("ClientAliveInterval") || keyword.eq_ignore_ascii_case("ClientAliveCountMax")
}

/// What idle connections are to see, and as whom.
struct Idle<'a> {
    account: &'a str,
    interval: u64,
    count: u64,
}

impl<'a> Idle<'a> {
    /// The first account for which the change matters; none if no keepalive is asked for or sent.
    fn of(change: &Change<'_>, prepared: &Prepared, keys: &'a Keys) -> Option<Self> {
        if !gates::keywords(change.spec).iter().any(|keyword| is_keepalive(keyword)) {
            return None;
        }
        let effective = &prepared.checked.effective;
        let idle = keys.iter().filter_map(|(account, _)| {
            let values = &effective.iter().find(|e| e.identity.user == *account)?.values;
            let number = |name: &str| {
                let found = values.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(name));
                found.and_then(|(_, value)| value.parse::<u64>().ok())
            };
            let (interval, count) = (number("clientaliveinterval")?, number("clientalivecountmax")?);
            Some(Self { account, interval, count })
        });
        let mut idle = idle.filter(|idle| idle.interval > 0);
        idle.next()
    }

    fn what(&self) -> String {
        format!("ClientAliveInterval {}", self.interval)
    }

    fn count_what(&self) -> String {
        format!("ClientAliveCountMax {}", self.count)
    }

    /// OpenSSH asks `count` times, and ends the connection when the next question is due.
    fn drops_after(&self) -> u64 {
        self.interval.saturating_mul(self.count.saturating_add(1))
    }
}

async fn keepalive(
    change: &Change<'_>,
    machine: &mut dyn Machine,
    prepared: &Prepared,
    keys: &Keys,
    left: Duration,
) -> Result<Vec<Proof>, Failure> {
    let Some(idle) = Idle::of(change, prepared, keys) else { return Ok(Vec::new()) };
    let limit = match change.wire_proof {
        WireProof::Off => {
            return Ok(unproven(&idle, "--no-wire-proof"));
        }
        WireProof::Within(limit) => limit,
    };
    let counts = Duration::from_secs(idle.interval.saturating_mul(QUESTIONS.into()));
    let longest = |nominal: Duration| nominal.saturating_mul(SLOW).saturating_add(LATE);
    if counts > limit || longest(counts) > left {
        return Ok(unproven(&idle, &too_long(counts, limit)));
    }
    let drops = Duration::from_secs(idle.drops_after());
    let stalls = idle.count > 0 && drops <= limit && longest(drops) <= left;
    let first = open(change, machine, &idle).await?;
    let second = if stalls { Some(open(change, machine, &idle).await?) } else { None };
    let (counted, dropped) =
        tokio::join!(count(&idle, first, longest(counts)), stall(&idle, second, longest(drops)));
    let (counted, dropped) = (counted?, dropped?);
    let stalled = match dropped {
        Some(after) => {
            let detail = format!("a client that stalled was dropped after {after} s");
            proof(idle.count_what(), Evidence::Wire, detail)
        }
        None if idle.count == 0 => proof(idle.count_what(), Evidence::Reload, "no client is dropped"),
        None => proof(idle.count_what(), Evidence::Unproven, too_long(drops, limit)),
    };
    Ok(vec![counted, stalled])
}

fn too_long(needs: Duration, limit: Duration) -> String {
    let (needs, limit) = (needs.as_secs(), limit.as_secs());
    if needs > limit {
        format!("it would take {needs} s, and --wire-proof-limit is {limit} s")
    } else {
        format!("it would take {needs} s or more, and the trial ends before")
    }
}

fn unproven(idle: &Idle<'_>, why: &str) -> Vec<Proof> {
    [idle.what(), idle.count_what()].map(|what| proof(what, Evidence::Unproven, why)).into()
}

async fn open(
    change: &Change<'_>,
    machine: &mut dyn Machine,
    idle: &Idle<'_>,
) -> Result<Box<dyn Login>, Failure> {
    machine.log_in(idle.account).await.map_err(|failure| {
        let host = &change.host.host;
        let text = format!("log in to {host} as {} to wait for keepalives: {}", idle.account, failure.text);
        Failure { text, ..failure }
    })
}

/// Waits, no longer than `limit`, until the server has asked often enough.
async fn count(idle: &Idle<'_>, mut login: Box<dyn Login>, limit: Duration) -> Result<Proof, Failure> {
    let begun = Instant::now();
    let asked = async {
        for seen in 0..QUESTIONS {
            if !login.keepalive().await {
                return Err(seen);
            }
        }
        Ok(())
    };
    let counted = timeout(limit, asked).await;
    let seconds = begun.elapsed().as_secs();
    let what = idle.what();
    let failed = |text: String| Err(Failure::new(FailureClass::ReadBack, format!("see {what}: {text}")));
    match counted {
        Ok(Ok(())) => {
            login.close().await;
            let detail = format!("{QUESTIONS} requests in {seconds} s");
            Ok(proof(what, Evidence::Wire, detail))
        }
        Ok(Err(seen)) => failed(format!("the connection was closed after {seconds} s and {seen} requests")),
        Err(_) => failed(format!("an idle connection was not asked {QUESTIONS} times within {seconds} s")),
    }
}

/// Waits, no longer than `limit`, until the server gives a stalled connection up; after how many seconds.
async fn stall(
    idle: &Idle<'_>,
    login: Option<Box<dyn Login>>,
    limit: Duration,
) -> Result<Option<u64>, Failure> {
    let Some(login) = login else { return Ok(None) };
    let begun = Instant::now();
    match timeout(limit, login.stall()).await {
        Ok(()) => Ok(Some(begun.elapsed().as_secs())),
        Err(_) => {
            let seconds = begun.elapsed().as_secs();
            let text = format!(
                "see {}: a client that stalled was still served after {seconds} s",
                idle.count_what()
            );
            Err(Failure::new(FailureClass::ReadBack, text))
        }
    }
}
