//! Recalls against the books: whoever may still hold what its publisher took back is named by the hub, as one that has not confirmed;
//! and nobody is named that could never see it.

use std::collections::BTreeSet;

use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::Standing;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::recall::Holder;

use super::oracle::Oracle;
use super::world::World;

/// What narrower handling took from durable subscriptions: the indicator, and the place of the subscriber.
pub type Taken = BTreeSet<(IndicatorId, usize)>;

impl World<'_> {
    /// Who could see an indicator of the durable subscribers, were their members active: whom narrower handling takes it from.
    pub(super) fn durable_viewers(&self, item: usize) -> BTreeSet<usize> {
        let sees = |at: &usize| {
            self.oracle
                .would_see(self.subscribers[*at].member, &self.oracle.items[item])
        };
        let all = 0..self.subscribers.len();
        all.filter(|at| self.subscribers[*at].books.is_some())
            .filter(sees)
            .collect()
    }

    /// Notes from whom a revision took an indicator back, and forgets those who see it again.
    pub(super) fn note_taken(&mut self, item: usize, before: &BTreeSet<usize>) {
        let (id, after) = (self.oracle.items[item].id, self.durable_viewers(item));
        for at in before.difference(&after) {
            let books = self.subscribers[*at].books.as_ref();
            if books.is_some_and(|books| books.may_hold(id)) {
                self.taken.insert((id, *at));
            }
        }
        self.taken.retain(|(other, at)| *other != id || !after.contains(at));
    }

    /// Each recall names those who, by the books, may still hold the indicator.
    pub(super) fn check_recalls(&mut self) -> Result<(), String> {
        if self.subscribers.iter().all(|subscriber| subscriber.books.is_none()) {
            return Ok(());
        }
        // What may be seen again, or was let go of, is not held against anybody's word.
        let (oracle, subscribers) = (&self.oracle, &self.subscribers);
        self.taken.retain(|(id, at)| {
            let item = oracle.items.iter().find(|item| item.id == *id);
            let books = subscribers[*at].books.as_ref();
            books.is_some_and(|books| books.may_hold(*id))
                && item.is_some_and(|item| !oracle.would_see(subscribers[*at].member, item))
        });
        for item in 0..self.oracle.items.len() {
            let holders = self.holders(item)?;
            self.check_named(item, &holders)?;
            self.check_could_see(item, &holders)?;
        }
        Ok(())
    }

    fn holders(&self, item: usize) -> Result<Vec<Holder>, String> {
        let item = &self.oracle.items[item];
        match self.wait(async |hub| hub.hub().recall(&self.callers[item.owner], item.id).await) {
            Ok(recall) => Ok(recall.holders),
            Err(HubError::Conflict { .. }) if item.state != State::Retracted => Ok(Vec::new()),
            Err(error) => Err(format!("the recall of {} is refused: {error}", item.id)),
        }
    }

    fn check_named(&mut self, item: usize, holders: &[Holder]) -> Result<(), String> {
        let item = &self.oracle.items[item];
        for (at, subscriber) in self.subscribers.iter().enumerate() {
            let Some(books) = subscriber.books.as_ref().filter(|books| books.may_hold(item.id)) else {
                continue;
            };
            let is_own = item.owner == subscriber.member;
            let is_recalled = item.state == State::Retracted || self.taken.contains(&(item.id, at));
            if is_own || !is_recalled || !books.may_hold(item.id) {
                continue;
            }
            self.stage.counts.recalls += 1;
            let named = holders.iter().find(|holder| subscriber.is_named(holder));
            match named {
                None => return Err(format!("subscriber {at} may hold {}, and is not named", item.id)),
                Some(holder) if holder.confirmed_at.is_some() => {
                    return Err(format!("subscriber {at} may hold {}, and counts as confirmed", item.id));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn check_could_see(&self, item: usize, holders: &[Holder]) -> Result<(), String> {
        let item = &self.oracle.items[item];
        for holder in holders {
            let named = self.subscribers.iter().find(|subscriber| subscriber.is_named(holder));
            let named = named.ok_or(format!("an unknown subscription is named for {}", item.id))?;
            if !item.ever.contains(&(named.member, named.wish as u8)) {
                return Err(format!("{holder:?} is named for {}, which it could never see", item.id));
            }
        }
        Ok(())
    }

    /// After everybody has read to the end and said so, only those who may not read any more have anything left to confirm.
    pub(super) fn check_confirmed(&self) -> Result<(), String> {
        for item in 0..self.oracle.items.len() {
            for holder in self
                .holders(item)?
                .iter()
                .filter(|holder| holder.confirmed_at.is_none())
            {
                let named = self.subscribers.iter().find(|subscriber| subscriber.is_named(holder));
                let is_active = |member: usize| self.oracle.members[member].standing == Standing::Active;
                if named.is_some_and(|subscriber| is_active(subscriber.member)) {
                    return Err(format!("{holder:?} has read all, and does not count as confirmed"));
                }
            }
        }
        Ok(())
    }
}

impl Oracle {
    /// Whether a member would see an indicator, were it active.
    pub fn would_see(&self, viewer: usize, item: &super::oracle::Item) -> bool {
        item.owner == viewer || self.is_open_to(viewer, item)
    }
}
