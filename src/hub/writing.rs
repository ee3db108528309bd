//! One durable write in the making: what is staged for it, and how much of it each member may fill. However much a member hands in,
//! what another hands in waits for a bounded number of its items. It decides nothing about the items themselves.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::domain::id::{IndicatorId, MemberId};
use crate::log::Salted;
use crate::log::entry::Entry;

use super::given::{GivenMap, GivenSet};
use super::queue::{Lane, Queue};
use super::sequencer::{Completion, Decision, Proposal};
use super::staged::{StagedPublications, StagedRequests};
use super::views::storage::Stored;
use super::views::subscriptions::Key;

/// Most entries in one durable write. Who comes while it is written waits for the whole of it, so it lasts some milliseconds; it is
/// long enough that its sync costs each entry next to nothing.
const ENTRIES_PER_WRITE_MAX: usize = 2_048;

/// Bytes of entries after which a durable write takes no more proposals.
const BYTES_PER_WRITE_MAX: usize = 8 << 20;

/// Most items of one member in one durable write, where others publish too. However much it hands in, no more than twice so many of
/// them are in front of what another member hands in: those being written, and those of the next write, which has both.
pub(super) const SHARE_ITEMS_MAX: usize = 64;

/// Bytes of one member's entries in one durable write after which none of its items are added, where others publish too.
const SHARE_BYTES_MAX: usize = 128 << 10;

/// Two members publish at the same time if no more than this lies between them. Somebody who was silent for longer may once wait for a
/// write that is long.
const COMPANY: Duration = Duration::from_secs(60);

/// Entries that are about to be written together, and what later proposals in the same write must know of them. It is made once and
/// used for each write: what holds a thousand entries is more than an allocator keeps at hand.
#[derive(Default)]
pub(super) struct Staged {
    pub entries: Vec<Entry>,
    /// The same, as the log takes them.
    pub salted: Vec<Salted>,
    bytes: usize,
    /// What was published.
    pub publications: StagedPublications,
    /// Request ids used.
    pub requests: StagedRequests,
    /// Indicators revised or retracted.
    pub touched: GivenSet<IndicatorId>,
    /// Subscriptions attached, detached, acknowledged or dropped.
    pub subscriptions: HashSet<Key>,
    /// Indicators taken back, by publisher.
    pub recalled: GivenMap<MemberId, usize>,
    /// What members store besides what the views know.
    pub stored: GivenMap<MemberId, Stored>,
    /// Whether the log's epoch ends with it.
    pub ends_epoch: bool,
    closed: bool,
    room: Room,
}

/// What the proposal that is being asked may still add to the write.
#[derive(Clone, Copy, Default)]
struct Room {
    items: usize,
    bytes: usize,
}

impl Staged {
    /// For a proposal of many items: whether it may decide the next one in this write. At least one it may. Where this is false, it
    /// gives a part, so that other members need not wait for the whole.
    pub fn has_room(&mut self) -> bool {
        let has_room = self.room.items > 0 && self.room.bytes > 0;
        self.room.items -= usize::from(has_room);
        has_room
    }

    /// Adds an entry that is already encoded, salted and hashed: what takes time is done before the sequencer's turn.
    pub fn push_salted(&mut self, entry: Entry, salted: Salted) {
        self.bytes += salted.size_bytes();
        self.room.bytes = self.room.bytes.saturating_sub(salted.size_bytes());
        self.entries.push(entry);
        self.salted.push(salted);
    }

    /// Adds an entry in front of all others.
    pub fn lead_with(&mut self, entry: Entry) {
        let salted = Salted::new(entry.encode());
        self.entries.insert(0, entry);
        self.salted.insert(0, salted);
    }

    /// Forgets everything and keeps the room that it took.
    fn clear(&mut self) {
        let Staged {
            entries,
            salted,
            bytes,
            publications,
            requests,
            touched,
            subscriptions,
            recalled,
            stored,
            ends_epoch,
            closed,
            room,
        } = self;
        entries.clear();
        salted.clear();
        publications.clear();
        requests.clear();
        touched.clear();
        subscriptions.clear();
        recalled.clear();
        stored.clear();
        (*bytes, *ends_epoch, *closed, *room) = (0, false, false, Room::default());
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        let salted = Salted::new(entry.encode());
        self.push_salted(entry, salted);
    }

