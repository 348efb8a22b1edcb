//! `--at` and `--in` in several zones.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;

use super::*;
use crate::InputError;

/// 2026-11-22 13:00 in Paris, 07:00 in New York.
fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn at(text: &str, zone: ZoneChoice, now: &str) -> Result<String, InputError> {
    let now = now.parse().unwrap();
    let time = WindowTime::parse_at(text, zone, now)?;
    let zone = time.zone().unwrap_or(Tz::America__New_York);
    Ok(show_instant(time.on_host(zone)?, zone))
}

const PARIS: ZoneChoice = ZoneChoice::Controller(Tz::Europe__Paris);
const NEW_YORK: ZoneChoice = ZoneChoice::Named(Tz::America__New_York);
const NOW: &str = "2026-11-22T12:00:00Z";

#[test]
fn times_are_read_in_their_zone() {
    let cases = [
        ("18:00", PARIS, "2026-11-22 18:00 +01:00 (Europe/Paris)"),
        ("18:00:30", PARIS, "2026-11-22 18:00:30 +01:00 (Europe/Paris)"),
        ("7:30", NEW_YORK, "2026-11-22 07:30 -05:00 (America/New_York)"),
        ("2026-12-01T18:00", PARIS, "2026-12-01 18:00 +01:00 (Europe/Paris)"),
        ("2026-12-01 18:00", PARIS, "2026-12-01 18:00 +01:00 (Europe/Paris)"),
        ("2026-12-01T18:00+05:30", PARIS, "2026-12-01 13:30 +01:00 (Europe/Paris)"),
        ("2026-12-01T18:00:00Z", NEW_YORK, "2026-12-01 13:00 -05:00 (America/New_York)"),
        ("2026-12-01T18:00-0800", PARIS, "2026-12-02 03:00 +01:00 (Europe/Paris)"),
        ("now+45m", PARIS, "2026-11-22 13:45 +01:00 (Europe/Paris)"),
        ("now + 1h 30m", PARIS, "2026-11-22 14:30 +01:00 (Europe/Paris)"),
        ("18:00", ZoneChoice::Host, "2026-11-22 18:00 -05:00 (America/New_York)"),
    ];
    for (text, zone, shown) in cases {
        assert_eq!(at(text, zone, NOW).unwrap(), shown, "{text}");
    }
}

