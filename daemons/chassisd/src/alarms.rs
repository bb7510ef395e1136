//! Alarms: what an operator ought to look at, for as long as there is something to look at.
//!
//! An alarm ends when its cause is gone: a disk that takes the chassis's state again, a run that went through with nothing lost, which has
//! replaced every process and proven every session, a process that does not complain any more. What nothing proves ends when the operator clears it.

use std::collections::VecDeque;

use holdfast_issu::Daemon;
use holdfast_proto::v1;

use crate::limits;

/// What an alarm is about, and so what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A process, a run, a schedule, what was found at the start: until a run proves that all is well.
    Operation,
    /// The chassis's state or a report could not be written: until it can be.
    Disk,
    /// A process of the primary says so itself: until it does not any more.
    Told(Daemon),
}

/// One alarm.
#[derive(Clone, Debug)]
struct Alarm {
    cause: Cause,
    text: String,
    raised_unix_ms: u64,
    /// The operator has seen it, but its cause is there: it is not raised again.
    seen: bool,
}

/// Those that are active, the oldest first.
#[derive(Debug, Default)]
pub struct Alarms {
    active: VecDeque<Alarm>,
}

impl Alarms {
    /// Raises one. A disk that is full says the same again and again: that is one alarm.
    pub fn raise(&mut self, cause: Cause, text: String, now_unix_ms: u64) {
        if cause == Cause::Disk && self.active.iter().any(|alarm| alarm.text == text) {
            return;
        }
        if self.active.len() >= limits::ALARMS_MAX {
            self.active.pop_front();
        }
        self.active.push_back(Alarm { cause, text, raised_unix_ms: now_unix_ms, seen: false });
    }

    /// All that a process has to say at this moment. Returns what is new of it.
    pub fn told_by(&mut self, daemon: Daemon, texts: &[String], now_unix_ms: u64) -> Vec<String> {
        let cause = Cause::Told(daemon);
        self.active.retain(|alarm| alarm.cause != cause || texts.contains(&alarm.text));
        let known = |text: &String| self.active.iter().any(|alarm| alarm.cause == cause && alarm.text == *text);
        let new: Vec<String> =
            texts.iter().take(limits::ALARMS_TOLD_MAX).filter(|text| !known(text)).cloned().collect();
        new.iter().for_each(|text| self.raise(cause, text.clone(), now_unix_ms));
        new
    }

    /// The cause is gone.
    pub fn end(&mut self, cause: Cause) {
        self.active.retain(|alarm| alarm.cause != cause);
    }

    /// The cause of those that were raised before a moment is gone.
    pub fn end_earlier(&mut self, cause: Cause, than_unix_ms: u64) {
        self.active.retain(|alarm| alarm.cause != cause || alarm.raised_unix_ms >= than_unix_ms);
    }

    /// The operator has seen them. How many there were.
    pub fn clear(&mut self) -> usize {
        let cleared = self.unseen().count();
        self.active.retain_mut(|alarm| {
            alarm.seen = true;
            matches!(alarm.cause, Cause::Told(_))
        });
        cleared
    }

    fn unseen(&self) -> impl Iterator<Item = &Alarm> {
        self.active.iter().filter(|alarm| !alarm.seen)
    }

    /// Their texts.
    pub fn texts(&self) -> Vec<String> {
        self.unseen().map(|alarm| alarm.text.clone()).collect()
    }

    /// As told to others.
    pub fn told(&self) -> Vec<v1::Alarm> {
        let told = |alarm: &Alarm| v1::Alarm { text: alarm.text.clone(), raised_unix_ms: alarm.raised_unix_ms };
        self.unseen().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_lives_as_long_as_its_cause() {
        let mut alarms = Alarms::default();
        alarms.raise(Cause::Operation, "re0/rpd ended".into(), 1);
        alarms.raise(Cause::Disk, "cannot be saved".into(), 2);
        alarms.raise(Cause::Disk, "cannot be saved".into(), 3);
        assert_eq!(alarms.told().iter().map(|alarm| alarm.raised_unix_ms).collect::<Vec<_>>(), [1, 2]);
        alarms.end(Cause::Disk);
        assert_eq!(alarms.texts(), ["re0/rpd ended"]);
        alarms.raise(Cause::Operation, "re0/rpd ended".into(), 4);
        assert_eq!(alarms.texts().len(), 2, "a second crash is a second alarm");
        alarms.end_earlier(Cause::Operation, 4);
        assert_eq!(alarms.told().iter().map(|alarm| alarm.raised_unix_ms).collect::<Vec<_>>(), [4]);
        assert_eq!(alarms.clear(), 1);
        assert!(alarms.texts().is_empty());
    }

    #[test]
    fn what_a_process_says_is_an_alarm_while_it_says_so() {
        let mut alarms = Alarms::default();
        let told = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(alarms.told_by(Daemon::Pfed, &told(&["mtu", "address"]), 1), ["mtu", "address"]);
        assert_eq!(alarms.told_by(Daemon::Pfed, &told(&["mtu", "address"]), 2), told(&[]));
        alarms.raise(Cause::Operation, "re0/rpd ended".into(), 3);
        assert_eq!(alarms.told_by(Daemon::Pfed, &told(&["mtu"]), 4), told(&[]));
        assert_eq!(alarms.texts(), ["mtu", "re0/rpd ended"]);
        // Looked at and cleared: it does not come back before it was gone.
        assert_eq!(alarms.clear(), 2);
        assert_eq!(alarms.told_by(Daemon::Pfed, &told(&["mtu"]), 5), told(&[]));
        assert!(alarms.texts().is_empty() && alarms.told().is_empty() && alarms.clear() == 0);
        alarms.told_by(Daemon::Pfed, &[], 6);
        assert_eq!(alarms.told_by(Daemon::Pfed, &told(&["mtu"]), 7), ["mtu"]);
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(alarms.told_by(Daemon::Pfed, &many, 8).len(), limits::ALARMS_TOLD_MAX);
        assert_eq!(alarms.texts().len(), limits::ALARMS_TOLD_MAX, "mtu is over");
    }

    #[test]
    fn the_oldest_make_room() {
        let mut alarms = Alarms::default();
        for number in 0..=limits::ALARMS_MAX {
            alarms.raise(Cause::Operation, number.to_string(), 0);
        }
        assert_eq!((alarms.texts().len(), alarms.texts()[0].as_str()), (limits::ALARMS_MAX, "1"));
    }
}
