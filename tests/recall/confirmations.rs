//! How a holder is told, and when it counts as having confirmed.

use clearinghouse::domain::filter::Filter;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::RemovalReason;

use super::stage::{ONE_BY_ONE, Stage, name, on_stage, only, open, until_live};

#[test]
fn live_holder_is_told_and_confirms_by_acknowledging() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let mut feed = stage.attach(&stage.reader, "live", &[]).await;
        let (_, before) = until_live(&mut feed).await;
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("live".to_owned(), false)]);
        assert_eq!(stage.recall(id).holders[0].offline_since, None, "it is connected");
        let batch = feed.next().await.unwrap();
        assert_eq!(batch.removals, [(id, RemovalReason::Retracted)]);
        // What was received before the removal proves nothing; and the log does not hear of it.
        let entries = stage.entries();
        assert_eq!(stage.acknowledge(&stage.reader, "live", &before).await, Ok(0));
        assert_eq!(stage.holders(id), [("live".to_owned(), false)]);
        assert_eq!(stage.entries(), entries);
        assert_eq!(stage.acknowledge(&stage.reader, "live", &batch.cursor).await, Ok(1));
        assert_eq!(stage.holders(id), [("live".to_owned(), true)]);
        assert_eq!(stage.entries(), entries + 1);
        // Once is enough.
        assert_eq!(stage.acknowledge(&stage.reader, "live", &batch.cursor).await, Ok(0));
        assert_eq!(stage.entries(), entries + 1);
        assert!(stage.hub().open_recalls(&stage.publisher).await.unwrap().is_empty());
    });
}

#[test]
fn offline_holder_is_told_before_anything_else_and_confirms_by_coming_back() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let cursor = stage.visit(&stage.reader, "back", &[]).await;
        for number in 0..5 {
            stage.publish(&format!("a{number}.example.org"), open()).await;
        }
        stage.hub.clock().pass_secs(60);
        stage.retract(id).await;
        let holder = stage.recall(id).holders.remove(0);
        assert_eq!(holder.offline_since, Some(super::hub_support::clock::Clock::START));

        let feed =
            stage
                .hub()
                .subscribe_durable_within(&stage.reader, name("back"), Filter::default(), &cursor, ONE_BY_ONE);
        let mut feed = feed.await.unwrap();
        let (batches, newest) = until_live(&mut feed).await;
        assert_eq!(batches[0].removals, [(id, RemovalReason::Retracted)]);
        assert!(batches[0].upserts.is_empty());
        let upserts: usize = batches[1..].iter().map(|batch| batch.upserts.len()).sum();
        assert_eq!(upserts, 5);
        assert_eq!(
            stage.holders(id),
            [("back".to_owned(), false)],
            "it was told, and has not said so"
        );
        // The cursor of the first batch is proof, though the pass is far from its end.
        drop(feed);
        stage.visit(&stage.reader, "back", &batches[0].cursor).await;
        assert_eq!(stage.holders(id), [("back".to_owned(), true)]);
        stage.visit(&stage.reader, "back", &newest).await;
        assert_eq!(stage.holders(id), [("back".to_owned(), true)]);
    });
}

#[test]
fn a_cursor_from_before_the_removal_confirms_nothing() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let old = stage.visit(&stage.reader, "slow", &[]).await;
        stage.retract(id).await;
        for _ in 0..3 {
            drop(stage.attach(&stage.reader, "slow", &old).await);
            stage.settle().await;
            assert_eq!(stage.holders(id), [("slow".to_owned(), false)]);
        }
        stage.visit(&stage.reader, "slow", &old).await;
        assert_eq!(stage.holders(id), [("slow".to_owned(), false)]);
    });
}

