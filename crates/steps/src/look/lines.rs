//! The lines of `look.sh`, each a key and a value, and the facts they make.

use chrono::{DateTime, Utc};
use pipedown_model::{
    FileSeen, HostFacts, Init, LogindState, RunId, ScheduleSeen, Session, SessionClass, TextId,
};

use super::CALL;
use crate::StepError;
use crate::agenda::instant;
use crate::answer::{self, key_value};

/// A file system with less is as good as full, in bytes.
const LEAST_SPACE: u64 = 512 * 1024;
/// And so is one with fewer free inodes.
const LEAST_INODES: u64 = 16;
/// Tools whose absence costs a log line or a check, and no more.
const WANTED: &[&str] = &["logger", "busctl"];

/// What the host said.
pub(super) struct Lines {
    pairs: Vec<(String, String)>,
}

/// What is free in the file system of a folder.
pub(super) struct Space {
    pub(super) folder: String,
    pub(super) bytes: u64,
    pub(super) inodes: Option<u64>,
}

/// The error for a value that has another form than it should.
pub(super) fn unread(line: impl Into<String>, wanted: &'static str) -> StepError {
    StepError::Unread { call: CALL, line: line.into(), wanted }
}

/// Reads `date +%s.%N`; where date knows no %N only the seconds count.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, StepError> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| unread(text, "a time"))?;
    let nanos = if fraction.len() == 9 { fraction.parse().unwrap_or(0) } else { 0 };
    DateTime::from_timestamp(seconds, nanos).ok_or_else(|| unread(text, "a time"))
}

