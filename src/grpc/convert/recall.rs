//! Recalls and durable subscriptions, as messages.

use crate::hub::recall::{Holder, Recall, RecallCause};
use crate::hub::subscription::SubscriptionCard;

use super::{time, wire};

/// A recall, for its publisher.
pub fn recall(recall: Recall) -> wire::Recall {
    let outstanding = recall.outstanding();
    let Recall {
        indicator,
        cause,
        recalled_at,
        holders,
    } = recall;
    let cause = match cause {
        RecallCause::Retracted => wire::RecallCause::Retracted,
        RecallCause::Tightened => wire::RecallCause::Tightened,
    };
    wire::Recall {
        indicator_id: indicator.to_string(),
        cause: cause.into(),
        recalled_at: Some(time(recalled_at)),
        holders: holders.into_iter().map(holder).collect(),
        outstanding: u32::try_from(outstanding).unwrap_or(u32::MAX),
    }
}

fn holder(holder: Holder) -> wire::RecallHolder {
    let Holder {
        member,
        agent,
        subscription,
        confirmed_at,
        offline_since,
        overdue,
        dropped,
    } = holder;
    wire::RecallHolder {
        member_id: member.to_string(),
        agent: agent.to_string(),
        subscription: subscription.to_string(),
        confirmed_at: confirmed_at.map(time),
        offline_since: offline_since.map(time),
        overdue,
        dropped,
    }
}

/// A durable subscription.
pub fn subscription(card: SubscriptionCard) -> wire::Subscription {
    let SubscriptionCard {
        member,
        agent,
        name,
        filter,
        attached,
        changed_at,
        recalls_open,
        lag,
    } = card;
    wire::Subscription {
        member_id: member.to_string(),
        agent: agent.to_string(),
        name: name.to_string(),
        filter,
        attached,
        changed_at: Some(time(changed_at)),
        recalls_open,
        lag: lag.unwrap_or_default().into(),
    }
}
