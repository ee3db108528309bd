//! The guard against taking back much by a slip.

use clearinghouse::domain::id::IndicatorId;
use clearinghouse::hub::error::HubError;

use super::hub_support::drafts;
use super::stage::{Stage, on_stage, only, open};

/// Twenty are the floor, and a fifth of 150 is 30.
const SHARED: usize = 150;

async fn share(stage: &Stage) -> Vec<IndicatorId> {
    let mut ids = Vec::new();
    for number in 0..SHARED {
        ids.push(stage.publish(&format!("a{number}.example.com"), open()).await);
    }
    ids
}

async fn retract(stage: &Stage, ids: &[IndicatorId], confirmed: bool) -> Result<usize, HubError> {
    let reason = drafts::text("a test");
    let outcomes = stage
        .hub()
        .retract(&stage.publisher, ids.to_vec(), reason, confirmed)
        .await;
    outcomes.map(|outcomes| outcomes.len())
}

fn is_refused<T>(outcome: &Result<T, HubError>) -> bool {
    matches!(outcome, Err(HubError::Invalid(violations)) if violations[0].field == "confirm_large")
}

#[test]
fn a_large_share_needs_a_second_confirmation_and_a_small_one_does_not() {
    on_stage(async |stage: Stage| {
        let ids = share(&stage).await;
        assert!(is_refused(&retract(&stage, &ids[..31], false).await));
        assert_eq!(retract(&stage, &ids[..30], false).await, Ok(30));
        assert!(is_refused(&retract(&stage, &ids[30..31], false).await));
        assert_eq!(retract(&stage, &ids[30..31], true).await, Ok(1));
    });
}

#[test]
fn many_small_requests_do_not_slip_past_within_the_window_and_do_after_it() {
    on_stage(async |stage: Stage| {
        let ids = share(&stage).await;
        for id in &ids[..30] {
            assert_eq!(retract(&stage, &[*id], false).await, Ok(1));
        }
        assert!(is_refused(&retract(&stage, &ids[30..31], false).await));
        stage.hub.pass_secs(3_599).await;
        assert!(is_refused(&retract(&stage, &ids[30..31], false).await));
        stage.hub.pass_secs(1).await;
        assert_eq!(retract(&stage, &ids[30..31], false).await, Ok(1));
    });
}

#[test]
fn narrower_handling_counts_and_wider_does_not() {
    on_stage(async |stage: Stage| {
        let ids = share(&stage).await;
        for id in &ids[..30] {
            stage.revise(*id, only(&[&stage.reader])).await;
        }
        let next = stage.hub().own(&stage.publisher, ids[30]).await.unwrap();
        let narrower = drafts::content(next.content.raw.as_str(), only(&[&stage.reader]).handling().unwrap());
        let request = || "".into();
        let refused = stage
            .hub()
            .revise(&stage.publisher, ids[30], 1, request(), narrower.clone(), false);
        assert!(is_refused(&refused.await));
        assert!(is_refused(&retract(&stage, &ids[30..31], false).await));
        // Back to all, or with another note: nobody loses anything.
        stage.revise(ids[0], open()).await;
        stage.revise(ids[31], open()).await;
        let confirmed = stage
            .hub()
            .revise(&stage.publisher, ids[30], 1, request(), narrower, true);
        confirmed.await.unwrap();
    });
}

#[test]
fn one_members_recalls_do_not_count_for_another() {
    on_stage(async |stage: Stage| {
        let ids = share(&stage).await;
        retract(&stage, &ids, true).await.unwrap();
        let content = drafts::content("example.org", open().handling().unwrap());
        let outcomes = stage
            .hub()
            .publish(&stage.other, vec![Ok(drafts::item(content))])
            .await
            .unwrap();
        let clearinghouse::hub::publish::Outcome::Accepted { id, .. } = outcomes[0] else {
            panic!("{outcomes:?}");
        };
        let reason = drafts::text("a test");
        let retracted = stage.hub().retract(&stage.other, vec![id], reason, false).await;
        assert!(retracted.is_ok(), "{retracted:?}");
    });
}
