//! Durable subscriptions: opening, confirming, listing, dropping. The log has two entries for each connection and one for each
//! confirmation that mattered; everything else about a stream lives in memory and ends with the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::agent::AgentName;
use crate::domain::filter::{Filter, ParsedFilter};
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::member::Role;
use crate::domain::subscription::SubscriptionName;
use crate::log::entry::{Entry, Event};

use super::error::HubError;
use super::feed::{self, Feed};
use super::roster;
use super::sequencer::Verdict;
use super::views::Views;
use super::views::sight::Span;
use super::views::subscriptions::{Key, SubscriptionRecord};
use super::writing::Staged;
use super::{Caller, Hub};

/// Most durable subscriptions of one member, those included that were dropped and may have held something then.
pub const SUBSCRIPTIONS_PER_MEMBER_MAX: usize = 1_024;

/// Why a stream of a durable subscription ends while its client still reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    TakenOver,
    Dropped,
}

impl Ending {
    fn error(self) -> HubError {
        let reason = match self {
            Ending::TakenOver => "was opened by a newer stream, and one at a time is served: this one ends",
            Ending::Dropped => "was dropped: subscribe again to begin anew",
        };
        HubError::Conflict {
            field: "name",
            reason: reason.into(),
        }
    }
}

/// How far a stream has got.
#[derive(Default)]
struct Reach {
    /// What was handed to the client was visible at most at this ordinal; 0 where nothing was.
    sent: u32,
    /// What the client proves with the newest cursor that it was given.
    proven: u32,
    /// No recall before this touch was left to confirm when it was last asked: what is past does not change while the stream is open.
    settled: u32,
    ending: Option<Ending>,
}

/// One open stream of a durable subscription.
struct Stream {
    reach: Mutex<Reach>,
    ended: CancellationToken,
    /// Whether the log has the attachment: else there is nothing to detach.
    is_attached: AtomicBool,
}

impl Stream {
    fn reach(&self) -> MutexGuard<'_, Reach> {
        self.reach.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets nothing more out, and says how far it got.
    fn end(&self, ending: Ending) -> u32 {
        let mut reach = self.reach();
        reach.ending = Some(ending);
        self.ended.cancel();
        reach.sent
    }
}

/// The open streams of durable subscriptions, one for each. Changed by the sequencer alone, so that it and the log agree on who
/// came after whom.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<Key, Arc<Stream>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Stream>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether a stream is open now.
    pub fn is_open(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    fn find(&self, key: &Key) -> Option<Arc<Stream>> {
        self.lock().get(key).cloned()
    }

    /// The touch before which no recall was left to confirm when it was last asked.
    pub fn settled(&self, key: &Key) -> u32 {
        self.find(key).map(|stream| stream.reach().settled).unwrap_or_default()
    }

    /// Remembers that no recall before a touch is left to confirm, where a stream is open.
    pub fn settle(&self, key: &Key, touch: u32) {
        if let Some(stream) = self.find(key) {
            let mut reach = stream.reach();
            reach.settled = reach.settled.max(touch);
        }
    }

    /// Takes the stream out if it is still the newest.
    fn remove(&self, key: &Key, stream: &Arc<Stream>) -> bool {
        let mut streams = self.lock();
        let is_newest = streams.get(key).is_some_and(|newest| Arc::ptr_eq(newest, stream));
        if is_newest {
            streams.remove(key);
        }
        is_newest
    }
}

/// A feed's part in a durable subscription. Dropping it writes the detachment.
pub(super) struct Durable {
    hub: Hub,
    key: Key,
    stream: Arc<Stream>,
    earlier: Vec<Span>,
}

impl Durable {
    /// What earlier streams may have brought since the moment that the cursor proved.
    pub fn earlier(&self) -> &[Span] {
        &self.earlier
    }

    /// Resolves when another stream took over, or the subscription was dropped.
    pub async fn ended(&self) -> HubError {
        self.stream.ended.cancelled().await;
        self.stream.reach().ending.map_or(HubError::ShuttingDown, Ending::error)
    }