/// The line was out, and the program ended before it stored the cursor: it comes back with the old one.
#[test]
fn what_was_received_after_the_cursor_is_recalled_and_removed_too() {
    on_stage(async |stage: Stage| {
        let cursor = stage.visit(&stage.reader, "crashed", &[]).await;
        let mut feed = stage.attach(&stage.reader, "crashed", &cursor).await;
        until_live(&mut feed).await;
        let id = stage.publish("example.com", open()).await;
        let (batches, _) = until_live(&mut feed).await;
        assert_eq!(batches[0].upserts.len(), 1);
        drop(feed);
        stage.settle().await;
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("crashed".to_owned(), false)]);
        let mut feed = stage.attach(&stage.reader, "crashed", &cursor).await;
        let (batches, newest) = until_live(&mut feed).await;
        assert_eq!(batches[0].removals, [(id, RemovalReason::Retracted)]);
        assert_eq!(stage.acknowledge(&stage.reader, "crashed", &newest).await, Ok(1));
        assert_eq!(stage.holders(id), [("crashed".to_owned(), true)]);
        // Somebody whose stream is not durable is told nothing of what its cursor does not know.
        let mut plain = stage
            .hub()
            .subscribe(&stage.reader, Filter::default(), &cursor)
            .unwrap();
        assert!(
            until_live(&mut plain)
                .await
                .0
                .iter()
                .all(|batch| batch.removals.is_empty())
        );
    });
}

#[test]
fn an_empty_cursor_confirms_nothing_and_the_snapshot_begins_with_the_removals() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.publish("example.org", open()).await;
        stage.visit(&stage.reader, "anew", &[]).await;
        stage.retract(id).await;
        let mut feed = stage.attach(&stage.reader, "anew", &[]).await;
        assert_eq!(stage.holders(id), [("anew".to_owned(), false)]);
        let (batches, newest) = until_live(&mut feed).await;
        assert_eq!(batches[0].removals, [(id, RemovalReason::Retracted)]);
        assert!(batches[0].upserts.is_empty());
        assert_eq!(batches[1].upserts.len(), 1);
        assert_eq!(stage.acknowledge(&stage.reader, "anew", &newest).await, Ok(1));
        assert_eq!(stage.holders(id), [("anew".to_owned(), true)]);
    });
}

/// A mirror that was restored from a backup holds it again.
#[test]
fn an_older_cursor_reopens_what_it_had_confirmed() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let backup = stage.visit(&stage.reader, "restored", &[]).await;
        stage.retract(id).await;
        let newest = stage.visit(&stage.reader, "restored", &backup).await;
        stage.visit(&stage.reader, "restored", &newest).await;
        assert_eq!(stage.holders(id), [("restored".to_owned(), true)]);
        let mut feed = stage.attach(&stage.reader, "restored", &backup).await;
        assert_eq!(stage.holders(id), [("restored".to_owned(), false)]);
        let (batches, cursor) = until_live(&mut feed).await;
        assert_eq!(batches[0].removals.len(), 1);
        stage.acknowledge(&stage.reader, "restored", &cursor).await.unwrap();
        assert_eq!(stage.holders(id), [("restored".to_owned(), true)]);
    });
}

#[test]
fn recalls_survive_a_restart_and_so_do_their_confirmations() {
    on_stage(async |mut stage: Stage| {
        let (first, second) = (
            stage.publish("example.com", open()).await,
            stage.publish("example.org", open()).await,
        );
        let cursor = stage.visit(&stage.reader, "kept", &[]).await;
        stage.retract(first).await;
        stage.hub.restart();
        assert_eq!(stage.holders(first), [("kept".to_owned(), false)]);
        let cursor = stage.visit(&stage.reader, "kept", &cursor).await;
        stage.visit(&stage.reader, "kept", &cursor).await;
        stage.retract(second).await;
        stage.hub.restart();
        assert_eq!(stage.holders(first), [("kept".to_owned(), true)]);
        assert_eq!(stage.holders(second), [("kept".to_owned(), false)]);
    });
}

