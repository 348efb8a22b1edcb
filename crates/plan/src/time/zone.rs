//! Time zones by their IANA names.

use std::ops::Range;

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::diagnostic::{InputError, Source};

/// In which zone a time without offset is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneChoice {
    /// Nobody said: the controller's.
    Controller(Tz),
    /// `--tz NAME`.
    Named(Tz),
    /// `--tz host`: each host's own.
    Host,
}

/// Reads the text of the option `--tz`.
///
/// # Errors
/// When it is neither `host` nor an IANA zone.
pub fn parse_zone(text: &str) -> Result<ZoneChoice, InputError> {
    if text == "host" {
        return Ok(ZoneChoice::Host);
    }
    zone_named(&Source::new("--tz", text), 0..text.len(), text).map(ZoneChoice::Named)
}

/// Finds a zone by its name, or the names nearest to it.
pub(crate) fn zone_named(source: &Source, span: Range<usize>, name: &str) -> Result<Tz, InputError> {
    name.parse().map_err(|_| {
        source
            .error(span, format!("unknown time zone `{name}`"))
            .label("not an IANA time zone, such as Europe/Paris")
            .suggest_among(name, TZ_VARIANTS.iter().map(|zone| zone.name()))
    })
}