    /// To be asked before a batch is handed on: notes how far it reaches, or refuses it.
    pub fn reach(&self, sent: Option<u32>, proven: u32) -> Result<(), HubError> {
        let mut reach = self.stream.reach();
        if let Some(ending) = reach.ending {
            return Err(ending.error());
        }
        reach.sent = reach.sent.max(sent.unwrap_or_default());
        reach.proven = proven;
        Ok(())
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        let (hub, key, stream) = (self.hub.clone(), self.key.clone(), self.stream.clone());
        let at = hub.now();
        let streams = hub.shared.clone();
        hub.sequencer.cast(move |views, staged| {
            if staged.subscriptions.contains(&key) {
                return Verdict::AfterOthers;
            }
            // A newer stream has written this one's end already.
            if streams.streams.remove(&key, &stream) && stream.is_attached.load(Ordering::Acquire) {
                stage_detachment(views, staged, &key, stream.reach().sent, at);
            }
            Verdict::answer(())
        });
    }
}

fn stage_detachment(views: &Views, staged: &mut Staged, key: &Key, sent: u32, at: Timestamp) {
    if !views.subscriptions.find(key).is_some_and(SubscriptionRecord::is_open) {
        return;
    }
    let event = Event::SubscriptionDetached {
        member: key.member,
        agent: key.agent.clone(),
        name: key.name.clone(),
        sent,
    };
    staged.subscriptions.insert(key.clone());
    staged.push(Entry { at, actor: None, event });
}

/// A durable subscription, as its own member and admins may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionCard {
    /// Whose.
    pub member: MemberId,
    /// Which agent's.
    pub agent: AgentName,
    /// Its name within the agent.
    pub name: SubscriptionName,
    /// As an expression.
    pub filter: String,
    /// Whether a stream is open now.
    pub attached: bool,
    /// When a stream was last opened or closed.
    pub changed_at: Timestamp,
    /// Recalls that it has not confirmed.
    pub recalls_open: u32,
    /// Changes behind the head; none for who may not know how many there are.
    pub lag: Option<u32>,
}

impl Hub {
    /// Opens a feed as the stream of a durable subscription, which is made with its first one. Before this returns, the log says
    /// that the agent may receive what is visible to it. A stream that is open ends: after a crash the client is back at once.
    pub async fn subscribe_durable(
        &self,
        caller: &Caller,
        name: SubscriptionName,
        filter: Filter,
        cursor: &[u8],
    ) -> Result<Feed, HubError> {
        self.subscribe_durable_within(caller, name, filter, cursor, feed::Limits::DEFAULT)
            .await
    }