#[test]
fn what_is_no_time_or_past_is_shown() {
    let mut cases: Vec<(&str, ZoneChoice, &str)> = [
        "",
        "18",
        "18:60",
        "25:00",
        "1800",
        "18:00pm",
        "2026-13-01T18:00",
        "2026-12-01T18",
        "2026-12-01T18:00+1",
        "2026-12-01T18:00+25:00",
        "now",
        "now+",
        "now+5 parsecs",
        "12:59",
        "13:00",
        "2026-11-21T18:00",
        "2026-11-22T12:00:00Z",
        "2030-01-01T00:00",
        "tomorrow",
    ]
    .map(|text| (text, PARIS, NOW))
    .to_vec();
    cases.push(("06:00", ZoneChoice::Host, NOW));
    let shown: Vec<String> =
        cases.iter().map(|(text, zone, now)| at(text, *zone, now).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn local_times_that_happen_twice_or_never_are_refused_with_both_readings() {
    let new_york = ZoneChoice::Named(Tz::America__New_York);
    let cases = [
        ("02:30", PARIS, "2026-10-24T22:30:00Z"),
        ("2026-10-25T02:30", PARIS, NOW_BEFORE),
        ("2027-03-28T02:30", PARIS, NOW_BEFORE),
        ("2026-11-01T01:30", new_york, NOW_BEFORE),
        ("2027-03-14T02:30", new_york, NOW_BEFORE),
        ("2026-11-01T01:30", ZoneChoice::Host, NOW_BEFORE),
    ];
    let shown: Vec<String> =
        cases.iter().map(|(text, zone, now)| at(text, *zone, now).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

const NOW_BEFORE: &str = "2026-10-01T00:00:00Z";

#[test]
fn a_reading_that_was_offered_is_accepted() {
    for (text, utc) in [
        ("2026-10-25T02:30+02:00", "2026-10-25 02:30 +02:00 (Europe/Paris)"),
        ("2026-10-25T02:30+01:00", "2026-10-25 02:30 +01:00 (Europe/Paris)"),
        ("2027-03-28T03:30+02:00", "2027-03-28 03:30 +02:00 (Europe/Paris)"),
    ] {
        assert_eq!(at(text, PARIS, NOW_BEFORE).unwrap(), utc);
    }
}

#[test]
fn a_span_and_an_offset_are_explicit_and_a_bare_time_is_not() {
    let explicit = |time: WindowTime| time.source().explicit;
    assert!(!explicit(WindowTime::parse_at("18:00", PARIS, noon()).unwrap()));
    assert!(!explicit(WindowTime::parse_at("2026-12-01T18:00", PARIS, noon()).unwrap()));
    assert!(explicit(WindowTime::parse_at("18:00", NEW_YORK, noon()).unwrap()));
    assert!(explicit(WindowTime::parse_at("18:00", ZoneChoice::Host, noon()).unwrap()));
    assert!(explicit(WindowTime::parse_at("2026-12-01T18:00Z", PARIS, noon()).unwrap()));
    let time = WindowTime::parse_in("1h30m", PARIS, noon()).unwrap();
    assert_eq!(time.on_host(Tz::UTC).unwrap(), noon() + Duration::minutes(90));
    assert!(explicit(time));
    for wrong in ["", "-5m", "0s", "soon", "10y"] {
        assert!(WindowTime::parse_in(wrong, PARIS, noon()).is_err(), "{wrong}");
    }
}

#[test]
fn a_bare_time_is_refused_where_it_is_another_instant() {
    let bare = WindowTime::parse_at("18:00", PARIS, noon()).unwrap();
    assert!(bare.check_bare("berlin1", Tz::Europe__Berlin).is_ok());
    let refused = bare.check_bare("ny1.example.net", Tz::America__New_York).unwrap_err();
    insta::assert_snapshot!(refused.render(false));
    let named = WindowTime::parse_at("18:00", NEW_YORK, noon()).unwrap();
    assert!(named.check_bare("paris1", Tz::Europe__Paris).is_ok());
}

#[test]
fn zones_are_found_or_the_nearest_offered() {
    assert_eq!(parse_zone("host").unwrap(), ZoneChoice::Host);
    assert_eq!(parse_zone("Europe/Paris").unwrap(), ZoneChoice::Named(Tz::Europe__Paris));
    let error = parse_zone("Europe/Prais").unwrap_err();
    assert!(error.suggestions()[0].contains("`Europe/Paris`"), "{error:?}");
}

#[test]
fn spans_are_told_to_the_minute() {
    let told = |seconds| remaining(Duration::seconds(seconds));
    for (seconds, words) in [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (89, "1 minute"),
        (90, "2 minutes"),
        (300, "5 minutes"),
        (6300, "1 hour 45 minutes"),
        (7190, "2 hours"),
        (90_000, "1 day 1 hour"),
        (172_800, "2 days"),
    ] {
        assert_eq!(told(seconds), words);
    }
    assert_eq!(relative(noon() + Duration::hours(2), noon()), "in 2 hours");
    assert_eq!(relative(noon(), noon() + Duration::minutes(5)), "5 minutes ago");
    assert_eq!(relative(noon(), noon()), "now");
}

#[test]
fn clocks_add_the_date_on_another_day_of_the_host() {
    let (t, zone) = (noon() + Duration::hours(5), Tz::Europe__Paris);
    assert_eq!(clock(t, noon(), zone), "18:00 CET");
    assert_eq!(clock(t, noon() - Duration::days(1), zone), "18:00 CET on Sunday 22 November 2026");
    // 23:00 in Paris, but 07:00 of the next day in Tokyo.
    assert_eq!(
        clock(noon() + Duration::hours(10), noon(), Tz::Asia__Tokyo),
        "07:00 JST on Monday 23 November 2026"
    );
    assert_eq!(date(t, zone), "Sunday 22 November 2026");
    assert_eq!(signed(t - Duration::minutes(90), t), "T-1h30m");
    assert_eq!(signed(t + Duration::seconds(61), t), "T+1m1s");
    assert_eq!(signed(t, t), "T");
}