    /// For proposals that must see the state alone, such as changes of membership: true when nothing is staged, and then nobody
    /// may join them.
    pub fn alone(&mut self) -> bool {
        if self.entries.is_empty() {
            self.closed = true;
        }
        self.closed && self.entries.is_empty()
    }

    /// Whether it takes no more proposals.
    pub fn is_full(&self) -> bool {
        self.closed || self.entries.len() >= ENTRIES_PER_WRITE_MAX || self.bytes >= BYTES_PER_WRITE_MAX
    }
}

/// One durable write in the making.
#[derive(Default)]
pub(super) struct Writing {
    /// What will be written.
    pub staged: Staged,
    /// Run after it was.
    pub completions: Vec<Completion>,
    /// What each lane has added.
    added: GivenMap<Lane, Room>,
}

impl Writing {
    /// Begins the next write.
    pub fn clear(&mut self) {
        let Writing {
            staged,
            completions,
            added,
        } = self;
        staged.clear();
        completions.clear();
        added.clear();
    }

    /// Lets what waits decide, beginning with `first`, until the write is full or nobody waits who may add to it. Gives back what must
    /// see the state after this write, and is to be the first of the next.
    pub fn gather(
        &mut self,
        queue: &Queue<Proposal>,
        company: &mut Company,
        first: (Lane, Proposal),
        mut decide: impl FnMut(&mut Proposal, &mut Staged) -> Decision,
    ) -> Option<(Lane, Proposal)> {
        let mut next = Some(first);
        while let Some((lane, mut proposal)) = next {
            let is_shared = company.is_with(lane) || queue.lanes_waiting() > 1;
            let (decision, has_published) = self.ask(lane, is_shared, |staged| decide(&mut proposal, staged));
            if has_published {
                company.see(lane);
            }
            match decision {
                Decision::Ready(completion) => self.completions.push(completion),
                Decision::Partly(completion) => {
                    self.completions.push(completion);
                    queue.give_back(lane, proposal);
                }
                Decision::AfterOthers => return Some((lane, proposal)),
            }
            if self.staged.is_full() {
                return None;
            }
            next = queue.try_next_of(|lane| self.has_room(lane, is_shared));
        }
        None
    }

    fn has_room(&self, lane: Lane, is_shared: bool) -> bool {
        let room = self.room(lane, is_shared);
        room.items > 0 && room.bytes > 0
    }

    /// Asks a proposal of a lane that has room, and counts what it adds. Says besides whether it is about indicators.
    fn ask<T>(&mut self, lane: Lane, is_shared: bool, proposal: impl FnOnce(&mut Staged) -> T) -> (T, bool) {
        let room = self.room(lane, is_shared);
        let (entries, bytes) = (self.staged.entries.len(), self.staged.bytes);
        self.staged.room = room;
        let decision = proposal(&mut self.staged);
        let added = self.added.entry(lane).or_default();
        // What decides without adding, such as a repetition, takes its time too.
        let decided = room.items - self.staged.room.items;
        let newest = self.staged.entries[entries..].last();
        let has_published = decided > 0 || newest.is_some_and(|entry| entry.indicator_id().is_some());
        added.items += decided.max(self.staged.entries.len() - entries);
        added.bytes += self.staged.bytes - bytes;
        (decision, has_published)
    }

    fn room(&self, lane: Lane, is_shared: bool) -> Room {
        let (items_max, bytes_max) = match is_shared {
            true => (SHARE_ITEMS_MAX, SHARE_BYTES_MAX),
            false => (ENTRIES_PER_WRITE_MAX, BYTES_PER_WRITE_MAX),
        };
        let added = self.added.get(&lane).copied().unwrap_or_default();
        Room {
            items: items_max.saturating_sub(added.items),
            bytes: bytes_max.saturating_sub(added.bytes),
        }
    }
}

