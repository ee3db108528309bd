//! What the hub answers to direct questions, held against the oracle: by id, by search, by look-up.

use std::collections::BTreeSet;

use bytes::Bytes;
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::Standing;
use clearinghouse::domain::observable::Observable;
use clearinghouse::hub::query::MATCHES_MAX;

use super::hub_support::drafts;
use super::oracle::Oracle;
use super::steps::VALUES;
use super::subscriber::filter;
use super::world::World;

impl World<'_> {
    /// Each member asks for each indicator by its id.
    pub(super) fn check_each_indicator(&mut self) -> Result<(), String> {
        for (viewer, caller) in self.callers.iter().enumerate() {
            for item in &self.oracle.items {
                let found = self.wait(async |hub| hub.hub().indicator(caller, item.id).await);
                let found = found
                    .map(|release| (release.body().revision, release.body().state))
                    .ok();
                let due = self.oracle.sees(viewer, item).then_some((item.revision, item.state));
                if found != due {
                    return Err(format!(
                        "member {viewer} gets {found:?} for {}, and must get {due:?}",
                        item.id
                    ));
                }
            }
        }
        self.stage.counts.decisions += (self.callers.len() * self.oracle.items.len()) as u64;
        Ok(())
    }

    /// A search by a subscriber's filter gives what its mirror must hold, in the order of publication, on full pages.
    pub(super) fn check_search(&mut self, at: usize) -> Result<(), String> {
        let subscriber = &self.subscribers[at];
        let wanted = filter(subscriber.wish);
        let mut due = self
            .oracle
            .items
            .iter()
            .filter(|item| self.oracle.sees(subscriber.member, item) && self.oracle.wants(subscriber.wish, item));
        let (mut token, page_items) = (None::<Bytes>, 3);
        loop {
            let page = self.wait(async |hub| {
                let (caller, token) = (&subscriber.caller, token.as_deref());
                hub.hub().search(caller, &wanted, page_items, token).await
            });
            let page = page.map_err(|error| format!("the search was refused: {error}"))?;
            if page.releases.len() != page_items && page.next.is_some() {
                return Err(format!("a page has {} and is not the last", page.releases.len()));
            }
            for release in &page.releases {
                let (found, due) = (release.body().id, due.next().map(|item| item.id));
                if Some(found) != due {
                    return Err(format!("the search finds {found}, and must find {due:?}"));
                }
            }
            match page.next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        match due.next() {
            None => Ok(()),
            Some(missing) => Err(format!("the search ends before {}", missing.id)),
        }
    }

    /// Each member looks up each value.
    pub(super) fn check_lookups(&self) -> Result<(), String> {
        let asked: Vec<_> = VALUES.iter().map(|value| Observable::parse(value).ok()).collect();
        for (viewer, caller) in self.callers.iter().enumerate() {
            let answers = self.wait(async |hub| hub.hub().lookup(caller, &asked).await);
            let answers = answers.map_err(|error| format!("the look-up was refused: {error}"))?;
            for (value, answer) in answers.into_iter().enumerate() {
                let found: BTreeSet<_> = answer.found.iter().map(|(_, release)| release.body().id).collect();
                let items = self.oracle.items.iter();
                let related = items.filter(|item| Oracle::relatives(value).contains(&item.said.value));
                let due: BTreeSet<_> = related
                    .filter(|item| self.oracle.sees(viewer, item))
                    .map(|item| item.id)
                    .collect();
                if found != due || answer.found.len() != due.len() || answer.truncated != (due.len() > MATCHES_MAX) {
                    return Err(format!(
                        "member {viewer} looks up {} and finds {found:?}, not {due:?}",
                        VALUES[value]
                    ));
                }
            }
        }
        Ok(())
    }

    /// Everybody reads to the end; then all views agree.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.check_lookups()?;
        for at in 0..self.subscribers.len() {
            self.subscribers[at].open(self.stage.hub.hub(), 0)?;
            self.read(at, usize::MAX)?;
            // A quiet feed gets a newer cursor with its heartbeat; whoever comes back gets one at once.
            self.subscribers[at].connect(self.stage.hub.hub(), 0)?;
            self.read(at, usize::MAX)?;
            self.subscribers[at].acknowledge(self.stage.hub.hub())?;
            self.stage.counts.decisions += self.oracle.items.len() as u64;
        }
        self.check_recalls()?;
        self.check_confirmed()
    }

    /// Nothing of this history stays visible to members that join later: all is retracted but what expires far ahead of them.
    pub(super) fn clean_up(mut self) {
        let hub = self.stage.hub.hub();
        self.subscribers.drain(..).for_each(|subscriber| subscriber.end(hub));
        let removed = |owner: usize| self.oracle.members[owner].standing == Standing::Removed;
        let mut live = self
            .oracle
            .items
            .iter()
            .filter(|item| matches!(item.state, State::Active | State::Embargoed));
        self.stage.spent |= live.any(|item| removed(item.owner));
        for (owner, caller) in self.callers.iter().enumerate() {
            let items = self.oracle.items.iter().filter(|item| item.owner == owner);
            let ids: Vec<_> = items.map(|item| item.id).collect();
            let standing = self.oracle.members[owner].standing;
            if ids.is_empty() || standing == Standing::Removed {
                continue;
            }
            self.wait(async |hub| {
                hub.set_standing(caller.member, Standing::Active)
                    .await
                    .expect("the member is active");
                let retracted = hub.hub().retract(caller, ids, drafts::text("over"), true).await;
                retracted.expect("all is retracted");
            });
        }
    }
}
