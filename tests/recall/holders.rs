//! Who may hold what was taken back: exactly those that had received it.

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::member::{MemberKind, Role, Standing};
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::recall::RecallCause;

use super::hub_support::caller;
use super::hub_support::clock::Clock;
use super::hub_support::drafts::Rules;
use super::stage::{Stage, name, on_stage, only, open};

#[test]
fn those_who_received_it_are_listed_and_those_who_could_not_are_not() {
    on_stage(async |stage: Stage| {
        let early = stage.visit(&stage.other, "early", &[]).await;
        let id = stage.publish("example.com", only(&[&stage.reader])).await;
        stage.visit(&stage.reader, "holder", &[]).await;
        // Not of its audience, though it came by.
        stage.visit(&stage.other, "early", &early).await;
        stage.retract(id).await;
        // Joined later.
        stage.visit(&stage.reader, "late", &[]).await;
        assert_eq!(stage.holders(id), [("holder".to_owned(), false)]);
        let recall = stage.recall(id);
        assert_eq!(recall.cause, RecallCause::Retracted);
        assert_eq!(recall.recalled_at, Clock::START);
        assert_eq!(recall.holders[0].member, stage.reader.member);
    });
}

#[test]
fn one_that_was_away_all_the_time_between_is_not_listed() {
    on_stage(async |stage: Stage| {
        let cursor = stage.visit(&stage.reader, "away", &[]).await;
        let missed = stage.publish("example.com", open()).await;
        stage.retract(missed).await;
        assert_eq!(stage.holders(missed), []);
        // Nor does coming back make it one.
        stage.visit(&stage.reader, "away", &cursor).await;
        assert_eq!(stage.holders(missed), []);
    });
}

#[test]
fn the_filter_decides_what_was_received() {
    on_stage(async |stage: Stage| {
        let filter = |text: &str| Filter::parse(text).unwrap().filter;
        for (word, text) in [("domains", "kind:domain"), ("urls", "kind:url"), ("all", "")] {
            let feed = stage
                .hub()
                .subscribe_durable(&stage.reader, name(word), filter(text), &[])
                .await;
            let mut feed = feed.unwrap();
            super::stage::until_live(&mut feed).await;
            drop(feed);
            stage.settle().await;
        }
        let id = stage.publish("example.com", open()).await;
        for (word, text) in [("domains", "kind:domain"), ("urls", "kind:url")] {
            let feed = stage
                .hub()
                .subscribe_durable(&stage.reader, name(word), filter(text), &[])
                .await;
            super::stage::until_live(&mut feed.unwrap()).await;
            stage.settle().await;
        }
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("domains".to_owned(), false)]);
    });
}

#[test]
fn tightening_recalls_from_those_who_lost_it_alone() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.visit(&stage.reader, "stays", &[]).await;
        stage.visit(&stage.other, "loses", &[]).await;
        stage.revise(id, only(&[&stage.reader])).await;
        assert_eq!(stage.holders(id), [("loses".to_owned(), false)]);
        assert_eq!(stage.recall(id).cause, RecallCause::Tightened);
        // Retraction then recalls from the one that stayed; the other holds it still.
        stage.retract(id).await;
        assert_eq!(
            stage.holders(id),
            [("loses".to_owned(), false), ("stays".to_owned(), false)]
        );
        assert_eq!(stage.recall(id).cause, RecallCause::Retracted);
    });
}

#[test]
fn widening_and_plain_revision_recall_from_nobody() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", only(&[&stage.reader])).await;
        stage.visit(&stage.reader, "holder", &[]).await;
        stage.revise(id, only(&[&stage.reader])).await;
        stage.revise(id, open()).await;
        let refused = stage.hub().recall(&stage.publisher, id).await.unwrap_err();
        assert!(matches!(refused, HubError::Conflict { .. }), "{refused:?}");
        assert!(stage.hub().open_recalls(&stage.publisher).await.unwrap().is_empty());
    });
}

#[test]
fn a_new_embargo_recalls_from_those_whom_it_does_not_name() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.visit(&stage.reader, "named", &[]).await;
        stage.visit(&stage.other, "unnamed", &[]).await;
        let until = stage.hub.clock().now().plus_secs(60);
        let embargo = Some((until, vec![stage.reader.member]));
        stage.revise(id, Rules { embargo, ..open() }).await;
        assert_eq!(stage.holders(id), [("unnamed".to_owned(), false)]);
    });
}