impl Lines {
    /// Splits the lines; without the last one the host has not said everything.
    pub(super) fn read(stdout: &[u8]) -> Result<Self, StepError> {
        let pairs: Vec<_> = answer::lines(stdout)
            .iter()
            .map(|line| {
                let (key, value) = key_value(line);
                (key.to_owned(), value.to_owned())
            })
            .collect();
        match pairs.last() {
            Some((key, value)) if key == "end" && value == "look" => Ok(Self { pairs }),
            last => {
                let line = last.map(|(key, value)| format!("{key} {value}")).unwrap_or_default();
                Err(unread(line, "the end of the look"))
            }
        }
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn first(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.first(key).unwrap_or_default().trim().to_owned()
    }

    pub(super) fn id(&self, key: &str) -> Option<TextId> {
        self.first(key).and_then(|hex| TextId::parse(hex).ok())
    }

    fn needed(&self, key: &'static str, wanted: &'static str) -> Result<&str, StepError> {
        self.first(key).ok_or_else(|| unread(key, wanted))
    }

    /// The host's clock when it was done.
    pub(super) fn done(&self) -> Result<DateTime<Utc>, StepError> {
        time(self.needed("done-at", "the time at the end")?)
    }

    pub(super) fn sshd(&self, option: &str) -> Option<&str> {
        self.all("sshd").map(key_value).find(|(key, _)| *key == option).map(|(_, value)| value)
    }

    pub(super) fn facts(&self) -> Result<HostFacts, StepError> {
        let now = time(self.needed("now", "the host's clock")?)?;
        let logind = self.logind()?;
        Ok(HostFacts {
            now,
            hostname: self.text("hostname"),
            os: self.text("os").trim_matches(['"', '\'']).to_owned(),
            machine_id: self.first("machine").map(str::to_owned),
            boot_id: self.first("boot").filter(|id| is_boot_id(id)).map(str::to_owned),
            zone: self.zone(),
            init: match self.needed("init", "the init system")? {
                "systemd" => Init::Systemd,
                _ => Init::Other,
            },
            logind,
            root: self.needed("root", "a user id")? == "0",
            login_user: self.text("login"),
            sessions: self.sessions()?,
            sessions_unreadable: self.first("people").is_some(),
            nologin: self.file("nologin")?.or(self.file("etc-nologin")?),
            motd: self.file("motd")?,
            window: self.window(now)?,
            schedule: self.schedule(logind)?,
            ended: self.ended().into_iter().map(|(run, _)| run).collect(),
            inhibitors: self.inhibitors(),
            missing_tools: self
                .all("missing")
                .filter(|tool| !WANTED.contains(tool))
                .map(str::to_owned)
                .collect(),
            unwritable: self.unwritable(),
            root_login: self.root_login().to_owned(),
        })
    }

    pub(super) fn wanting_tools(&self) -> Vec<String> {
        self.all("missing").filter(|tool| WANTED.contains(tool)).map(str::to_owned).collect()
    }

    fn logind(&self) -> Result<LogindState, StepError> {
        Ok(match self.needed("logind", "the state of logind")? {
            "running" => LogindState::Running,
            "masked" => LogindState::Masked,
            "silent" => LogindState::Silent,
            "absent" => LogindState::Absent,
            other => return Err(unread(format!("logind {other}"), "a state of logind")),
        })
    }

    /// The zone's name; its offset where the host names none.
    fn zone(&self) -> String {
        let link =
            self.first("localtime").and_then(|link| link.split_once("zoneinfo/")).map(|(_, zone)| zone);
        let named = link.or(self.first("timezone")).map(str::trim).filter(|zone| !zone.is_empty());
        named.map_or_else(|| self.text("offset"), str::to_owned)
    }

    pub(super) fn sessions(&self) -> Result<Vec<Session>, StepError> {
        let mut sessions = Vec::new();
        for line in self.all("person") {
            let mut words = line.splitn(4, ' ');
            let (Some(user), Some(tty), Some(class)) = (words.next(), words.next(), words.next()) else {
                return Err(unread(format!("person {line}"), "a session"));
            };
            sessions.push(Session {
                user: user.to_owned(),
                tty: Some(tty).filter(|tty| *tty != "-").map(str::to_owned),
                class: if class == "terminal" { SessionClass::Terminal } else { SessionClass::Background },
                from: words.next().filter(|from| *from != "-").unwrap_or_default().to_owned(),
            });
        }
        sessions.sort_by(|a, b| (&a.user, &a.tty, &a.from).cmp(&(&b.user, &b.tty, &b.from)));
        Ok(sessions)
    }

    /// The words of the line `file NAME PATH MODE HASH OWNER FIRST LINE`.
    fn file_line(&self, name: &str) -> Option<Vec<&str>> {
        let line = self.all("file").find(|line| key_value(line).0 == name)?;
        Some(line.splitn(6, ' ').collect())
    }

    fn file(&self, name: &'static str) -> Result<Option<FileSeen>, StepError> {
        let Some(words) = self.file_line(name) else { return Ok(None) };
        let wrong = || unread(format!("file {}", words.join(" ")), "a file");
        let [_, path, mode, hash, owner, rest @ ..] = words.as_slice() else { return Err(wrong()) };
        Ok(Some(FileSeen {
            path: (*path).to_owned(),
            sha256: TextId::parse(hash).map_err(|_| wrong())?,
            mode: (*mode).to_owned(),
            ours: matches!(*owner, "ours" | "now"),
            first_line: rest.first().copied().unwrap_or_default().to_owned(),
        }))
    }

    pub(super) fn nologin_by_systemd(&self) -> bool {
        self.nologin_by("systemd")
    }

    pub(super) fn nologin_at_once(&self) -> bool {
        self.nologin_by("now")
    }

    fn nologin_by(&self, owner: &str) -> bool {
        self.file_line("nologin").is_some_and(|words| words.get(4) == Some(&owner))
    }

    pub(super) fn ended(&self) -> Vec<(RunId, String)> {
        self.all("ended")
            .map(key_value)
            .filter_map(|(run, line)| Some((RunId::new(run).ok()?, line.to_owned())))
            .collect()
    }

    fn root_login(&self) -> &'static str {
        match self.sshd("permitrootlogin") {
            Some("yes") => "yes",
            Some("prohibit-password" | "without-password") => "keys",
            Some("no" | "forced-commands-only") => "no",
            _ => "unknown",
        }
    }

