//! `--at` and `--in`.

use chrono::{DateTime, Duration, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use pipedown_model::TimeSource;

use super::local::{self, NotOneInstant};
use super::words::{remaining, show_instant};
use super::zone::ZoneChoice;
use crate::diagnostic::{InputError, Source};

/// Further away than this is a slip of the finger.
const FURTHEST: Duration = Duration::days(366);

/// When the window is: one instant for all hosts, or a local time that each host reads in its own zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowTime {
    source: Source,
    reading: Reading,
    zone: ZoneChoice,
    now: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The text itself says which instant it is.
    Instant(DateTime<Utc>),
    /// A date and a time of day, without offset.
    Local(NaiveDateTime),
    /// A time of day: today's.
    Clock(NaiveTime),
}

impl WindowTime {
    /// Reads the text of the option `--at`: `18:00`, `2026-12-01T18:00`, `2026-12-01T18:00+01:00`,
    /// `now+45m`. Times without offset are read in `zone`.
    ///
    /// # Errors
    /// When it is no time, is past, or is a local time that the clocks show twice or never. (With
    /// [`ZoneChoice::Host`] the last two are found per host, by [`Self::on_host`].)
    pub fn parse_at(text: &str, zone: ZoneChoice, now: DateTime<Utc>) -> Result<Self, InputError> {
        let source = Source::new("--at", text);
        let reading = read(&source, now)?;
        let time = Self { source, reading, zone, now };
        match zone {
            ZoneChoice::Controller(zone) | ZoneChoice::Named(zone) => time.read_in(zone)?,
            ZoneChoice::Host => match reading {
                Reading::Instant(instant) => time.check(instant, Tz::UTC)?,
                Reading::Local(_) | Reading::Clock(_) => now,
            },
        };
        Ok(time)
    }

    /// Reads the text of the option `--in`: `45m`, `1h30m`.
    ///
    /// # Errors
    /// When it is no span of time, or none that ends within a year.
    pub fn parse_in(text: &str, zone: ZoneChoice, now: DateTime<Utc>) -> Result<Self, InputError> {
        let source = Source::new("--in", text);
        let instant = after(&source, 0, now)?;
        let time = Self { source, reading: Reading::Instant(instant), zone, now };
        time.check(instant, Tz::UTC)?;
        Ok(time)
    }

    /// The instant on a host in the given zone.
    ///
    /// # Errors
    /// With `--tz host`: when the local time is past there, or shown twice or never.
    pub fn on_host(&self, host: Tz) -> Result<DateTime<Utc>, InputError> {
        match self.zone {
            ZoneChoice::Controller(zone) | ZoneChoice::Named(zone) => self.read_in(zone),
            ZoneChoice::Host => self.read_in(host),
        }
    }

    /// Refuses a bare local time that would be another instant on a host whose zone is known.
    pub(crate) fn check_bare(&self, host: &str, host_zone: Tz) -> Result<(), InputError> {
        let ZoneChoice::Controller(zone) = self.zone else { return Ok(()) };
        if matches!(self.reading, Reading::Instant(_)) {
            return Ok(());
        }
        let here = self.read_in(zone)?;
        if self.read_in(host_zone).is_ok_and(|there| there == here) {
            return Ok(());
        }
        let text = self.source.text();
        Err(self
            .source
            .error(
                0..text.len(),
                format!("{text} is not the same instant here ({zone}) and on {host} ({host_zone})"),
            )
            .suggest(format!("--tz {zone} means {}", show_instant(here, zone)))
            .suggest("--tz host means each host's own local time"))
    }

    /// The zone in which to print it when no host is concerned.
    pub fn zone(&self) -> Option<Tz> {
        match self.zone {
            ZoneChoice::Controller(zone) | ZoneChoice::Named(zone) => Some(zone),
            ZoneChoice::Host => None,
        }
    }

    /// What the plan records of it.
    pub fn source(&self) -> TimeSource {
        let explicit =
            !matches!(self.zone, ZoneChoice::Controller(_)) || matches!(self.reading, Reading::Instant(_));
        TimeSource {
            given: self.source.text().to_owned(),
            zone: self.zone().map_or_else(|| "host".to_owned(), |zone| zone.name().to_owned()),
            explicit,
        }
    }

    /// Makes an error about the whole of what was typed.
    pub(crate) fn error(&self, message: impl Into<String>) -> InputError {
        self.source.error(0..self.source.text().len(), message)
    }

    fn read_in(&self, zone: Tz) -> Result<DateTime<Utc>, InputError> {
        let local = match self.reading {
            Reading::Instant(instant) => return self.check(instant, zone),
            Reading::Local(local) => local,
            Reading::Clock(clock) => self.now.with_timezone(&zone).date_naive().and_time(clock),
        };
        let instant = local::instant(local, zone).map_err(|NotOneInstant { message, readings }| {
            readings.into_iter().fold(self.error(message), InputError::suggest)
        })?;
        self.check(instant, zone)
    }

