//! Times relative to the window: `T-4h`, `T`, `T+5m`, `now`.

use chrono::{DateTime, Duration, Utc};

/// A time as a playbook writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// When the plan is compiled.
    Now,
    /// So many seconds after T.
    Window(i64),
}

impl Moment {
    /// Reads a time, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Now);
        }
        let wrong = || format!("{text:?} is not a time within a window");
        let rest = text.strip_prefix('T').ok_or_else(wrong)?.trim_start();
        if rest.is_empty() {
            return Ok(Self::Window(0));
        }
        let (sign, span) = match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
            (Some(span), _) => (-1, span),
            (_, Some(span)) => (1, span),
            _ => return Err(wrong()),
        };
        Ok(Self::Window(sign * seconds(span)?))
    }

    /// The instant, which may be past.
    pub fn at(self, window: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Now => now,
            Self::Window(seconds) => window + Duration::seconds(seconds),
        }
    }
}

/// A span of time in whole seconds, at most a year.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let span = humantime::parse_duration(text.trim())
        .map_err(|error| format!("{:?} is not a span of time: {error}", text.trim()))?;
    i64::try_from(span.as_secs())
        .ok()
        .filter(|seconds| *seconds <= 366 * 86_400)
        .ok_or_else(|| format!("{:?} is more than a year", text.trim()))
}
