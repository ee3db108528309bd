//! Times on the command line: RFC 3339 in and out, and how long something still lasts, in words. Owns no clock: `now` enters.

use jiff::Timestamp;

/// Reads an RFC 3339 time, or a date, which means its first moment in UTC.
pub fn parse(text: &str) -> Result<prost_types::Timestamp, String> {
    let whole_day = || format!("{text}T00:00:00Z").parse::<Timestamp>();
    match text.parse::<Timestamp>().or_else(|_| whole_day()) {
        Ok(moment) => Ok(to_wire(moment)),
        Err(_) => Err("is no RFC 3339 time, such as 2026-11-03T18:00:00Z".to_owned()),
    }
}

/// RFC 3339 in UTC. A time outside the years 1 to 9999, which only a broken hub sends, becomes nothing.
pub fn text(moment: &prost_types::Timestamp) -> Option<String> {
    from_wire(moment).map(|moment| moment.to_string())
}

/// A moment of the wire.
pub fn from_wire(moment: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(moment.seconds, moment.nanos).ok()
}

/// A moment for the wire.
pub fn to_wire(moment: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: moment.as_second(),
        nanos: moment.subsec_nanosecond(),
    }
}

/// "in 3 days", "2 hours ago", "just now".
pub fn distance(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.as_second() - now.as_second();
    if seconds == 0 {
        return "just now".to_owned();
    }
    let (count, unit) = match seconds.unsigned_abs() {
        s if s >= 2 * 86_400 => (s / 86_400, "days"),
        s if s >= 2 * 3_600 => (s / 3_600, "hours"),
        s if s >= 2 * 60 => (s / 60, "minutes"),
        1 => (1, "second"),
        s => (s, "seconds"),
    };
    match seconds < 0 {
        true => format!("{count} {unit} ago"),
        false => format!("in {count} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_both_ways() {
        for (given, shown) in [
            ("2026-11-03T18:00:00Z", Some("2026-11-03T18:00:00Z")),
            ("2026-11-03T18:00:00+02:00", Some("2026-11-03T16:00:00Z")),
            ("2026-11-03T18:00:00.25Z", Some("2026-11-03T18:00:00.25Z")),
            ("2026-11-03", Some("2026-11-03T00:00:00Z")),
            ("tomorrow", None),
            ("2026-13-03T18:00:00Z", None),
            ("", None),
        ] {
            let read = parse(given).ok().and_then(|moment| text(&moment));
            assert_eq!(read.as_deref(), shown, "{given:?}");
        }
    }

    #[test]
    fn distances_are_in_the_unit_that_a_person_would_choose() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, words) in [
            (0, "just now"),
            (59, "in 59 seconds"),
            (-1, "1 second ago"),
            (7_200, "in 2 hours"),
            (-172_800, "2 days ago"),
            (-180, "3 minutes ago"),
        ] {
            let then = Timestamp::from_second(1_000_000 + seconds).unwrap();
            assert_eq!(distance(now, then), words);
        }
    }
}
