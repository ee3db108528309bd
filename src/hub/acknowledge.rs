//! Acknowledgements: a subscriber proves by a cursor that it has applied what came before, and thereby confirms recalls. What that comes
//! to is worked out before the sequencer is asked, a stretch at a time: it may take bodies from the disk, and everybody waits for the
//! sequencer.

use crate::domain::member::Role;
use crate::domain::subscription::SubscriptionName;
use crate::log::entry::{Entry, Event};

use super::error::HubError;
use super::sequencer::Verdict;
use super::views::confirmed::stretch;
use super::views::subscriptions::Key;
use super::{Caller, Hub, feed};

/// Recalls towards one subscription that are not confirmed.
#[derive(Clone, Copy, Default)]
pub(super) struct Towards {
    /// In all.
    pub outstanding: u32,
    /// Of them, those that its member may know of.
    pub told: u32,
}

/// What a cursor proves.
struct Proof {
    applied: u32,
    /// How often the subscription had moved on when this was worked out.
    proofs: u32,
    confirms: Towards,
}

impl Hub {
    /// Confirms that everything before a cursor was applied. Gives the number of recalls that this confirmed and that the member may
    /// know of; the log hears of it only if there are any.
    pub async fn acknowledge(&self, caller: &Caller, name: SubscriptionName, cursor: &[u8]) -> Result<u32, HubError> {
        caller.require(Role::Subscriber)?;
        let key = Key {
            member: caller.member,
            agent: caller.agent.clone(),
            name,
        };
        loop {
            let proof = self.prove(&key, cursor).await?;
            // Most acknowledgements confirm nothing, and cost the sequencer nothing.
            if proof.confirms.outstanding == 0 {
                self.shared.streams.settle(&key, proof.applied);
                return Ok(0);
            }
            let told = proof.confirms.told;
            if self.write_proof(caller, &key, proof).await? {
                return Ok(told);
            }
        }
    }

    async fn prove(&self, key: &Key, cursor: &[u8]) -> Result<Proof, HubError> {
        let (applied, proofs) = {
            let views = self.shared.read();
            let subscription = views.subscriptions.find(key);
            let subscription = subscription.ok_or(HubError::NotFound { field: "name" })?;
            let binding = feed::binding(key.member, &subscription.filter);
            let position = self.shared.sealer.open(cursor, &binding);
            let position = position.filter(|position| views.has_been_at(position));
            let position = position.ok_or(HubError::CursorRefused {
                field: "cursor",
                reason: "is not a cursor of this subscription",
            })?;
            (position.proven(), subscription.proofs())
        };
        let settled = self.shared.streams.settled(key);
        Ok(Proof {
            applied,
            proofs,
            confirms: self.recalls_towards(key, (settled, applied)).await?,
        })
    }

    /// Counts the recalls towards a subscription at the touches from `since` on and before `applied`.
    pub(super) async fn recalls_towards(&self, key: &Key, (since, applied): (u32, u32)) -> Result<Towards, HubError> {
        let mut towards = Towards::default();
        let mut next = Some(since);
        while let Some(since) = next {
            let looked = self.consult(|views, bodies| {
                let subscription = views.subscriptions.find(key)?;
                let since = since.max(subscription.applied());
                let (touches, after) = stretch(&views.recalls, (since, applied));
                let others = views.others(bodies);
                let outstanding = others.outstanding(key, subscription, touches.clone()).count();
                let told = others.told(key, subscription, touches).count();
                Some((outstanding as u32, told as u32, after))
            });
            // One that was dropped meanwhile holds nothing that can be confirmed.
            let Some((outstanding, told, after)) = looked.await? else {
                break;
            };
            towards.outstanding += outstanding;
            towards.told += told;
            next = after;
        }
        Ok(towards)
    }

    /// Writes a proof down, unless the subscription has moved on since it was worked out.
    async fn write_proof(&self, caller: &Caller, key: &Key, proof: Proof) -> Result<bool, HubError> {
        let key = key.clone();
        let entry = Entry {
            at: self.now(),
            actor: caller.actor(),
            event: Event::SubscriptionAcknowledged {
                name: key.name.clone(),
                applied: proof.applied,
            },
        };
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if staged.subscriptions.contains(&key) {
                    return Ok(Verdict::AfterOthers);
                }
                let subscription = views.subscriptions.find(&key);
                let subscription = subscription.ok_or(HubError::NotFound { field: "name" })?;
                let is_so_still = subscription.proofs() == proof.proofs;
                if is_so_still {
                    staged.subscriptions.insert(key.clone());
                    staged.push(entry.clone());
                }
                Ok(Verdict::answer(is_so_still))
            })
            .await
    }
}
