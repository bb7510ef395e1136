//! Whose turn it is: a binary heap in which each place can be found and moved, of fixed size.

use std::time::Duration;

const ABSENT: u32 = u32::MAX;

/// The deadline of each place that has one; the nearest is found at once.
#[derive(Clone, Debug)]
pub(super) struct Deadlines {
    /// Places, the nearest first; a parent is never later than its two children.
    heap: Vec<u32>,
    /// Where in the heap a place is.
    position: Vec<u32>,
    deadline: Vec<Duration>,
}

impl Deadlines {
    pub fn new(capacity: usize) -> Deadlines {
        Deadlines {
            heap: Vec::with_capacity(capacity),
            position: vec![ABSENT; capacity],
            deadline: vec![Duration::ZERO; capacity],
        }
    }

    /// The nearest.
    pub fn first(&self) -> Option<(usize, Duration)> {
        let place = *self.heap.first()? as usize;
        Some((place, self.deadline[place]))
    }

    /// The place has this deadline from now on, or none.
    pub fn set(&mut self, place: usize, deadline: Option<Duration>) {
        let at = self.position[place];
        match (at, deadline) {
            (ABSENT, None) => {}
            (ABSENT, Some(deadline)) => {
                self.deadline[place] = deadline;
                self.position[place] = self.heap.len() as u32;
                self.heap.push(place as u32);
                self.rise(self.heap.len() - 1);
            }
            (at, Some(deadline)) => {
                let earlier = deadline < self.deadline[place];
                self.deadline[place] = deadline;
                if earlier { self.rise(at as usize) } else { self.sink(at as usize) }
            }
            (at, None) => self.remove(at as usize),
        }
    }

    fn remove(&mut self, at: usize) {
        let last = self.heap.len() - 1;
        self.swap(at, last);
        if let Some(place) = self.heap.pop() {
            self.position[place as usize] = ABSENT;
        }
        if at < self.heap.len() {
            self.rise(at);
            self.sink(at);
        }
    }

    fn key(&self, at: usize) -> Duration {
        self.deadline[self.heap[at] as usize]
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.position[self.heap[a] as usize] = a as u32;
        self.position[self.heap[b] as usize] = b as u32;
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.key(parent) <= self.key(at) {
                break;
            }
            self.swap(parent, at);
            at = parent;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = (2 * at + 1..=2 * at + 2).filter(|child| *child < self.heap.len());
            let Some(least) = children.min_by_key(|child| self.key(*child)) else { break };
            if self.key(at) <= self.key(least) {
                break;
            }
            self.swap(at, least);
            at = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Compared with a list that is searched.
        #[test]
        fn the_first_is_the_nearest(changes in proptest::collection::vec((0..40usize, proptest::option::of(0..100u64)), 0..200)) {
            let mut deadlines = Deadlines::new(40);
            let mut list = [None; 40];
            for (place, deadline) in changes {
                let deadline = deadline.map(Duration::from_millis);
                deadlines.set(place, deadline);
                list[place] = deadline;
                prop_assert_eq!(deadlines.first().map(|(_, deadline)| deadline), list.iter().flatten().min().copied());
                if let Some((place, deadline)) = deadlines.first() {
                    prop_assert_eq!(list[place], Some(deadline));
                }
            }
        }
    }
}
