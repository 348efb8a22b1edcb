//! Looking at the sshd that serves us, in one round trip.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pipedown_model::{Operator, RunId, TextId};

use super::{
    OtherSshd, RecentLogin, SshdConfirmed, SshdConnection, SshdEffective, SshdFile, SshdIdentity,
    SshdInclude, SshdListener, SshdOwner, SshdRolledBack, SshdSeen, SshdService, SshdState, SshdTrialPhase,
    SshdTrialSeen, SshdVerdict,
};
use crate::agenda::instant;
use crate::answer::key_value;
use crate::{Call, Looker, StepError, fragment};

const CALL: &str = "sshd-look";
/// A long journal is read for at most 15 s, and `sshd -T` answers at once.
const DEADLINE: Duration = Duration::from_secs(90);

/// Looks at the sshd that serves the connection in hand, and asks for the effective values of `logins`; changes
/// nothing.
///
/// # Errors
/// [`StepError::Host`] when no sshd is found above us, or its files are too large (256 KiB) or gone; what a call
/// can fail with, and [`StepError::Unread`] with the line that has another form than it should.
pub async fn sshd_look(looker: &mut Looker<'_>, logins: &[String]) -> Result<SshdSeen, StepError> {
    let call = Call {
        name: CALL,
        source: fragment::sshd_look(),
        args: logins.to_vec(),
        input: Vec::new(),
        deadline: DEADLINE,
        ledger: None,
    };
    let reply = looker.call(call).await?;
    if reply.timed_out {
        return Err(StepError::TimedOut { call: CALL });
    }
    if reply.truncated {
        return Err(host("read what it says of sshd: it is too much".to_owned()));
    }
    let said = Said::read(&reply.stdout)?;
    if let Some(why) = said.first("refused") {
        return Err(host(refusal(why)));
    }
    if said.first("result").is_none() {
        let stderr = String::from_utf8_lossy(&reply.stderr);
        let last = stderr.lines().last().unwrap_or("without a word").chars().filter(|c| !c.is_control());
        return Err(host(format!("finish {CALL}: status {}, {}", reply.status, last.collect::<String>())));
    }
    said.seen(logins)
}

fn host(text: String) -> StepError {
    StepError::Host { call: CALL, text }
}

fn refusal(why: &str) -> String {
    let (word, rest) = key_value(why);
    match word {
        "no-sshd" => {
            "find the sshd that serves this connection: none of its processes is above ours".to_owned()
        }
        "no-file" => format!("read sshd's configuration: {rest} is not there"),
        "too-large" => "read sshd's configuration: with all it includes it is larger than 256 KiB".to_owned(),
        _ => "look at sshd: only root can".to_owned(),
    }
}

fn unread(line: &str, wanted: &'static str) -> StepError {
    StepError::Unread { call: CALL, line: line.to_owned(), wanted }
}

/// The lines of the fragment, and the files that stood between them.
struct Said {
    lines: Vec<String>,
    files: Vec<SshdFile>,
}