    /// What is free in the file systems of the folders that are written.
    pub(super) fn space(&self) -> Vec<Space> {
        let spaces = self.all("space").filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [folder, numbers @ ..] = words.as_slice() else { return None };
            let numbers: Vec<u64> = numbers.iter().filter_map(|word| word.parse().ok()).collect();
            let [blocks, size, inodes, all_inodes] = numbers.as_slice() else { return None };
            Some(Space {
                folder: (*folder).to_owned(),
                bytes: blocks.saturating_mul(*size),
                // Some file systems count none.
                inodes: Some(*inodes).filter(|_| *all_inodes > 0),
            })
        });
        spaces.collect()
    }

    fn unwritable(&self) -> Vec<String> {
        let mut found: Vec<String> = self.all("read-only").map(|path| format!("{path}: read-only")).collect();
        for Space { folder, bytes, inodes } in self.space() {
            if bytes < LEAST_SPACE {
                found.push(format!("{folder}: full ({} KiB left)", bytes / 1024));
            } else if inodes.is_some_and(|inodes| inodes < LEAST_INODES) {
                found.push(format!("{folder}: no inodes left"));
            }
        }
        found
    }

    /// The shutdown that is scheduled, unless the slot is the window's own.
    fn schedule(&self, logind: LogindState) -> Result<Option<ScheduleSeen>, StepError> {
        let found = match (logind, self.first("scheduled")) {
            // (st) "poweroff" 1795456800000000
            (LogindState::Running, Some(property)) => {
                let words: Vec<&str> = property.split(' ').collect();
                let [_, mode, usec] = words.as_slice() else {
                    return Err(unread(property, "a schedule of logind"));
                };
                let mode = mode.trim_matches('"');
                (!mode.is_empty()).then_some(("logind", mode, *usec))
            }
            _ => self.scheduled_file(),
        };
        if let Some((by, mode, usec)) = found {
            if self.first("slot") == Some(usec) {
                return Ok(None);
            }
            let at = usec.parse::<i64>().ok().and_then(DateTime::from_timestamp_micros);
            return Ok(Some(ScheduleSeen { at, mode: mode.to_owned(), by: by.to_owned() }));
        }
        // process 412 1795456800000000, sysvinit's; 0 for a time that it does not tell
        Ok(self.first("schedule").map(|line| {
            let mut words = line.split(' ').skip(1);
            let by = format!("shutdown process {}", words.next().unwrap_or_default());
            let usec = words.next().and_then(|usec| usec.parse::<i64>().ok()).filter(|usec| *usec > 0);
            let at = usec.and_then(DateTime::from_timestamp_micros);
            ScheduleSeen { at, mode: "shutdown".to_owned(), by }
        }))
    }

    /// `/run/systemd/shutdown/scheduled`, for a logind that cannot be asked.
    fn scheduled_file(&self) -> Option<(&'static str, &str, &str)> {
        let value = |key: &str| {
            let found = self.all("scheduled-file").filter_map(|line| line.split_once('='));
            found.filter(|(name, _)| *name == key).map(|(_, value)| value).last()
        };
        let usec = value("USEC")?;
        Some(("/run/systemd/shutdown/scheduled", value("MODE").unwrap_or("shutdown"), usec))
    }

    /// What blocks a shutdown, out of busctl's `a(ssssuu) N "what" "who" "why" "mode" UID PID …`.
    fn inhibitors(&self) -> Vec<String> {
        let Some(line) = self.first("inhibitors") else { return Vec::new() };
        let words = busctl_words(line);
        words
            .get(2..)
            .unwrap_or_default()
            .chunks(6)
            .filter_map(|inhibitor| match inhibitor {
                [what, who, why, mode, _, _]
                    if what.split(':').any(|what| what == "shutdown") && mode.starts_with("block") =>
                {
                    Some(format!("{who}: {why}"))
                }
                _ => None,
            })
            .collect()
    }

    pub(super) fn instant(&self, key: &'static str) -> Result<DateTime<Utc>, StepError> {
        let line = self.needed(key, "a time")?;
        let seconds = key_value(line).0.parse().map_err(|_| unread(format!("{key} {line}"), "a time"))?;
        Ok(instant(seconds))
    }
}

pub(super) fn is_boot_id(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Splits busctl's output at blanks outside of quotes, and takes the quotes away.
fn busctl_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                word.get_or_insert_default().push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inhibitors_that_block_shutdown_are_told_from_the_others() {
        let line = r#"inhibitors a(ssssuu) 2 "shutdown:sleep" "apt \"x\"" "upgrade in progress" "block" 0 12 "sleep" "nm" "y" "delay" 0 3"#;
        let lines = Lines::read(format!("{line}\nend look\n").as_bytes()).unwrap();
        assert_eq!(lines.inhibitors(), ["apt \"x\": upgrade in progress"]);
    }

    #[test]
    fn a_boot_id_must_be_well_formed() {
        assert!(is_boot_id("49ccf498-9f29-4b58-b4f8-33e222841c44"));
        assert!(!is_boot_id("-"));
        assert!(!is_boot_id("49ccf498-9f29-4b58-b4f8-33e222841c4z"));
    }

    #[test]
    fn a_look_that_was_cut_off_is_no_look() {
        assert!(Lines::read(b"now 1.0\n").is_err());
        assert!(Lines::read(b"").is_err());
    }

    #[test]
    fn times_with_and_without_fractions() {
        assert_eq!(time("12.5").unwrap().timestamp_millis(), 12_000);
        assert_eq!(time("12.500000000").unwrap().timestamp_millis(), 12_500);
        assert_eq!(time("12.N").unwrap().timestamp_millis(), 12_000);
        assert_eq!(time("12").unwrap().timestamp(), 12);
        assert!(time("noon").is_err());
    }
}
