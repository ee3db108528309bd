//! Snapshots of the views beside erasures: none holds what is erased, and none of before is used.

use super::files::{MARKER, is_marked};
use super::on_scene;

#[test]
fn no_snapshot_outlives_what_it_holds() {
    on_scene(async |mut scene| {
        let kept = scene.published("kept.example.com").await;
        for number in 0..8 {
            scene.published(&format!("more-{number}.example.com")).await;
        }
        let id = scene.published(MARKER).await;
        scene.hub.restart();
        let before = scene.hub.snapshot();
        assert!(is_marked(&before), "what is looked for is not found while it is there");
        let path = scene.hub.snapshot_path();
        let partial = path.with_extension("partial");
        std::fs::write(&partial, &before).unwrap();

        scene.order(id).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let round = scene.hub.hub().erase_due(async |_| {}).await;
        assert!(round.is_err() && scene.hub.hub().erased().entries == 0, "{round:?}");
        std::fs::remove_dir(&path).unwrap();
        scene.hub.write_snapshot(&before);
        scene.hub.erase().await;
        assert!(scene.is_erased(id));
        assert!(!path.exists() && !partial.exists());

        scene.hub.restart();
        assert_eq!(scene.hub.hub().entries_folded(), 0, "the one of after is used");
        assert!(!is_marked(&scene.hub.snapshot()));
        for snapshot in [None, Some(&before)] {
            scene.hub.restart_after(|_| match snapshot {
                Some(before) => std::fs::write(&path, before).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            });
            let size = scene.hub.hub().condition().log.size;
            assert_eq!(scene.hub.hub().entries_folded(), size, "one of before is not used");
            assert!(!path.exists() && scene.is_erased(id));
            assert_eq!(scene.lookup("kept.example.com").await, [kept]);
        }
    });
}

#[test]
fn a_snapshot_that_was_begun_before_an_erasure_does_not_appear_after_it() {
    on_scene(async |scene| {
        for number in 0..40 {
            scene.published(&format!("more-{number}.example.com")).await;
        }
        let (path, mut steps) = (scene.hub.snapshot_path(), 0);
        // The erasure comes after ever more steps of it: while chunks are copied, before the last of them, and once all is.
        loop {
            steps += 1;
            let id = scene.published(&format!("s{steps}.{MARKER}")).await;
            let Some(making) = scene.hub.make_snapshot(None, steps) else {
                break;
            };
            scene.order(id).await.unwrap();
            scene.hub.erase().await;
            assert!(scene.is_erased(id) && scene.hub.make_snapshot(Some(making), usize::MAX).is_none());
            assert!(!path.exists(), "after {steps} steps");
        }
        assert!(steps > 4, "there was little to interrupt");
        assert!(
            is_marked(&std::fs::read(&path).unwrap()),
            "the last was not interrupted"
        );
    });
}

#[test]
fn a_snapshot_does_not_appear_that_was_begun_before_something_is_to_be_erased() {
    on_scene(async |scene| {
        let id = scene.published(MARKER).await;
        for number in 0..20 {
            let more = scene.published(&format!("more-{number}.example.com")).await;
            if number < 5 {
                scene.retract(more).await;
            }
        }
        scene.retract(id).await;
        scene.end_epoch().await;
        scene.hub.let_time_pass().await;
        let making = scene.hub.make_snapshot(None, 1);
        assert!(making.is_some());
        // Writes down what goes, which the next round erases.
        scene.hub.erase_round().await;
        for making in [making, None] {
            assert!(scene.hub.make_snapshot(making, usize::MAX).is_none());
            assert!(!scene.hub.snapshot_path().exists());
        }
    });
}

#[test]
fn no_snapshot_is_made_of_what_is_being_erased() {
    on_scene(async |mut scene| {
        let id = scene.published(MARKER).await;
        scene.retract(id).await;
        scene.end_epoch().await;
        scene.hub.let_time_pass().await;
        scene.hub.erase_round().await;
        for is_due in [true, false] {
            let mut is_kept = None;
            let path = scene.hub.snapshot_path();
            scene.hub.restart_after(|_| is_kept = Some(path.exists()));
            assert_eq!(is_kept, Some(!is_due));
            assert_eq!(scene.hub.hub().entries_folded() > 0, is_due);
            scene.hub.erase_round().await;
        }
        assert!(!is_marked(&scene.hub.snapshot()));
    });
}