    fn check(&self, instant: DateTime<Utc>, zone: Tz) -> Result<DateTime<Utc>, InputError> {
        if instant > self.now + FURTHEST {
            return Err(self.error(format!("{} is more than a year away", show_instant(instant, zone))));
        }
        if instant > self.now {
            return Ok(instant);
        }
        let past = remaining(self.now - instant);
        let error = self.error(format!("{} was {past} ago", show_instant(instant, zone)));
        let Reading::Clock(clock) = self.reading else { return Err(error) };
        let tomorrow = instant.with_timezone(&zone).date_naive() + Duration::days(1);
        Err(error.suggest(format!(
            "a time of day means today; tomorrow {0} is --at {tomorrow}T{0}",
            clock.format("%H:%M")
        )))
    }
}

fn read(source: &Source, now: DateTime<Utc>) -> Result<Reading, InputError> {
    let text = source.text();
    if let Some(rest) = text.strip_prefix("now") {
        let sign = rest.trim_start();
        let Some(span) = sign.strip_prefix('+') else {
            return Err(source
                .error(3..text.len().max(4), "`now` needs a span of time behind it")
                .suggest("write `now+45m`"));
        };
        return after(source, text.len() - span.len(), now).map(Reading::Instant);
    }
    let Some(cut) = text.find(['T', ' ']) else {
        return match text.contains(':') {
            true => clock(source, 0, text).map(Reading::Clock),
            false => Err(unknown(source)),
        };
    };
    let (day, rest) = (text.get(..cut).unwrap_or_default(), text.get(cut + 1..).unwrap_or_default());
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| {
        source.error(0..cut, format!("{day:?} is not a date")).suggest("write it as in 2026-12-01T18:00")
    })?;
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = (rest.get(..zone_at).unwrap_or_default(), rest.get(zone_at..).unwrap_or_default());
    let local = day.and_time(clock(source, cut + 1, time)?);
    if offset.is_empty() {
        return Ok(Reading::Local(local));
    }
    let start = cut + 1 + zone_at;
    let offset = fixed(offset).ok_or_else(|| {
        source
            .error(start..text.len(), format!("{offset:?} is not an offset from UTC"))
            .suggest("write it as in +01:00, or Z for UTC")
    })?;
    let instant = offset.from_local_datetime(&local).single().ok_or_else(|| unknown(source))?;
    Ok(Reading::Instant(instant.to_utc()))
}

fn unknown(source: &Source) -> InputError {
    source
        .error(0..source.text().len(), format!("{:?} is not a time", source.text()))
        .suggest("write 18:00, 2026-12-01T18:00, 2026-12-01T18:00+01:00 or now+45m")
}

/// `HH:MM` or `HH:MM:SS`, at the given place of the source.
fn clock(source: &Source, start: usize, text: &str) -> Result<NaiveTime, InputError> {
    let mut numbers = [0_u32; 3];
    let mut at = start;
    let parts: Vec<&str> = text.split(':').collect();
    let wrong = |at: usize, part: &str, what: String| {
        source.error(at..at + part.len().max(1), what).suggest("write a time of day as 18:00 or 18:00:30")
    };
    if !(2..=3).contains(&parts.len()) {
        return Err(wrong(start, text, format!("{text:?} is not a time of day")));
    }
    for ((number, part), (limit, name)) in
        numbers.iter_mut().zip(&parts).zip([(24, "hour"), (60, "minute"), (60, "second")])
    {
        let two_digits = part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        match part.parse() {
            Ok(value) if two_digits && value < limit => *number = value,
            _ => return Err(wrong(at, part, format!("{part:?} is not the {name} of a day"))),
        }
        at += part.len() + 1;
    }
    let [hour, minute, second] = numbers;
    NaiveTime::from_hms_opt(hour, minute, second)
        .ok_or_else(|| wrong(start, text, format!("{text:?} is not a time of day")))
}

/// `Z`, `+01:00`, `+0100`, `+01`.
fn fixed(text: &str) -> Option<FixedOffset> {
    if text == "Z" {
        return FixedOffset::east_opt(0);
    }
    let digits: String = text.get(1..)?.chars().filter(|c| *c != ':').collect();
    let shape = matches!(text.len(), 3 | 5) || (text.len() == 6 && text.get(3..4) == Some(":"));
    if !shape || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() % 2 == 1 {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Ok(0), str::parse).ok()?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    FixedOffset::east_opt(if text.starts_with('-') { -seconds } else { seconds })
}

/// `now` plus the span of time that begins at a place of the source; whole seconds.
fn after(source: &Source, start: usize, now: DateTime<Utc>) -> Result<DateTime<Utc>, InputError> {
    let text = source.text().get(start..).unwrap_or_default();
    let span = humantime::parse_duration(text.trim()).map_err(|error| {
        source
            .error(
                start..source.text().len().max(start + 1),
                format!("{text:?} is not a span of time: {error}"),
            )
            .suggest("write 45m, 2h or 1h30m")
    })?;
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX).min(FURTHEST.num_seconds() * 2);
    let whole = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    Ok(whole + Duration::seconds(seconds))
}
