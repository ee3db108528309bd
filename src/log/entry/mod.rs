//! What an entry means: events of the domain to stored bytes and back. The stored format has protos of its own
//! (`proto/clearinghouse/storage/v1`), so that a change of the wire API never rewrites history. Nothing here touches a disk.

mod erasure;
mod fields;
mod indicator;
mod publications;
mod roster;
mod sharing;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::domain::agent::AgentName;
use crate::domain::assessment::Assessment;
use crate::domain::id::{ChangeId, GroupId, IndicatorId, InvitationId, MemberId, ObservableId, RunId, Timestamp};
use crate::domain::indicator::Indicator;
use crate::domain::member::{MemberKind, Name, Roles, Standing};
use crate::domain::subscription::SubscriptionName;

use fields::Fields;

pub use erasure::{Change, ENTRIES_PER_ERASURE_MAX, Erased, Left, digest_of, left_of};
pub use indicator::{decode_indicator, encode_audience, encode_indicator};
pub use publications::Publications;

/// Bytes of most entries that carry an indicator.
const ENTRY_BYTES_USUAL: usize = 768;

/// The stored messages, as generated.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod stored {
    tonic::include_proto!("clearinghouse.storage.v1");
}

/// One event, with its time and author.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When the hub wrote it.
    pub at: Timestamp,
    /// Who caused it; nobody where the hub itself did.
    pub actor: Option<Actor>,
    /// What happened.
    pub event: Event,
}

/// The agent that caused an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// Its member.
    pub member: MemberId,
    /// Its name within the member.
    pub agent: AgentName,
}

/// An indicator beside its encoded body, which readers are sent as it lies: without audience and without state.
#[derive(Clone, Debug)]
pub struct StoredIndicator {
    /// The indicator, audience included.
    pub indicator: Indicator,
    /// `clearinghouse.storage.v1.Indicator`, which has the layout of `clearinghouse.v1.Indicator`.
    pub body: Bytes,
    /// The id of what it speaks of, which is a hash of it.
    pub observable: ObservableId,
}