/// The hub ends without a word about the stream: then it may have sent whatever was visible until then, and no more.
#[test]
fn a_crash_without_detachment_counts_everything_up_to_it() {
    on_stage(async |mut stage: Stage| {
        let feed = stage.attach(&stage.reader, "crash", &[]).await;
        let sent = stage.publish("example.com", open()).await;
        // The hub is gone before the stream is: nothing is written of its end.
        stage.hub().close();
        let crashed = stage.hub().publish(&stage.publisher, Vec::new()).await;
        assert_eq!(crashed.unwrap_err(), HubError::ShuttingDown);
        drop(feed);
        stage.hub.restart();
        stage.settle().await;
        let after = stage.publish("example.org", open()).await;
        stage.retract(sent).await;
        stage.retract(after).await;
        assert_eq!(stage.holders(sent), [("crash".to_owned(), false)]);
        assert_eq!(stage.holders(after), []);
        let cards = stage.hub().subscriptions(&stage.reader).await.unwrap();
        assert!(!cards[0].attached);
        assert_eq!(cards[0].recalls_open, 1);
    });
}

#[test]
fn a_newer_stream_takes_over_and_the_older_ends() {
    on_stage(async |stage: Stage| {
        let mut older = stage.attach(&stage.reader, "one", &[]).await;
        let (_, cursor) = until_live(&mut older).await;
        let mut newer = stage.attach(&stage.reader, "one", &cursor).await;
        let ended = older.next().await.unwrap_err();
        assert!(matches!(ended, HubError::Conflict { field: "name", .. }), "{ended:?}");
        drop(older);
        stage.settle().await;
        // The end of the older one is not that of the newer.
        until_live(&mut newer).await;
        let cards = stage.hub().subscriptions(&stage.reader).await.unwrap();
        assert!(cards[0].attached);
        let id = stage.publish("example.com", open()).await;
        assert_eq!(until_live(&mut newer).await.0[0].upserts.len(), 1);
        stage.retract(id).await;
        assert_eq!(stage.holders(id), [("one".to_owned(), false)]);
        // Another name is another subscription, and so is another agent's.
        let mut second = stage.attach(&stage.reader, "two", &[]).await;
        let mut foreign = stage.attach(&stage.other, "one", &[]).await;
        until_live(&mut second).await;
        until_live(&mut foreign).await;
        assert!(newer.next().await.is_ok());
    });
}

#[test]
fn a_connection_costs_two_entries_whatever_it_brings() {
    on_stage(async |stage: Stage| {
        for number in 0..20 {
            stage.publish(&format!("a{number}.example.org"), open()).await;
        }
        let entries = stage.entries();
        let cursor = stage.visit(&stage.reader, "cheap", &[]).await;
        assert_eq!(stage.entries(), entries + 2);
        stage.visit(&stage.reader, "cheap", &cursor).await;
        assert_eq!(stage.entries(), entries + 4);
        let mut plain = stage.hub().subscribe(&stage.reader, Filter::default(), &[]).unwrap();
        until_live(&mut plain).await;
        drop(plain);
        stage.settle().await;
        assert_eq!(stage.entries(), entries + 4, "a feed that is not durable costs none");
    });
}

#[test]
fn another_filter_is_refused_until_the_subscription_is_dropped() {
    on_stage(async |stage: Stage| {
        stage.visit(&stage.reader, "bound", &[]).await;
        let domains = || Filter::parse("kind:domain").unwrap().filter;
        let refused = stage
            .hub()
            .subscribe_durable(&stage.reader, name("bound"), domains(), &[])
            .await;
        let refused = refused.err().expect("another filter");
        assert!(
            matches!(refused, HubError::Conflict { field: "filter", .. }),
            "{refused:?}"
        );
        let agent = stage.reader.agent.clone();
        stage
            .hub()
            .drop_subscription(&stage.reader, agent, name("bound"))
            .await
            .unwrap();
        stage
            .hub()
            .subscribe_durable(&stage.reader, name("bound"), domains(), &[])
            .await
            .unwrap();
    });
}

