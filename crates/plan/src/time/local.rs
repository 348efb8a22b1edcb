//! Local times that happen twice or never.

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::words::show_instant;

/// Why a local time is no instant; both readings are RFC 3339, fit for `--at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotOneInstant {
    pub message: String,
    pub readings: [String; 2],
}

/// The instant of a local time.
pub(super) fn instant(local: NaiveDateTime, zone: Tz) -> Result<DateTime<Utc>, NotOneInstant> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) => Ok(instant.to_utc()),
        LocalResult::Ambiguous(early, late) => Err(NotOneInstant {
            message: format!(
                "{} happens twice in {zone}: the clocks go back",
                local.format("%Y-%m-%d %H:%M")
            ),
            readings: [reading(early.to_utc(), zone), reading(late.to_utc(), zone)],
        }),
        LocalResult::None => {
            // A day away on either side there is no gap any more: those are the two offsets.
            let with = |away: Duration| {
                let offset = zone.offset_from_utc_datetime(&(local + away)).fix();
                (local - Duration::seconds(i64::from(offset.local_minus_utc()))).and_utc()
            };
            Err(NotOneInstant {
                message: format!(
                    "{} does not exist in {zone}: the clocks go forward",
                    local.format("%Y-%m-%d %H:%M")
                ),
                readings: [reading(with(-Duration::days(1)), zone), reading(with(Duration::days(1)), zone)],
            })
        }
    }
}

fn reading(instant: DateTime<Utc>, zone: Tz) -> String {
    let local = instant.with_timezone(&zone);
    format!("--at {} is {}", local.format("%Y-%m-%dT%H:%M%:z"), show_instant(instant, zone))
}