/// Whether several members publish. What they do besides, such as admitting one another, is short and changes nothing.
#[derive(Default)]
pub(super) struct Company {
    last: Option<(Lane, Instant)>,
    changed_at: Option<Instant>,
}

impl Company {
    /// A lane has published.
    fn see(&mut self, lane: Lane) {
        let now = Instant::now();
        if self.last.replace((lane, now)).is_some_and(|(last, _)| last != lane) {
            self.changed_at = Some(now);
        }
    }

    /// Whether another than `lane` published a short time ago.
    fn is_with(&self, lane: Lane) -> bool {
        let is_other = self
            .last
            .is_some_and(|(last, at)| last != lane && at.elapsed() < COMPANY);
        is_other || self.changed_at.is_some_and(|at| at.elapsed() < COMPANY)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::domain::handling::{Audience, Handling, Tlp};
    use crate::domain::id::{ObservableId, Timestamp};
    use crate::domain::indicator::{Report, Targets, Text};
    use crate::domain::subscription::SubscriptionName;
    use crate::hub::views::Views;
    use crate::log::entry::Event;

    const FLOODER: Lane = Lane::Member(MemberId(Uuid::from_u128(1)));
    const HONEST: Lane = Lane::Member(MemberId(Uuid::from_u128(2)));

    fn entry() -> Entry {
        Entry {
            at: Timestamp::default(),
            actor: None,
            event: Event::ClockTicked { now: Timestamp(1) },
        }
    }

    /// A proposal of so many items of so many bytes; those that are `repeated` add nothing.
    fn of_items(mut left: usize, bytes: usize, repeated: bool) -> Proposal {
        Box::new(move |_, staged| {
            while left > 0 {
                if !staged.has_room() {
                    return Decision::Partly(Box::new(|_, _| {}));
                }
                left -= 1;
                if !repeated {
                    staged.push_salted(entry(), Salted::new(vec![0; bytes].into()));
                }
            }
            Decision::Ready(Box::new(|_, _| {}))
        })
    }

    /// The next write, by lane: how much each added, and how many proposals were done or had a part in it.
    fn write(queue: &Queue<Proposal>, company: &mut Company) -> Writing {
        let views = Views::default();
        let mut writing = Writing::default();
        let deferred = writing.gather(queue, company, queue.next().unwrap(), |proposal, staged| {
            proposal(&views, staged)
        });
        assert!(deferred.is_none());
        writing
    }

    fn added(writing: &Writing, lane: Lane) -> usize {
        writing.added.get(&lane).map_or(0, |added| added.items)
    }

    #[test]
    fn member_alone_fills_a_write_and_no_more_than_one() {
        let (queue, mut company) = (Queue::new(), Company::default());
        (0..3).for_each(|_| queue.push(FLOODER, of_items(1_000, 400, false)).unwrap());
        assert_eq!(write(&queue, &mut company).staged.entries.len(), ENTRIES_PER_WRITE_MAX);
        assert_eq!(
            write(&queue, &mut company).staged.entries.len(),
            3_000 - ENTRIES_PER_WRITE_MAX
        );
        assert!(queue.try_next().is_none(), "all was decided");
    }

    #[test]
    fn flooder_has_a_share_of_items_in_front_of_another_member_in_this_write_and_in_the_next() {
        for (bytes, repeated) in [(400, false), (0, true)] {
            let (queue, mut company) = (Queue::new(), Company::default());
            queue.push(HONEST, of_items(1, 400, false)).unwrap();
            (0..64).for_each(|_| queue.push(FLOODER, of_items(1_000, bytes, repeated)).unwrap());
            assert_eq!(added(&write(&queue, &mut company), FLOODER), SHARE_ITEMS_MAX);
            // Nobody else waits now, yet the write stays short: the honest member comes while it is under way.
            assert_eq!(added(&write(&queue, &mut company), FLOODER), SHARE_ITEMS_MAX);
            queue.push(HONEST, of_items(1, 400, false)).unwrap();
            let next = write(&queue, &mut company);
            assert_eq!((added(&next, FLOODER), added(&next, HONEST)), (SHARE_ITEMS_MAX, 1));
        }
    }

    #[test]
    fn a_write_knows_nothing_of_the_one_before() {
        let (member, id) = (MemberId(Uuid::from_u128(1)), IndicatorId(Uuid::from_u128(2)));
        let mut writing = Writing::default();
        let Writing {
            staged,
            completions,
            added,
        } = &mut writing;
        staged.push(entry());
        let report = Report {
            campaign: Text::default(),
            attribution: Text::default(),
            ttps: Vec::new(),
            targets: Targets::default(),
            tags: Vec::new(),
            handling: Handling::new(Tlp::Green, Audience::default()).unwrap(),
        };
        let (observable, report) = (ObservableId(Uuid::from_u128(3)), Arc::new(report));
        staged.publications.insert(member, observable, report.clone(), id);
        staged.requests.insert(4, member, "once".into(), (id, 1));
        assert_eq!(staged.publications.find(member, observable, &report), Some(id));
        assert_eq!(staged.requests.find(4, member, "once"), Some((id, 1)));
        staged.touched.insert(id);
        staged.subscriptions.insert(Key {
            member,
            agent: "agent".parse().unwrap(),
            name: SubscriptionName::parse("name", "name").unwrap(),
        });
        staged.recalled.insert(member, 1);
        staged.stored.insert(member, Stored::default());
        staged.closed = true;
        staged.room.items = 1;
        completions.push(Box::new(|_, _| {}));
        added.insert(HONEST, Room::default());
        writing.clear();
        let Writing {
            staged,
            completions,
            added,
        } = &writing;
        assert!(completions.is_empty() && added.is_empty());
        assert!(staged.entries.is_empty() && staged.salted.is_empty() && staged.touched.is_empty());
        assert_eq!(staged.publications.find(member, observable, &report), None);
        assert_eq!(staged.requests.find(4, member, "once"), None);
        assert!(staged.subscriptions.is_empty());
        assert!(staged.recalled.is_empty() && staged.stored.is_empty());
        assert_eq!((staged.bytes, staged.closed, staged.room.items), (0, false, 0));
    }

    #[test]
    fn large_items_count_by_their_bytes() {
        let (queue, mut company) = (Queue::new(), Company::default());
        queue.push(HONEST, of_items(1, 400, false)).unwrap();
        queue
            .push(FLOODER, of_items(1_000, SHARE_BYTES_MAX / 2, false))
            .unwrap();
        assert_eq!(added(&write(&queue, &mut company), FLOODER), 2);
        assert_eq!(added(&write(&queue, &mut company), FLOODER), 2);
    }

    #[test]
    fn member_that_does_not_publish_is_no_company() {
        let (queue, mut company) = (Queue::new(), Company::default());
        let admission: Proposal = Box::new(|_, staged| {
            staged.push(entry());
            Decision::Ready(Box::new(|_, _| {}))
        });
        queue.push(HONEST, admission).unwrap();
        write(&queue, &mut company);
        queue.push(FLOODER, of_items(1_000, 400, false)).unwrap();
        assert_eq!(added(&write(&queue, &mut company), FLOODER), 1_000);
    }

    #[test]
    fn many_members_share_a_write_and_none_is_left_out() {
        let (queue, mut company) = (Queue::new(), Company::default());
        let lanes: Vec<Lane> = (0..100).map(|n| Lane::Member(MemberId(Uuid::from_u128(n)))).collect();
        lanes
            .iter()
            .for_each(|lane| queue.push(*lane, of_items(50, 400, false)).unwrap());
        let (mut writes, mut written) = (0, 0);
        while queue.lanes_waiting() > 0 {
            writes += 1;
            written += write(&queue, &mut company).staged.entries.len();
        }
        assert_eq!((writes, written), (5_000_usize.div_ceil(ENTRIES_PER_WRITE_MAX), 5_000));
    }
}