    /// As [`Hub::subscribe_durable`], with other limits; for tests.
    #[doc(hidden)]
    pub async fn subscribe_durable_within(
        &self,
        caller: &Caller,
        name: SubscriptionName,
        filter: Filter,
        cursor: &[u8],
        limits: feed::Limits,
    ) -> Result<Feed, HubError> {
        let filter = filter.canonical()?;
        let filter_text = ParsedFilter {
            filter: filter.clone(),
            publisher_names: Vec::new(),
        }
        .to_string();
        let mut feed = self.subscribe_within(caller, filter, cursor, limits)?;
        let stream = Arc::new(Stream {
            reach: Mutex::default(),
            ended: CancellationToken::new(),
            is_attached: AtomicBool::new(false),
        });
        // Made before the log is asked: should the client go away meanwhile, dropping this writes the detachment.
        let mut durable = Durable {
            hub: self.clone(),
            key: Key {
                member: caller.member,
                agent: caller.agent.clone(),
                name,
            },
            stream: stream.clone(),
            earlier: Vec::new(),
        };
        let (key, shared) = (durable.key.clone(), self.shared.clone());
        let entry = Entry {
            at: self.now(),
            actor: caller.actor(),
            event: Event::SubscriptionAttached {
                name: key.name.clone(),
                filter: filter_text.clone(),
                applied: feed.proven(),
            },
        };
        durable.earlier = self
            .sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if staged.subscriptions.contains(&key) {
                    return Ok(Verdict::AfterOthers);
                }
                roster::active(views, key.member)?;
                check_attachable(views, &key, &filter_text)?;
                if let Some(older) = shared.streams.lock().insert(key.clone(), stream.clone()) {
                    let sent = older.end(Ending::TakenOver);
                    if older.is_attached.load(Ordering::Acquire) {
                        stage_detachment(views, staged, &key, sent, entry.at);
                    }
                }
                staged.subscriptions.insert(key.clone());
                staged.push(entry.clone());
                let (key, stream) = (key.clone(), stream.clone());
                Ok(Verdict::Done(Box::new(move |views| {
                    stream.is_attached.store(true, Ordering::Release);
                    let subscription = views.subscriptions.find(&key);
                    subscription.map(|one| one.earlier().to_vec()).unwrap_or_default()
                })))
            })
            .await?;
        feed.bind(durable);
        Ok(feed)
    }

    /// The durable subscriptions of the caller's member; an admin's are everybody's.
    pub async fn subscriptions(&self, caller: &Caller) -> Result<Vec<SubscriptionCard>, HubError> {
        let is_admin = caller.roles.has(Role::Admin);
        if !is_admin {
            caller.require(Role::Subscriber)?;
        }
        let keys: Vec<Key> = {
            let views = self.shared.read();
            let keys = views.subscriptions.present().map(|(key, _)| key);
            keys.filter(|key| is_admin || key.member == caller.member)
                .cloned()
                .collect()
        };
        let mut cards = Vec::with_capacity(keys.len());
        for key in keys {
            let open = self.recalls_towards(&key, (0, u32::MAX)).await?;
            let open = if is_admin { open.outstanding } else { open.told };
            cards.extend(self.card(&key, open, is_admin));
            tokio::task::yield_now().await;
        }
        Ok(cards)
    }

    fn card(&self, key: &Key, recalls_open: u32, is_admin: bool) -> Option<SubscriptionCard> {
        let views = self.shared.read();
        let subscription = views.subscriptions.find(key)?;
        let stream = self.shared.streams.find(key);
        let reached = stream.as_ref().map(|stream| stream.reach().proven).unwrap_or_default();
        let head = views.indicators.ordinal();
        Some(SubscriptionCard {
            member: key.member,
            agent: key.agent.clone(),
            name: key.name.clone(),
            filter: subscription.filter_text.clone(),
            attached: stream.is_some(),
            changed_at: subscription.changed_at,
            recalls_open,
            lag: is_admin.then(|| head - reached.max(subscription.applied()).min(head)),
        })
    }

    /// Ends a durable subscription of the caller's member, and its stream. Recalls that it has not confirmed stay open for ever.
    pub async fn drop_subscription(
        &self,
        caller: &Caller,
        agent: AgentName,
        name: SubscriptionName,
    ) -> Result<(), HubError> {
        caller.require(Role::Subscriber)?;
        let key = Key {
            member: caller.member,
            agent,
            name,
        };
        let (at, actor, shared) = (self.now(), caller.actor(), self.shared.clone());
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if staged.subscriptions.contains(&key) {
                    return Ok(Verdict::AfterOthers);
                }
                if views.subscriptions.find(&key).is_none() {
                    return Err(HubError::NotFound { field: "name" });
                }
                if let Some(stream) = shared.streams.lock().remove(&key) {
                    stage_detachment(views, staged, &key, stream.end(Ending::Dropped), at);
                }
                staged.subscriptions.insert(key.clone());
                staged.push(Entry {
                    at,
                    actor: actor.clone(),
                    event: Event::SubscriptionDropped {
                        member: key.member,
                        agent: key.agent.clone(),
                        name: key.name.clone(),
                    },
                });
                Ok(Verdict::answer(()))
            })
            .await
    }

    /// Writes the end of the streams that a crash left open. To be called once, before the first one is opened.
    pub(super) fn detach_crashed(&self) {
        let at = self.now();
        self.sequencer.cast(move |views, staged| {
            let open = views.subscriptions.present().filter(|(_, one)| one.is_open());
            let keys: Vec<Key> = open.map(|(key, _)| key.clone()).collect();
            let head = views.indicators.ordinal();
            keys.iter()
                .for_each(|key| stage_detachment(views, staged, key, head, at));
            Verdict::answer(())
        });
    }
}

fn check_attachable(views: &Views, key: &Key, filter_text: &str) -> Result<(), HubError> {
    match views.subscriptions.find(key) {
        Some(subscription) if subscription.filter_text == filter_text => Ok(()),
        Some(subscription) => {
            let reason = format!(
                "is not that of the subscription {}, which is {:?}: drop it first, or take another name",
                key.name, subscription.filter_text
            );
            Err(HubError::Conflict {
                field: "filter",
                reason,
            })
        }
        None if views.subscriptions.count_of(key.member) >= SUBSCRIPTIONS_PER_MEMBER_MAX => Err(HubError::Exhausted {
            reason: "the member has as many durable subscriptions as are kept, dropped ones included",
            retry_after: Duration::from_secs(3_600),
        }),
        None => Ok(()),
    }
}