/// Everyone knew when it would end.
#[test]
fn expiry_is_no_recall_and_who_has_removed_the_expired_holds_nothing() {
    on_stage(async |stage: Stage| {
        let expires_at = Some(stage.hub.clock().now().plus_secs(10));
        let id = stage.publish("example.com", Rules { expires_at, ..open() }).await;
        let cursor = stage.visit(&stage.reader, "tidy", &[]).await;
        stage.visit(&stage.other, "gone", &[]).await;
        stage.hub.pass_secs(11).await;
        assert!(stage.hub().recall(&stage.publisher, id).await.is_err());
        let cursor = stage.visit(&stage.reader, "tidy", &cursor).await;
        stage.visit(&stage.reader, "tidy", &cursor).await;
        // Taken back after it expired: the one that was not back since may hold it.
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("gone".to_owned(), false)]);
    });
}

/// Leaving a group is no act of the publisher, but what the member took with it can be taken back.
#[test]
fn a_group_left_is_no_recall_but_a_retraction_after_it_is() {
    on_stage(async |stage: Stage| {
        let group = stage
            .hub
            .group("Elections", &[stage.publisher.member, stage.reader.member])
            .await;
        let rules = Rules {
            groups: vec![group],
            ..Rules::open(Tlp::Amber)
        };
        let id = stage.publish("example.com", rules).await;
        stage.visit(&stage.reader, "left", &[]).await;
        let admin = stage.hub.admin();
        stage
            .hub()
            .remove_from_group(admin, group, stage.reader.member)
            .await
            .unwrap();
        assert!(stage.hub().recall(&stage.publisher, id).await.is_err());
        assert!(stage.hub().open_recalls(&stage.publisher).await.unwrap().is_empty());
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("left".to_owned(), false)]);
    });
}

#[test]
fn a_suspended_member_is_a_holder_of_what_it_took_with_it() {
    on_stage(async |stage: Stage| {
        let (tightened, retracted) = (
            stage.publish("example.com", open()).await,
            stage.publish("example.org", open()).await,
        );
        stage.visit(&stage.reader, "suspended", &[]).await;
        stage
            .hub
            .set_standing(stage.reader.member, Standing::Suspended)
            .await
            .unwrap();
        let before = stage.hub().open_recalls(&stage.publisher).await.unwrap();
        assert!(before.is_empty(), "the suspension itself takes nothing back");
        // The reader would lose it, were it active; so would the other, which never received it.
        stage.revise(tightened, only(&[&stage.publisher])).await;
        stage.retract(retracted).await;
        assert_eq!(stage.holders(tightened), [("suspended".to_owned(), false)]);
        assert_eq!(stage.holders(retracted), [("suspended".to_owned(), false)]);
    });
}

#[test]
fn only_the_publisher_sees_its_recall_and_to_others_it_looks_like_none() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.visit(&stage.reader, "holder", &[]).await;
        stage.retract(id).await;
        let foreign = stage.hub().recall(&stage.reader, id).await.unwrap_err();
        let unknown = stage
            .hub()
            .recall(&stage.reader, uuid::Uuid::now_v7().to_string().parse().unwrap())
            .await;
        assert_eq!(foreign, unknown.unwrap_err());
        assert!(stage.hub().open_recalls(&stage.reader).await.unwrap().is_empty());
        assert_eq!(stage.hub().recall_counts_of(stage.reader.member).await.unwrap().open, 0);
        assert_eq!(
            stage.hub().recall_counts_of(stage.publisher.member).await.unwrap().open,
            1
        );
        let subscriber = caller(stage.publisher.member, [Role::Subscriber]);
        let refused = stage.hub().recall(&subscriber, id).await;
        assert!(matches!(refused, Err(HubError::Denied(_))));
    });
}

#[test]
fn the_owners_own_subscription_is_no_holder() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.visit(&stage.publisher, "mine", &[]).await;
        stage.retract(id).await;
        assert_eq!(stage.holders(id), []);
    });
}

#[test]
fn subscriptions_are_seen_by_their_own_member_and_admins() {
    on_stage(async |stage: Stage| {
        let cursor = stage.visit(&stage.reader, "mine", &[]).await;
        stage.visit(&stage.reader, "mine", &cursor).await;
        let of = async |caller| stage.hub().subscriptions(caller).await.unwrap();
        assert_eq!(of(&stage.other).await, []);
        let own = of(&stage.reader).await;
        assert_eq!((own.len(), own[0].attached, own[0].lag), (1, false, None));
        let all = of(stage.hub.admin()).await;
        assert_eq!((all.len(), all[0].lag), (1, Some(0)));
        stage.hub.member("Dione", MemberKind::Media).await;
        assert_eq!(of(stage.hub.admin()).await[0].lag, Some(1));
    });
}
