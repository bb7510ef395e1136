use std::time::Duration;

use crate::limits::{FULL_STREAM_MAX, LOOK_AGAIN, WORKING_MAX};

/// Whether a follower keeps up with its primary, judged by what lies unread in the stream, and what the primary adds to it meanwhile.
///
/// A follower does the work of its primary once more. While it works and is behind, the primary goes at its pace: first less is taken
/// in, then less is made for neighbours, so that there is always room for keepalives. One that does not read is not waited for
/// (frozen engines do not, as long as the run that froze them needs them unmoved): the stream fills, and then it is lost.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// What the stream holds at most, in the measure of `unread`.
    room: u64,
    unread: u64,
    looked: Duration,
    /// When the follower was last seen to have read.
    read_at: Option<Duration>,
    full_since: Option<Duration>,
}

impl Pace {
    /// Of a stream that holds `room` at most.
    pub fn new(room: u64) -> Self {
        Self { room, ..Self::default() }
    }

    /// Notes what lies unread before anything more is written.
    pub fn look(&mut self, unread: u64, now: Duration) {
        // What was written since the last note can only hide that something was read: what is gone was read.
        if unread < self.unread {
            self.read_at = Some(now);
        }
        self.unread = unread;
        self.looked = now;
    }

    /// Notes what lies unread after writing, and whether more waits than there was room for.
    pub fn wrote(&mut self, unread: u64, is_full: bool, now: Duration) {
        self.unread = unread;
        self.full_since = is_full.then(|| self.full_since.unwrap_or(now));
    }

    /// Input of neighbours may be taken.
    pub fn admits_intake(&self) -> bool {
        self.admits(self.room / 2)
    }

    /// Routes may be told to neighbours. Messages that keep a session go as long as there is room at all.
    pub fn admits_output(&self) -> bool {
        self.admits(self.room / 4 * 3)
    }

    fn admits(&self, unread_max: u64) -> bool {
        let works = self.read_at.is_some_and(|read_at| self.looked < read_at + WORKING_MAX);
        self.full_since.is_none() && (self.unread <= unread_max || !works)
    }

    /// It stands still, and so does routing: it is to be given up.
    pub fn is_lost(&self, now: Duration) -> bool {
        self.full_since
            .is_some_and(|full_since| now >= self.read_at.unwrap_or_default().max(full_since) + FULL_STREAM_MAX)
    }

    /// When to look again, while something is held back.
    pub fn next_look(&self) -> Option<Duration> {
        (!self.admits_intake()).then_some(self.looked + LOOK_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 1000;
    const MS: Duration = Duration::from_millis(1);

    /// A stream whose follower has read something at `at`, with so much unread since.
    fn behind(unread: u64, at: Duration) -> Pace {
        let mut pace = Pace::new(ROOM);
        pace.wrote(10, false, at);
        pace.look(0, at);
        pace.wrote(unread, false, at);
        pace
    }

    #[test]
    fn of_one_that_works_and_is_behind_less_is_taken_in_first_and_less_told_then() {
        let admitted = |unread| {
            let pace = behind(unread, MS);
            (pace.admits_intake(), pace.admits_output(), pace.next_look().is_some())
        };
        assert_eq!(admitted(500), (true, true, false));
        assert_eq!(admitted(501), (false, true, true));
        assert_eq!(admitted(751), (false, false, true));
    }

    #[test]
    fn however_long_it_takes_one_that_reads_is_not_lost() {
        let mut pace = behind(900, MS);
        let mut now = MS;
        for unread in (600..900).rev() {
            now += WORKING_MAX / 2;
            pace.look(unread, now);
            pace.wrote(unread, true, now);
            assert!(!pace.admits_intake() && !pace.admits_output() && !pace.is_lost(now), "{unread}");
            assert_eq!(pace.next_look(), Some(now + LOOK_AGAIN));
        }
        pace.look(500, now);
        pace.wrote(500, false, now);
        assert!(pace.admits_intake());
    }

    #[test]
    fn one_that_stops_reading_is_not_waited_for_and_lost_once_the_stream_is_full() {
        let mut pace = behind(900, MS);
        let later = MS + WORKING_MAX;
        pace.look(900, later);
        assert!(pace.admits_intake() && pace.next_look().is_none());
        pace.wrote(1000, true, later);
        assert!(!pace.admits_output() && !pace.is_lost(later));
        pace.look(1000, later + FULL_STREAM_MAX / 2);
        pace.wrote(1000, true, later + FULL_STREAM_MAX / 2);
        assert!(pace.is_lost(later + FULL_STREAM_MAX));
    }

    #[test]
    fn a_frozen_engine_that_has_never_read_has_the_whole_stream_for_its_way_back() {
        let mut pace = Pace::new(ROOM);
        pace.wrote(999, false, MS);
        pace.look(999, MS * 2);
        assert!(pace.admits_intake() && pace.admits_output());
    }
}