#[test]
fn a_dropped_subscription_stays_listed_with_what_it_had_not_confirmed() {
    on_stage(async |stage: Stage| {
        let (before, after) = (
            stage.publish("example.com", open()).await,
            stage.publish("example.org", open()).await,
        );
        let mut feed = stage.attach(&stage.reader, "dropped", &[]).await;
        let (_, cursor) = until_live(&mut feed).await;
        stage.retract(before).await;
        let agent = stage.reader.agent.clone();
        let foreign = stage
            .hub()
            .drop_subscription(&stage.other, agent.clone(), name("dropped"))
            .await;
        assert_eq!(foreign.unwrap_err(), HubError::NotFound { field: "name" });
        stage
            .hub()
            .drop_subscription(&stage.reader, agent.clone(), name("dropped"))
            .await
            .unwrap();
        assert!(matches!(feed.next().await.unwrap_err(), HubError::Conflict { .. }));
        let gone = stage.acknowledge(&stage.reader, "dropped", &cursor).await.unwrap_err();
        assert_eq!(gone, HubError::NotFound { field: "name" });
        stage.retract(after).await;
        let holders = stage.recall(before).holders;
        assert!(holders.len() == 1 && holders[0].dropped && holders[0].confirmed_at.is_none());
        assert_eq!(
            stage.holders(after),
            [],
            "what is taken back later is not tracked towards it"
        );
        // The name may be used again, and what came under it before stays unconfirmed.
        let cursor = stage.visit(&stage.reader, "dropped", &[]).await;
        stage.visit(&stage.reader, "dropped", &cursor).await;
        assert!(stage.recall(before).holders[0].confirmed_at.is_none());
        assert_eq!(stage.hub().subscriptions(&stage.reader).await.unwrap().len(), 1);
    });
}

#[test]
fn unconfirmed_for_longer_than_the_hub_allows_is_overdue() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let cursor = stage.visit(&stage.reader, "late", &[]).await;
        stage.retract(id).await;
        stage.hub.pass_secs(86_400).await;
        assert!(!stage.recall(id).holders[0].overdue, "to the second it is in time");
        assert_eq!(stage.hub().recall_counts().await.unwrap().overdue, 0);
        stage.hub.pass_secs(1).await;
        assert!(stage.recall(id).holders[0].overdue);
        let counts = stage.hub().recall_counts().await.unwrap();
        assert_eq!((counts.open, counts.overdue), (1, 1));
        let cursor = stage.visit(&stage.reader, "late", &cursor).await;
        stage.visit(&stage.reader, "late", &cursor).await;
        assert!(!stage.recall(id).holders[0].overdue, "confirmed late is confirmed");
        let counts = stage.hub().recall_counts().await.unwrap();
        assert_eq!((counts.open, counts.overdue), (0, 0));
    });
}

#[test]
fn a_cursor_of_another_filter_member_or_hub_confirms_nothing() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        stage.visit(&stage.reader, "mine", &[]).await;
        stage.retract(id).await;
        let foreign = stage.visit(&stage.other, "theirs", &[]).await;
        let domains = Filter::parse("kind:domain").unwrap().filter;
        let mut feed = stage.hub().subscribe(&stage.reader, domains, &[]).unwrap();
        let (_, filtered) = until_live(&mut feed).await;
        for cursor in [foreign.as_ref(), filtered.as_ref(), b"", b"forged"] {
            let refused = stage.acknowledge(&stage.reader, "mine", cursor).await.unwrap_err();
            assert!(matches!(refused, HubError::CursorRefused { .. }), "{refused:?}");
        }
        assert_eq!(stage.holders(id), [("mine".to_owned(), false)]);
    });
}

#[test]
fn a_tightened_indicator_that_is_opened_again_is_confirmed_by_its_new_version() {
    on_stage(async |stage: Stage| {
        let id = stage.publish("example.com", open()).await;
        let cursor = stage.visit(&stage.reader, "again", &[]).await;
        stage.revise(id, only(&[&stage.other])).await;
        stage.revise(id, open()).await;
        assert_eq!(stage.holders(id), [("again".to_owned(), false)]);
        let cursor = stage.visit(&stage.reader, "again", &cursor).await;
        stage.visit(&stage.reader, "again", &cursor).await;
        assert_eq!(stage.holders(id), [("again".to_owned(), true)]);
    });
}
