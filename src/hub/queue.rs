//! What waits for the sequencer: a lane for each member, served in turn, so that a member that floods waits behind itself. It knows
//! nothing of what waits in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::domain::id::MemberId;

/// Most proposals that wait; past that a door is told to come back.
pub(super) const WAITING_MAX: usize = 4_096;

/// Most proposals of one lane that wait. The others' share stays free, however many agents one member has.
pub(super) const WAITING_PER_LANE_MAX: usize = 1_024;

/// Who waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Lane {
    /// The hub itself: its clock, its bookkeeping.
    Hub,
    /// A member, all its agents together.
    Member(MemberId),
}

/// Why something was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The lane is full.
    LaneFull,
    /// The queue is full.
    Full,
    /// The queue takes nothing any more.
    Closed,
}

/// The queue.
pub(super) struct Queue<T> {
    lanes: Mutex<Lanes<T>>,
    arrived: Condvar,
}

struct Lanes<T> {
    /// Never empty ones.
    waiting: HashMap<Lane, VecDeque<T>>,
    /// Whose turn is next; each lane that waits, once.
    turns: VecDeque<Lane>,
    count: usize,
    is_closed: bool,
    /// Whether the one reader sleeps: nobody else is to be woken.
    is_reader_asleep: bool,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Queue<T> {
        Queue {
            lanes: Mutex::new(Lanes {
                waiting: HashMap::new(),
                turns: VecDeque::new(),
                count: 0,
                is_closed: false,
                is_reader_asleep: false,
            }),
            arrived: Condvar::new(),
        }
    }

    /// Takes in what a door brings, within the limits.
    pub fn push(&self, lane: Lane, item: T) -> Result<(), Refusal> {
        let lanes = self.lock();
        if lanes.count >= WAITING_MAX {
            return Err(Refusal::Full);
        }
        if lanes
            .waiting
            .get(&lane)
            .is_some_and(|waiting| waiting.len() >= WAITING_PER_LANE_MAX)
        {
            return Err(Refusal::LaneFull);
        }
        self.add(lanes, lane, item)
    }

    /// Takes in what cannot be sent away: the end of something whose number is limited where it begins.
    pub fn push_anyhow(&self, lane: Lane, item: T) -> Result<(), Refusal> {
        self.add(self.lock(), lane, item)
    }

    /// Puts back what was taken and is not done with: it is next in its lane, and the other lanes come first.
    pub fn give_back(&self, lane: Lane, item: T) {
        let mut lanes = self.lock();
        lanes.count += 1;
        let waiting = lanes.waiting.entry(lane).or_default();
        waiting.push_front(item);
        if waiting.len() == 1 {
            lanes.turns.push_back(lane);
        }
    }

    /// What is next and whose it is, in the turn of the lanes; waits for it. None once the queue is closed and empty. For one reader.
    pub fn next(&self) -> Option<(Lane, T)> {
        let mut lanes = self.lock();
        loop {
            if let Some(next) = lanes.take(|_| true) {
                return Some(next);
            }
            if lanes.is_closed {
                return None;
            }
            lanes.is_reader_asleep = true;
            lanes = self.arrived.wait(lanes).unwrap_or_else(PoisonError::into_inner);
            lanes.is_reader_asleep = false;
        }
    }

    /// What is next, if anything waits.
    pub fn try_next(&self) -> Option<T> {
        self.lock().take(|_| true).map(|(_, item)| item)
    }

    /// What is next of the lanes that may be served, if any of those waits. The others keep their turns.
    pub fn try_next_of(&self, may_be_served: impl Fn(Lane) -> bool) -> Option<(Lane, T)> {
        self.lock().take(may_be_served)
    }

    /// How many lanes wait.
    pub fn lanes_waiting(&self) -> usize {
        self.lock().turns.len()
    }