impl StoredIndicator {
    /// Encodes the body.
    pub fn new(indicator: Indicator) -> StoredIndicator {
        let observable = indicator.content.observable.id();
        let body = indicator::encode(&indicator, observable);
        StoredIndicator {
            indicator,
            body,
            observable,
        }
    }
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The first entry of a log.
    HubCreated {
        /// The hub's name.
        name: String,
        /// Of the identities in its certificates.
        trust_domain: String,
    },
    /// The hub began to run on the log; the first entry of each run.
    HubStarted {
        /// Tells the run from any other.
        run: RunId,
    },
    /// An indicator in its first revision.
    IndicatorPublished {
        /// The whole of it.
        stored: Box<StoredIndicator>,
        /// The client's name for the attempt; empty if none.
        request_id: Arc<str>,
    },
    /// A new revision.
    IndicatorRevised {
        /// The whole of it.
        stored: Box<StoredIndicator>,
        /// The client's name for the attempt; empty if none.
        request_id: Arc<str>,
    },
    /// The last revision.
    IndicatorRetracted {
        /// The whole of it, with the reason.
        stored: Box<StoredIndicator>,
    },
    /// Time, as far as the log knows it.
    ClockTicked {
        /// Embargoes and validities that end at or before it have ended.
        now: Timestamp,
    },
    /// A member joined.
    MemberAdmitted {
        /// Its id.
        member: MemberId,
        /// Its name.
        name: Name,
        /// Its kind.
        kind: MemberKind,
    },
    /// A member was suspended, resumed or removed.
    MemberStandingChanged {
        /// Who.
        member: MemberId,
        /// Where it stands now.
        standing: Standing,
        /// Why.
        reason: String,
    },
    /// A group was made.
    GroupCreated {
        /// Its id.
        group: GroupId,
        /// Its name.
        name: Name,
    },
    /// A member joined a group.
    GroupMemberAdded {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
    /// A member left a group.
    GroupMemberRemoved {
        /// The group.
        group: GroupId,
        /// The member.
        member: MemberId,
    },
    /// A right to enrol was given.
    InvitationMade {
        /// Its id.
        invitation: InvitationId,
        /// For whom.
        member: MemberId,
        /// The agent to be.
        agent: AgentName,
        /// What it will be allowed.
        roles: Roles,
        /// When the right ends.
        expires_at: Timestamp,
    },
    /// An agent got a certificate.
    CertificateIssued(Box<CertificateIssued>),
    /// A member got another name.
    MemberRenamed {
        /// Who.
        member: MemberId,
        /// The new name.
        name: Name,
    },
    /// A change waits for a second admin.
    ChangeProposed {
        /// Its id.
        change: ChangeId,
        /// What would be written.
        event: Box<Event>,
        /// When the wait ends by itself.
        expires_at: Timestamp,
    },
    /// A change waits no more. Where it was approved, the next entry is the change.
    ChangeSettled {
        /// Its id.
        change: ChangeId,
        /// Whether it was carried out.
        approved: bool,
    },
    /// A member reacted to an indicator. Its member is the actor, its time the entry's.
    AssessmentMade(Box<Assessment>),
    /// The actor opened a durable subscription: from here to the detachment it may have received whatever was visible to it.
    SubscriptionAttached {
        /// Its name within the agent.
        name: SubscriptionName,
        /// As a filter expression.
        filter: String,
        /// The ordinal before which all changes are known to be applied.
        applied: u32,
    },
    /// The stream of a durable subscription ended.
    SubscriptionDetached {
        /// Whose.
        member: MemberId,
        /// Whose.
        agent: AgentName,
        /// Its name within the agent.
        name: SubscriptionName,
        /// What was sent reaches at most to this ordinal.
        sent: u32,
    },
    /// The actor has applied all changes before an ordinal.
    SubscriptionAcknowledged {
        /// Its name within the agent.
        name: SubscriptionName,
        /// The ordinal.
        applied: u32,
    },
    /// A durable subscription is no more.
    SubscriptionDropped {
        /// Whose.
        member: MemberId,
        /// Whose.
        agent: AgentName,
        /// Its name within the agent.
        name: SubscriptionName,
    },
    /// Indicators of members that are no governments are about to be released to one that is.
    IndicatorsDisclosed {
        /// The government member.
        agency: MemberId,
        /// For the first time to it.
        indicators: Vec<IndicatorId>,
    },
    /// All certificates of an agent but one ended before their time.
    OtherCertificatesEnded {
        /// Its member.
        member: MemberId,
        /// Its name.
        agent: AgentName,
        /// Serial number of the one that stays, big-endian.
        kept: Vec<u8>,
    },
    /// Entries are being erased.
    EntriesErased(Box<Erased>),
    /// All entries of an indicator are to be erased.
    ErasureOrdered {
        /// Which.
        indicator: IndicatorId,
        /// Why.
        reason: String,
    },
    /// No event: what stands in the place of an entry that was erased.
    IndicatorErased(Box<Left>),
    /// An agent lost all its certificates.
    AgentRevoked {
        /// Its member.
        member: MemberId,
        /// Its name.
        agent: AgentName,
        /// Why.
        reason: String,
    },
}

/// A certificate as the log records it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateIssued {
    /// Whose.
    pub member: MemberId,
    /// Which agent's.
    pub agent: AgentName,
    /// What the agent is allowed.
    pub roles: Roles,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER).
    pub public_key_sha256: [u8; 32],
    /// The invitation it was issued for; none for a renewal and for the first admin.
    pub invitation: Option<InvitationId>,
    /// DER.
    pub certificate: Vec<u8>,
}

/// Why stored bytes are not an entry. The log's hashes guard against damage, so this means a newer format or a defect.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the message.
    #[error("not an entry: {0}")]
    Malformed(String),
    /// A field does not hold what this version of the program knows.
    #[error("field {0} holds what this version does not know")]
    Unknown(&'static str),
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> DecodeError {
        DecodeError::Malformed(error.to_string())
    }
}

impl Entry {
    /// The bytes to be stored.
    pub fn encode(&self) -> Bytes {
        let mut fields = head_fields(self.at, self.actor.as_ref());
        match &self.event {
            Event::IndicatorPublished { stored, request_id } => {
                fields.message(3, |fields| indicator::event_fields(stored, request_id, fields));
            }
            Event::IndicatorRevised { stored, request_id } => {
                fields.message(4, |fields| indicator::event_fields(stored, request_id, fields));
            }
            Event::IndicatorRetracted { stored } => {
                fields.message(5, |fields| indicator::event_fields(stored, "", fields));
            }
            other => encode_event(other).encode(fields.bytes()),
        }
        fields.finish()
    }

