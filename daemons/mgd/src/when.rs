//! Times as operators type them, in Junos' forms: `now`, `+minutes`, `hh:mm`, `yymmddhhmm`.

use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};

/// A moment, before it is known which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At once.
    Now,
    /// In so many minutes.
    Minutes(u32),
    /// The next time that a clock here shows this.
    Clock(civil::Time),
    /// This very minute.
    Date(civil::DateTime),
}

/// Two digits.
fn pair(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl Moment {
    /// `None`: it is none of the forms, or no time that exists.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "now" {
            return Some(Self::Now);
        }
        if let Some(minutes) = text.strip_prefix('+') {
            let digits = !minutes.is_empty() && minutes.bytes().all(|byte| byte.is_ascii_digit());
            return digits.then(|| minutes.parse().ok()).flatten().map(Self::Minutes);
        }
        if let Some((hour, minute)) = text.split_once(':') {
            return civil::Time::new(pair(hour)?, pair(minute)?, 0, 0).ok().map(Self::Clock);
        }
        if text.len() != 10 || !text.is_ascii() {
            return None;
        }
        let at = |place: usize| pair(&text[place..place + 2]);
        let year = 2000 + i16::from(at(0)?);
        civil::DateTime::new(year, at(2)?, at(4)?, at(6)?, at(8)?, 0, 0).ok().map(Self::Date)
    }

    /// Milliseconds since 1970, as seen at `now` in `zone`. `None`: it is past, or further away than times go.
    pub fn unix_ms(self, now_unix_ms: u64, zone: &TimeZone) -> Option<u64> {
        let now = Timestamp::from_millisecond(i64::try_from(now_unix_ms).ok()?).ok()?.to_zoned(zone.clone());
        let moment: Zoned = match self {
            Self::Now => now.clone(),
            Self::Minutes(minutes) => now.checked_add(Span::new().try_minutes(minutes).ok()?).ok()?,
            Self::Date(date) => date.to_zoned(zone.clone()).ok()?,
            Self::Clock(time) => {
                let today = now.date().to_datetime(time).to_zoned(zone.clone()).ok()?;
                if today > now {
                    today
                } else {
                    now.date().tomorrow().ok()?.to_datetime(time).to_zoned(zone.clone()).ok()?
                }
            }
        };
        (moment >= now).then(|| u64::try_from(moment.timestamp().as_millisecond()).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 20:30:15 UTC
    const NOW: u64 = 1_795_725_015_000;

    fn seconds_ahead(text: &str) -> Option<u64> {
        Moment::parse(text)?.unix_ms(NOW, &TimeZone::UTC).map(|at| (at - NOW) / 1000)
    }

    #[test]
    fn every_form_of_a_time() {
        assert_eq!(seconds_ahead("now"), Some(0));
        assert_eq!(seconds_ahead("+15"), Some(900));
        assert_eq!(seconds_ahead("20:31"), Some(45));
        assert_eq!(seconds_ahead("20:30"), Some(24 * 3600 - 15), "past today: tomorrow");
        assert_eq!(seconds_ahead("2611262045"), Some(885));
        assert_eq!(seconds_ahead("2611262030"), None, "past");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "+",
            "+-5",
            "-5",
            "24:00",
            "7:05",
            "07:5",
            "12:61",
            "2613012000",
            "2602302000",
            "26112620450",
            "soon",
            "١٢:٠٠",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
        let distant = Moment::parse("+4294967295").expect("a number of minutes");
        assert!(distant.unix_ms(NOW, &TimeZone::UTC).is_none(), "in the year 10192");
    }

    #[test]
    fn a_clock_time_is_the_machines_own() {
        let zone = TimeZone::fixed(jiff::tz::offset(2)); // 22:30:15 there
        assert_eq!(Moment::parse("22:31").unwrap().unix_ms(NOW, &zone), Some(NOW + 45_000));
    }
}
