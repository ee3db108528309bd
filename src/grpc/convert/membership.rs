//! Changes of membership, those that wait, and what happened to a member, as messages.

use crate::hub::roster::{Asked, MemberEventCard, PendingCard};

use super::{time, wire};

/// What was done, or the change that waits for a second admin.
pub fn asked<T, M>(asked: Asked<T>, done: impl FnOnce(&T) -> M) -> (Option<M>, Option<wire::PendingChange>) {
    match asked {
        Asked::Done(card) => (Some(done(&card)), None),
        Asked::Pending(card) => (None, Some(pending(&card))),
    }
}

/// A change that waits for a second admin.
pub fn pending(card: &PendingCard) -> wire::PendingChange {
    wire::PendingChange {
        id: card.id.to_string(),
        summary: card.summary.clone(),
        author_member_id: card.author_member.to_string(),
        author_agent: card.author_agent.to_string(),
        asked_at: Some(time(card.asked_at)),
        expires_at: Some(time(card.expires_at)),
    }
}

/// One change of a member.
pub fn member_event(card: MemberEventCard) -> wire::MemberEvent {
    let (author_member_id, author_agent) = card
        .author
        .map(|(member, agent)| (member.to_string(), agent.to_string()))
        .unwrap_or_default();
    wire::MemberEvent {
        at: Some(time(card.at)),
        kind: card.kind.to_owned(),
        summary: card.summary,
        author_member_id,
        author_agent,
        seq: card.seq.map_or(0, |seq| seq.0),
    }
}
