//! Instants and durations as people read them.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

/// Shows an instant in a zone: `18:00 CET`, with seconds if it has any, with the date if it is not
/// `now`'s day there.
pub fn clock(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> String {
    let local = at.with_timezone(&zone);
    let time = if at.timestamp() % 60 == 0 { "%H:%M" } else { "%H:%M:%S" };
    let format = if local.date_naive() == now.with_timezone(&zone).date_naive() {
        format!("{time} %Z")
    } else {
        format!("%Y-%m-%d {time} %Z")
    };
    local.format(&format).to_string()
}

/// Shows how far away an instant is: `in 3 h 59 min`, `2 min ago`, `now` within a second.
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let away = at - now;
    if away.num_seconds() == 0 {
        "now".into()
    } else if away > TimeDelta::zero() {
        format!("in {}", span(away))
    } else {
        format!("{} ago", span(-away))
    }
}

/// Shows a duration by its two largest units, rounded down: `2 d 3 h`, `3 h 59 min`, `12 min`, `45 s`.
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown: Vec<String> =
            [0, 45, 60, 719, 3_600, 14_399, 86_400, 183_600].map(|s| span(TimeDelta::seconds(s))).into();
        assert_eq!(shown, ["0 s", "45 s", "1 min", "11 min", "1 h", "3 h 59 min", "1 d", "2 d 3 h"]);
    }

    #[test]
    fn an_instant_names_its_zone_and_another_day() {
        let now = at("2026-11-22T13:00:12Z");
        let zone = chrono_tz::Europe::Paris;
        assert_eq!(clock(at("2026-11-22T17:00:00Z"), now, zone), "18:00 CET");
        assert_eq!(clock(at("2026-11-22T17:00:03Z"), now, zone), "18:00:03 CET");
        assert_eq!(clock(at("2026-11-22T23:30:00Z"), now, zone), "2026-11-23 00:30 CET");
        assert_eq!(clock(at("2026-11-22T17:00:00Z"), now, chrono_tz::Asia::Dubai), "21:00 +04");
        assert_eq!(relative(at("2026-11-22T17:00:00Z"), now), "in 3 h 59 min");
        assert_eq!(relative(at("2026-11-22T12:58:00Z"), now), "2 min ago");
        assert_eq!(relative(at("2026-11-22T13:00:12.400Z"), now), "now");
    }
}