    /// Takes in nothing more. What waits is still served.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_one();
    }

    /// Drops what waits; for a reader that is gone.
    pub fn abandon(&self) {
        let mut lanes = self.lock();
        lanes.is_closed = true;
        let dropped = std::mem::take(&mut lanes.waiting);
        lanes.turns.clear();
        lanes.count = 0;
        drop(lanes);
        // Outside the lock: whoever waited is told by this.
        drop(dropped);
    }

    fn add(&self, mut lanes: MutexGuard<'_, Lanes<T>>, lane: Lane, item: T) -> Result<(), Refusal> {
        if lanes.is_closed {
            return Err(Refusal::Closed);
        }
        let waiting = lanes.waiting.entry(lane).or_default();
        waiting.push_back(item);
        if waiting.len() == 1 {
            lanes.turns.push_back(lane);
        }
        lanes.count += 1;
        let wake = lanes.is_reader_asleep;
        drop(lanes);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<T>> {
        // Nothing under the lock panics.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lanes<T> {
    fn take(&mut self, may_be_served: impl Fn(Lane) -> bool) -> Option<(Lane, T)> {
        let place = self.turns.iter().position(|lane| may_be_served(*lane))?;
        let lane = self.turns.remove(place)?;
        let waiting = self.waiting.get_mut(&lane)?;
        let item = waiting.pop_front();
        match waiting.is_empty() {
            // A lane left behind for each member ever seen would be a slow leak.
            true => drop(self.waiting.remove(&lane)),
            false => self.turns.push_back(lane),
        }
        self.count -= usize::from(item.is_some());
        item.map(|item| (lane, item))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;

    fn lane(n: u128) -> Lane {
        Lane::Member(MemberId(Uuid::from_u128(n)))
    }

    fn drain(queue: &Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.try_next()).collect()
    }

    #[test]
    fn lanes_take_turns_and_each_keeps_its_order() {
        let queue = Queue::new();
        for n in [10, 11, 12, 13] {
            queue.push(lane(1), n).unwrap();
        }
        queue.push(lane(2), 20).unwrap();
        queue.push(Lane::Hub, 0).unwrap();
        queue.push(lane(2), 21).unwrap();
        assert_eq!(queue.lanes_waiting(), 3);
        assert_eq!(drain(&queue), [10, 20, 0, 11, 21, 12, 13]);
        assert!(
            queue.lock().waiting.is_empty(),
            "nothing is kept of those who were served"
        );
    }

    #[test]
    fn what_is_given_back_is_next_in_its_lane_and_after_the_other_lanes() {
        let queue = Queue::new();
        [10, 11].into_iter().for_each(|n| queue.push(lane(1), n).unwrap());
        let (taken_from, taken) = queue.next().unwrap();
        queue.push(lane(2), 20).unwrap();
        queue.give_back(taken_from, taken);
        assert_eq!(queue.lanes_waiting(), 2);
        assert_eq!(queue.try_next_of(|served| served != lane(1)), Some((lane(2), 20)));
        assert_eq!(queue.try_next_of(|served| served != lane(1)), None);
        // The last of a lane comes back to a lane that was forgotten, also where nothing new is taken in.
        queue.close();
        assert_eq!(drain(&queue), [10, 11]);
        queue.give_back(lane(3), 30);
        assert_eq!((queue.next(), queue.next()), (Some((lane(3), 30)), None));
    }

    #[test]
    fn who_fills_its_lane_leaves_room_for_others() {
        let queue = Queue::new();
        let lane_max = u32::try_from(WAITING_PER_LANE_MAX).unwrap();
        (0..lane_max).for_each(|n| queue.push(lane(1), n).unwrap());
        assert_eq!(queue.push(lane(1), 0), Err(Refusal::LaneFull));
        queue.push(lane(2), 0).unwrap();
        for n in 3..7 {
            (0..lane_max).for_each(|item| {
                let _ = queue.push(lane(n), item);
            });
        }
        assert_eq!(queue.push(lane(9), 0), Err(Refusal::Full));
        queue.push_anyhow(Lane::Hub, 0).unwrap();
        assert_eq!(drain(&queue).len(), WAITING_MAX + 1);
        queue.push(lane(1), 0).unwrap();
    }

    #[test]
    fn closed_queue_serves_what_waits_and_takes_nothing_more() {
        let queue = Queue::new();
        queue.push(lane(1), 1).unwrap();
        queue.close();
        assert_eq!(queue.push(lane(1), 2), Err(Refusal::Closed));
        assert_eq!((queue.next(), queue.next()), (Some((lane(1), 1)), None));
        let queue = Queue::new();
        queue.push(lane(1), 1).unwrap();
        queue.abandon();
        assert_eq!((queue.push(lane(1), 2), queue.next()), (Err(Refusal::Closed), None));
    }

    #[test]
    fn sleeping_reader_is_woken_by_what_arrives_and_by_the_close() {
        let queue = Arc::new(Queue::new());
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let reader = std::thread::spawn({
            let queue = queue.clone();
            move || {
                while let Some((_, item)) = queue.next() {
                    tell.send(item).unwrap();
                }
            }
        });
        for n in 0..1_000 {
            queue.push(lane(n), n).unwrap();
            assert_eq!(told.recv().unwrap(), n);
        }
        queue.close();
        reader.join().unwrap();
    }
}