impl Said {
    fn read(mut rest: &[u8]) -> Result<Self, StepError> {
        let mut said = Self { lines: Vec::new(), files: Vec::new() };
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let line: String =
                String::from_utf8_lossy(line).chars().filter(|c| !c.is_control() || *c == '\t').collect();
            if line.starts_with("file ") {
                let (file, after) = read_file(&line, rest)?;
                said.files.push(file);
                rest = after;
            } else if !line.is_empty() {
                said.lines.push(line);
            }
        }
        Ok(said)
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .map(|line| key_value(line))
            .filter(move |(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.lines.iter().map(|line| key_value(line)).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn text(&self, key: &'static str) -> Result<String, StepError> {
        self.first(key).map(str::to_owned).ok_or_else(|| unread(key, "there"))
    }

    fn seen(self, logins: &[String]) -> Result<SshdSeen, StepError> {
        let now =
            self.first("now").and_then(|value| value.parse().ok()).map_or(DateTime::UNIX_EPOCH, instant);
        Ok(SshdSeen {
            binary: self.text("binary")?,
            version: self.first("version").unwrap_or_default().to_owned(),
            service: self.service()?,
            listener: self.first("listener").map(read_listener).transpose()?,
            main: self.text("main")?,
            extra: self.all("word").map(str::to_owned).collect(),
            includes: self.includes()?,
            selinux: self.first("selinux").is_some(),
            instance: self.text("instance")?,
            baseline: verdict(&self.lines),
            connection: self.first("connection").map(read_connection).transpose()?,
            effective: effective(
                &self.lines,
                logins.iter().map(|user| SshdIdentity { user: user.clone(), address: None }),
            ),
            logins: self.logins(),
            sessions: self.first("sessions").and_then(|value| value.parse().ok()).unwrap_or(0),
            others: self.others(),
            state: self.state(),
            survives_reboot: self.first("survives").is_some(),
            service_file: self.service_file(),
            now,
            files: self.files,
        })
    }

    fn service(&self) -> Result<SshdService, StepError> {
        match self.first("kind") {
            Some("service") => Ok(SshdService::Service {
                unit: self.text("unit")?,
                socket: self.first("socket").map(str::to_owned),
            }),
            Some("connection") => Ok(SshdService::PerConnection { unit: self.text("unit")? }),
            Some("process") => Ok(SshdService::Process),
            other => Err(unread(other.unwrap_or("nothing"), "a kind of service")),
        }
    }

    fn service_file(&self) -> String {
        let keys =
            ["kind", "unit", "socket", "raw", "binary", "main", "untitled", "word", "command", "listener"];
        let of = |line: &&String| keys.contains(&key_value(line).0);
        self.lines.iter().filter(of).flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    fn includes(&self) -> Result<Vec<SshdInclude>, StepError> {
        let mut includes: Vec<SshdInclude> = Vec::new();
        for line in &self.lines {
            match (key_value(line), includes.last_mut()) {
                (("include", value), _) => {
                    let (number, pattern) = key_value(value);
                    includes.push(SshdInclude {
                        file: String::new(),
                        line: number.parse().map_err(|_| unread(line, "an Include line"))?,
                        pattern: pattern.to_owned(),
                        matches: Vec::new(),
                    });
                }
                (("from", value), Some(last)) => value.clone_into(&mut last.file),
                (("match", value), Some(last)) => last.matches.push(value.to_owned()),
                _ => {}
            }
        }
        Ok(includes)
    }

    /// Who has logged in: of each user and address the latest, and one without a method only if there is no other.
    fn logins(&self) -> Vec<RecentLogin> {
        let groups: BTreeMap<&str, &str> = self.all("groups").map(key_value).collect();
        let on: Vec<(&str, &str)> = self.all("on").map(key_value).collect();
        let mut logins: Vec<RecentLogin> = Vec::new();
        let mut add = |user: &str, address: &str, method: Option<&str>, at: Option<DateTime<Utc>>| {
            let known = |login: &RecentLogin| {
                login.user == user
                    && login.address.as_deref() == Some(address)
                    && (method.is_none() || login.method.as_deref() == method)
            };
            if logins.iter().any(known) {
                return;
            }
            logins.push(RecentLogin {
                user: user.to_owned(),
                groups: groups
                    .get(user)
                    .map_or_else(Vec::new, |names| names.split(' ').map(str::to_owned).collect()),
                address: Some(address.to_owned()),
                method: method.map(str::to_owned),
                at,
                on: on.contains(&(user, address)),
                locked: self.all("locked").any(|name| name == user),
            });
        };
        for line in self.all("login") {
            let words: Vec<&str> = line.split(' ').collect();
            let [at, method, user, address] = words.as_slice() else { continue };
            let at = at.parse().ok().filter(|at| *at > 0).map(instant);
            add(user, address, Some(*method).filter(|method| *method != "-"), at);
        }
        for (user, address) in &on {
            add(user, address, None, None);
        }
        logins
    }

    fn others(&self) -> Vec<OtherSshd> {
        let read = |value: &str| {
            let (pid, rest) = key_value(value);
            let (same, command) = key_value(rest);
            Some(OtherSshd {
                pid: pid.parse().ok()?,
                command: command.to_owned(),
                same_config: same == "same",
            })
        };
        self.all("other").filter_map(read).collect()
    }

    fn owner(&self, what: &str) -> Option<SshdOwner> {
        let of =
            |key: &str| self.all(what).map(key_value).find(|(name, _)| *name == key).map(|(_, value)| value);
        Some(SshdOwner {
            run: RunId::new(of("run")?).ok()?,
            operator: Operator::parse(of("operator")?),
            since: instant(of("since")?.parse().ok()?),
            reason: of("reason").unwrap_or_default().to_owned(),
        })
    }

    fn state(&self) -> SshdState {
        let of = |what: &'static str, key: &'static str| {
            self.all(what).map(key_value).filter(move |(name, _)| *name == key).map(|(_, value)| value)
        };
        let time = |value: &str| value.parse().ok().map(instant);
        let trial = self.owner("trial").map(|owner| SshdTrialSeen {
            owner,
            phase: match of("trial", "phase").next() {
                Some("armed") => SshdTrialPhase::Armed,
                Some("confirm") => SshdTrialPhase::Confirming,
                _ => SshdTrialPhase::RollingBack,
            },
            left_s: of("trial", "left").next().and_then(|value| value.parse().ok()).unwrap_or(0),
            alive: of("trial", "alive").next().is_some(),
        });
        let confirmed = self.owner("confirmed").map(|owner| SshdConfirmed {
            at: of("confirmed", "at").next().and_then(time).unwrap_or(owner.since),
            owner,
            same_listener: of("confirmed", "listener").next().is_some(),
            changed_files: {
                let mut changed: Vec<String> = of("confirmed", "changed").map(str::to_owned).collect();
                // A file that differs is found by what was proven, and again by what is read now.
                changed.sort();
                changed.dedup();
                changed
            },
            reverts: of("confirmed", "reverts").next().and_then(time),
            alive: of("confirmed", "alive").next().is_some(),
        });
        let began = self.first("last-since").and_then(time);
        let rolled_back = self.first("last").and_then(read_last).map(|last| SshdRolledBack { began, ..last });
        SshdState { trial, confirmed, rolled_back }
    }
}

/// A line `file MODE OWNER BYTES HASH PATH` and the bytes after it, up to their line end.
fn read_file<'a>(line: &str, rest: &'a [u8]) -> Result<(SshdFile, &'a [u8]), StepError> {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let [_, mode, owner, bytes, hash, path] = words.as_slice() else { return Err(unread(line, "a file")) };
    let wrong = || unread(line, "a file as it is");
    let bytes = bytes.parse().map_err(|_| wrong())?;
    let text = rest.get(..bytes).ok_or_else(wrong)?;
    let hash = TextId::parse(hash).map_err(|_| wrong())?;
    if TextId::of(text) != hash {
        return Err(host(format!("read {path}: it is being changed this moment")));
    }
    let file = SshdFile {
        path: (*path).to_owned(),
        mode: u32::from_str_radix(mode, 8).map_err(|_| wrong())?,
        owner: (*owner).to_owned(),
        hash,
        exact: std::str::from_utf8(text).is_ok() && !text.contains(&0),
        text: String::from_utf8_lossy(text).into_owned(),
    };
    Ok((file, rest.get(bytes + 1..).unwrap_or_default()))
}

/// `PID STARTED IMAGE INODE…`
pub(super) fn read_listener(value: &str) -> Result<SshdListener, StepError> {
    let mut words = value.split_whitespace();
    let wrong = || unread(value, "a listener");
    Ok(SshdListener {
        pid: words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?,
        started: words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?,
        image: words.next().ok_or_else(wrong)?.to_owned(),
        inodes: words.filter_map(|word| word.parse().ok()).collect(),
    })
}

fn read_connection(value: &str) -> Result<SshdConnection, StepError> {
    let words: Vec<&str> = value.split(' ').collect();
    let wrong = || unread(value, "a connection");
    let [client, client_port, server, server_port] = words.as_slice() else { return Err(wrong()) };
    Ok(SshdConnection {
        client: (*client).to_owned(),
        client_port: client_port.parse().map_err(|_| wrong())?,
        server: (*server).to_owned(),
        server_port: server_port.parse().map_err(|_| wrong())?,
    })
}

/// `RUN EPOCH BY WHY`
pub(super) fn read_last(value: &str) -> Option<SshdRolledBack> {
    let (run, rest) = key_value(value);
    let (at, rest) = key_value(rest);
    let (by, why) = key_value(rest);
    Some(SshdRolledBack {
        run: RunId::new(run).ok()?,
        at: instant(at.parse().ok()?),
        began: None,
        by: by.to_owned(),
        why: why.to_owned(),
    })
}

/// Lines `baseline ok|bad` and `said TEXT`.
pub(super) fn verdict(lines: &[String]) -> SshdVerdict {
    let said = lines.iter().map(|line| key_value(line)).filter(|(key, _)| *key == "said");
    SshdVerdict {
        ok: lines.iter().any(|line| line == "baseline ok"),
        text: said.map(|(_, text)| text.to_owned()).collect(),
    }
}

/// Lines `eff N KEYWORD VALUE` and `eff-failed N TEXT`.
pub(super) fn effective(
    lines: &[String],
    identities: impl Iterator<Item = SshdIdentity>,
) -> Vec<SshdEffective> {
    let mut effective: Vec<SshdEffective> =
        identities.map(|identity| SshdEffective { identity, values: Vec::new(), error: None }).collect();
    for (key, value) in lines.iter().map(|line| key_value(line)) {
        if !matches!(key, "eff" | "eff-failed") {
            continue;
        }
        let (number, text) = key_value(value);
        let Some(of) = number.parse().ok().and_then(|number: usize| effective.get_mut(number)) else {
            continue;
        };
        if key == "eff" {
            let (keyword, value) = key_value(text);
            of.values.push((keyword.to_owned(), value.to_owned()));
        } else {
            let error = of.error.get_or_insert_default();
            error.push_str(if error.is_empty() { "" } else { "; " });
            error.push_str(text);
        }
    }
    effective
}
