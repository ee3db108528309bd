//! A hub that was restored from a backup goes on otherwise than it went on before. What was handed out on the way that is lost must be
//! refused, for the changes between would be taken for known.

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::hub::error::HubError;

use super::hub_support;
use super::hub_support::drafts::Rules;
use super::stage::{Stage, name, open, until_live};

#[test]
fn cursor_of_what_a_restore_undid_is_refused_and_an_older_one_is_served() {
    hub_support::runtime().block_on(async {
        let mut stage = Stage::new().await;
        let kept = stage.publish("kept.example.com", open()).await;
        let before = stage.visit(&stage.reader, "siem", &[]).await;
        let backup = stage.hub.back_up();
        stage.publish("lost.example.com", open()).await;
        let lost = stage.visit(&stage.reader, "siem", &before).await;
        let page_of = async |stage: &Stage, token: Option<&[u8]>| {
            let (reader, filter) = (&stage.reader, Filter::default());
            stage.hub().search(reader, &filter, 1, token).await
        };
        let token = page_of(&stage, None).await.unwrap().next.unwrap();

        stage.hub.restore(&backup);
        // As many changes as were lost, so that the position alone would fit.
        let anew = stage.publish("anew.example.com", open()).await;
        stage.publish("more.example.com", Rules::open(Tlp::Clear)).await;
        let subscribed = stage.hub().subscribe(&stage.reader, Filter::default(), &lost);
        assert!(matches!(subscribed.err(), Some(HubError::CursorRefused { .. })));
        let acknowledged = stage.acknowledge(&stage.reader, "siem", &lost).await;
        assert!(matches!(acknowledged, Err(HubError::CursorRefused { .. })));
        let page = page_of(&stage, Some(&token)).await;
        assert!(matches!(page.err(), Some(HubError::CursorRefused { .. })));

        let feed = stage.hub().subscribe(&stage.reader, Filter::default(), &before);
        let (batches, _) = until_live(&mut feed.expect("an older cursor is of this log too")).await;
        let sent: Vec<_> = batches
            .iter()
            .flat_map(|batch| &batch.upserts)
            .map(|release| release.body().id)
            .collect();
        assert_eq!(sent.len(), 2);
        assert!(sent.contains(&anew) && !sent.contains(&kept));
        drop(stage.attach(&stage.reader, "siem", &before).await);
        stage
            .hub()
            .drop_subscription(&stage.reader, stage.reader.agent.clone(), name("siem"))
            .await
            .unwrap();
    });
}

#[test]
fn cursor_outlives_restarts_whether_or_not_the_hub_wrote_between() {
    hub_support::runtime().block_on(async {
        let mut stage = Stage::new().await;
        stage.publish("one.example.com", open()).await;
        let cursor = {
            let mut feed = stage.hub().subscribe(&stage.reader, Filter::default(), &[]).unwrap();
            until_live(&mut feed).await.1
        };
        stage.hub.restart();
        let quiet = {
            let mut feed = stage
                .hub()
                .subscribe(&stage.reader, Filter::default(), &cursor)
                .unwrap();
            until_live(&mut feed).await.1
        };
        stage.hub.restart();
        stage.publish("two.example.com", open()).await;
        stage.hub.restart();
        for cursor in [cursor, quiet] {
            let mut feed = stage
                .hub()
                .subscribe(&stage.reader, Filter::default(), &cursor)
                .unwrap();
            let (batches, _) = until_live(&mut feed).await;
            assert_eq!(batches.iter().map(|batch| batch.upserts.len()).sum::<usize>(), 1);
        }
    });
}
