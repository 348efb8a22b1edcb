//! The time of a window: what was typed, in which zone, and the instant that it means.

mod local;
mod parse;
mod words;
mod zone;

pub use parse::WindowTime;
pub use zone::{ZoneChoice, parse_zone};

pub use words::show_instant;
pub(crate) use words::{approximate, clock, date, offset_of, relative, remaining, signed};
pub(crate) use zone::zone_named;

#[cfg(test)]
mod tests;
