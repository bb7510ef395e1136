//! Alarms: what an operator ought to look at, for as long as there is something to look at.
//!
//! An alarm ends when its cause is gone: a disk that takes the chassis's state again, a run that went through with nothing lost, which has
//! replaced every process and proven every session. What nothing proves ends when the operator clears it.

use std::collections::VecDeque;

use holdfast_proto::v1;

use crate::limits;

/// What an alarm is about, and so what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A process, a run, a schedule, what was found at the start: until a run proves that all is well.
    Operation,
    /// The chassis's state or a report could not be written: until it can be.
    Disk,
}

/// One alarm.
#[derive(Clone, Debug)]
struct Alarm {
    cause: Cause,
    text: String,
    raised_unix_ms: u64,
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
        self.active.push_back(Alarm { cause, text, raised_unix_ms: now_unix_ms });
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
        std::mem::take(&mut self.active).len()
    }

    /// Their texts.
    pub fn texts(&self) -> Vec<String> {
        self.active.iter().map(|alarm| alarm.text.clone()).collect()
    }

    /// As told to others.
    pub fn told(&self) -> Vec<v1::Alarm> {
        let told = |alarm: &Alarm| v1::Alarm { text: alarm.text.clone(), raised_unix_ms: alarm.raised_unix_ms };
        self.active.iter().map(told).collect()
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
    fn the_oldest_make_room() {
        let mut alarms = Alarms::default();
        for number in 0..=limits::ALARMS_MAX {
            alarms.raise(Cause::Operation, number.to_string(), 0);
        }
        assert_eq!((alarms.texts().len(), alarms.texts()[0].as_str()), (limits::ALARMS_MAX, "1"));
    }
}
