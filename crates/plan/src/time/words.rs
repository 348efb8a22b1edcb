//! Instants and spans of time in words.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use chrono_tz::Tz;

/// Prints an instant with offset and zone: `2026-11-22 18:00 +01:00 (Europe/Paris)`.
pub fn show_instant(instant: DateTime<Utc>, zone: Tz) -> String {
    format!("{} ({zone})", offset_of(instant, zone))
}

/// `2026-11-22 18:00 +01:00`; seconds only when there are some.
pub(crate) fn offset_of(instant: DateTime<Utc>, zone: Tz) -> String {
    let local = instant.with_timezone(&zone);
    let seconds = if instant.timestamp() % 60 == 0 { "" } else { ":%S" };
    local.format(&format!("%Y-%m-%d %H:%M{seconds} %:z")).to_string()
}

/// `18:00 CET`; with the date when that is not the day on which it is read.
pub(crate) fn clock(instant: DateTime<Utc>, read: DateTime<Utc>, zone: Tz) -> String {
    let local = instant.with_timezone(&zone);
    let time = local.format("%H:%M %Z");
    let (day, today) = (local.date_naive(), read.with_timezone(&zone).date_naive());
    if day == today { time.to_string() } else { format!("{time} on {}", day_in_words(day)) }
}

/// `Sunday 22 November 2026`.
pub(crate) fn date(instant: DateTime<Utc>, zone: Tz) -> String {
    day_in_words(instant.with_timezone(&zone).date_naive())
}

fn day_in_words(day: NaiveDate) -> String {
    day.format("%A %-d %B %Y").to_string()
}

/// `in 2 hours`, `now`, `5 minutes ago`.
pub(crate) fn relative(instant: DateTime<Utc>, read: DateTime<Utc>) -> String {
    let away = instant - read;
    if away == Duration::zero() {
        "now".to_owned()
    } else if away > Duration::zero() {
        format!("in {}", remaining(away))
    } else {
        format!("{} ago", remaining(-away))
    }
}

/// `1 hour 45 minutes`, rounded to the minute; `less than a minute` below one.
pub(crate) fn remaining(span: Duration) -> String {
    if span < Duration::minutes(1) {
        return "less than a minute".to_owned();
    }
    let minutes = (span.num_seconds() + 30) / 60;
    let units = [(minutes / 1440, "day"), (minutes / 60 % 24, "hour"), (minutes % 60, "minute")];
    let words: Vec<String> = units
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    words.join(" ")
}

/// `T`, `T-4h`, `T+1h30m`: an instant as playbooks write it.
pub(crate) fn signed(instant: DateTime<Utc>, window: DateTime<Utc>) -> String {
    let away = (instant - window).num_seconds();
    let sign = match away {
        0 => return "T".to_owned(),
        ..0 => '-',
        _ => '+',
    };
    format!("T{sign}{}", approximate(away.unsigned_abs()))
}

/// `1h30m`.
pub(crate) fn approximate(seconds: u64) -> String {
    let units =
        [(seconds / 86_400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let words: String = units.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if words.is_empty() { "0s".to_owned() } else { words }
}
