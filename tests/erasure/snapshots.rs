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