    /// The entry in stored bytes.
    pub fn decode(bytes: Bytes) -> Result<Entry, DecodeError> {
        let stored::Entry { at, actor, event } = stored::Entry::decode(bytes.clone())?;
        let actor = match actor {
            None => None,
            Some(stored::Actor { member_id, agent }) => Some(Actor {
                member: MemberId(uuid(&member_id)?),
                agent: roster::agent(&agent)?,
            }),
        };
        let at = Timestamp(at);
        let event = match event.ok_or(DecodeError::Unknown("event"))? {
            event @ (stored::entry::Event::EntriesErased(_)
            | stored::entry::Event::ErasureOrdered(_)
            | stored::entry::Event::IndicatorErased(_)) => erasure::decode(event, &bytes)?,
            event => decode_event(event, actor.as_ref(), at)?,
        };
        Ok(Entry { at, actor, event })
    }

    /// The indicator that the entry speaks of, if any.
    pub fn indicator_id(&self) -> Option<IndicatorId> {
        match &self.event {
            Event::IndicatorPublished { stored, .. }
            | Event::IndicatorRevised { stored, .. }
            | Event::IndicatorRetracted { stored } => Some(stored.indicator.id),
            _ => None,
        }
    }
}

/// The fields of an entry but for its event.
fn head_fields(at: Timestamp, actor: Option<&Actor>) -> Fields {
    let mut fields = Fields::with_capacity(ENTRY_BYTES_USUAL);
    fields.number(1, at.0 as u64);
    if let Some(actor) = actor {
        fields.message(2, |fields| {
            fields.item(1, actor.member.0.as_bytes());
            fields.text(2, actor.agent.as_str());
        });
    }
    fields
}

/// An event of those that are not written by hand.
fn encode_event(event: &Event) -> stored::entry::Event {
    use stored::entry::Event as Stored;
    match event {
        Event::ClockTicked { now } => Stored::ClockTicked(stored::ClockTicked { now: now.0 }),
        sharing_event @ (Event::AssessmentMade(_)
        | Event::SubscriptionAttached { .. }
        | Event::SubscriptionDetached { .. }
        | Event::SubscriptionAcknowledged { .. }
        | Event::SubscriptionDropped { .. }
        | Event::IndicatorsDisclosed { .. }) => sharing::encode(sharing_event),
        erasure_event @ (Event::EntriesErased(_) | Event::ErasureOrdered { .. } | Event::IndicatorErased(_)) => {
            erasure::encode(erasure_event)
        }
        roster_event => roster::encode(roster_event),
    }
}

fn decode_event(event: stored::entry::Event, actor: Option<&Actor>, at: Timestamp) -> Result<Event, DecodeError> {
    use stored::entry::Event as Stored;
    Ok(match event {
        Stored::IndicatorPublished(stored::IndicatorPublished {
            indicator,
            audience,
            request_id,
        }) => {
            let stored = Box::new(indicator::decode_stored(indicator, audience)?);
            Event::IndicatorPublished {
                stored,
                request_id: request_id.into(),
            }
        }
        Stored::IndicatorRevised(stored::IndicatorRevised {
            indicator,
            audience,
            request_id,
        }) => {
            let stored = Box::new(indicator::decode_stored(indicator, audience)?);
            Event::IndicatorRevised {
                stored,
                request_id: request_id.into(),
            }
        }
        Stored::IndicatorRetracted(stored::IndicatorRetracted { indicator, audience }) => Event::IndicatorRetracted {
            stored: Box::new(indicator::decode_stored(indicator, audience)?),
        },
        Stored::ClockTicked(stored::ClockTicked { now }) => Event::ClockTicked { now: Timestamp(now) },
        sharing_event @ (Stored::AssessmentMade(_)
        | Stored::SubscriptionAttached(_)
        | Stored::SubscriptionDetached(_)
        | Stored::SubscriptionAcknowledged(_)
        | Stored::SubscriptionDropped(_)
        | Stored::IndicatorsDisclosed(_)) => sharing::decode(sharing_event, actor, at)?,
        roster_event => roster::decode(roster_event)?,
    })
}

/// The number of `item` on disk: its place in `all`, from 1, so that 0 stays "unspecified".
fn number<T: PartialEq>(all: &[T], item: &T) -> u32 {
    all.iter()
        .position(|candidate| candidate == item)
        .map_or(0, |place| place as u32 + 1)
}

fn item<T: Copy>(all: &[T], number: u32, field: &'static str) -> Result<T, DecodeError> {
    let place = (number as usize).checked_sub(1).ok_or(DecodeError::Unknown(field))?;
    all.get(place).copied().ok_or(DecodeError::Unknown(field))
}

fn id_bytes(id: uuid::Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn uuid(bytes: &[u8]) -> Result<uuid::Uuid, DecodeError> {
    uuid::Uuid::from_slice(bytes).map_err(|_| DecodeError::Unknown("id"))
}
