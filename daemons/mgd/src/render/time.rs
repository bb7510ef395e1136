//! Times for people.

use jiff::{Timestamp, tz::TimeZone};

/// A wall-clock time in the machine's zone.
pub fn clock(unix_ms: u64) -> String {
    if unix_ms == 0 {
        return "-".to_owned();
    }
    let millis = i64::try_from(unix_ms).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    millis.map_or_else(
        || "-".to_owned(),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}

/// A wall-clock time of the last days, short: `Feb 22 02:37:04`.
pub fn moment(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().filter(|ms| *ms > 0).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_zoned(TimeZone::system()).strftime("%b %d %H:%M:%S").to_string())
}

/// A span as Junos shows it: `12`, `3:05`, `2:03:04`, `1d 2:03`, `2w3d`.
pub fn span(ms: u64) -> String {
    let (s, m, h, d) = (ms / 1000 % 60, ms / 60_000 % 60, ms / 3_600_000 % 24, ms / 86_400_000);
    match (d, h, m) {
        (14.., ..) => format!("{}w{}d", d / 7, d % 7),
        (1.., ..) => format!("{d}d {h}:{m:02}"),
        (0, 1.., _) => format!("{h}:{m:02}:{s:02}"),
        (0, 0, 1..) => format!("{m}:{s:02}"),
        _ => format!("{s}"),
    }
}

/// How long ago something was.
pub fn ago(ms: u64) -> String {
    if ms < 60_000 { format!("{} s ago", ms / 1000) } else { format!("{} ago", span(ms)) }
}

/// A short time: milliseconds below ten seconds, seconds above.
pub fn short(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let shown: Vec<String> = [7_000, 185_000, 7_384_000, 93_780_000, 1_500_000_000].into_iter().map(span).collect();
        assert_eq!(shown, ["7", "3:05", "2:03:04", "1d 2:03", "2w3d"]);
        assert_eq!((ago(7_999), ago(185_000)), ("7 s ago".to_owned(), "3:05 ago".to_owned()));
        assert_eq!((short(12), short(12_340)), ("12 ms".to_owned(), "12.3 s".to_owned()));
        assert_eq!((clock(0), moment(0)), ("-".to_owned(), "-".to_owned()));
        assert!(moment(1_708_569_424_000).starts_with("Feb 2"));
    }
}
