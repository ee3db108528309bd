//! Single ways in which a member could learn of what it may not see: those that once stood open, and those that random worlds
//! are too small to reach.

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::member::{MemberKind, Role};
use clearinghouse::domain::observable::Observable;
use clearinghouse::hub::Caller;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::Limits;
use clearinghouse::hub::publish::{Item, Outcome};
use clearinghouse::hub::query::MATCHES_MAX;
use clearinghouse::hub::roster::Asked;
use clearinghouse::hub::subscription::SUBSCRIPTIONS_PER_MEMBER_MAX;

use super::compare;
use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::{poll_now, wait};
use super::hub_support::{TestHub, name, runtime};
use super::script::{Common, Hidden, Observation, Other, Script, Secret, Shown, Step, Streaming};
use super::world::Stage;

fn check(batch_items: usize, hold_touches: u32, steps: Vec<Step>) {
    check_for(MemberKind::Research, (batch_items, hold_touches), steps);
}

fn check_for(observer: MemberKind, (batch_items, hold_touches): (usize, u32), steps: Vec<Step>) {
    let is_observer = |kind: &MemberKind| *kind == observer;
    let script = Script {
        observer_is: MemberKind::ALL.iter().position(is_observer).expect("a kind"),
        batch_items,
        hold_touches,
        steps,
    };
    if let Err(difference) = compare(&mut [Stage::new(), Stage::new()], &script) {
        panic!("{difference}");
    }
}

fn publish(value: usize) -> Step {
    Step::Both(Common::Publish {
        value,
        campaign: 0,
        shown: Shown::ToAll,
    })
}

fn in_secret(secret: Secret) -> Step {
    Step::Only { first: true, secret }
}

fn secret_publications(copies: usize) -> Step {
    in_secret(Secret::Publish {
        by: Other::Government,
        value: 0,
        campaign: 1,
        hidden: Hidden::NamedAnother,
        copies,
        request: 0,
    })
}

const READ_ALL: Step = Step::Both(Common::Observe(Observation::Read {
    feed: 0,
    batches: usize::MAX,
}));

#[test]
fn secret_touches_do_not_split_batches() {
    check(3, 1, vec![publish(0), secret_publications(3), publish(1), READ_ALL]);
}

#[test]
fn secret_touches_after_a_full_batch_do_not_keep_it_from_being_live() {
    check(1, 4_096, vec![publish(0), secret_publications(3), READ_ALL]);
}

#[test]
fn the_place_of_a_removal_does_not_tell_of_later_changes() {
    let own = |value| {
        Step::Both(Common::OwnPublish {
            value,
            campaign: 0,
            request: value,
            released: false,
        })
    };
    let hidden = Hidden::NamedAnother;
    let again = in_secret(Secret::ReviseLost { item: 0, hidden });
    let tighten = Step::Both(Common::Tighten { item: 0, hidden });
    check(
        1,
        4_096,
        vec![publish(0), READ_ALL, tighten.clone(), own(1), again.clone(), READ_ALL],
    );
    let group = Step::Both(Common::Publish {
        value: 0,
        campaign: 0,
        shown: Shown::ByGroup,
    });
    let leave = Step::Both(Common::LeaveGroup);
    check(1, 4_096, vec![group, READ_ALL, leave, own(1), again, READ_ALL]);
}

/// A feed that has left something out for want of a right sends again what may be seen; whether it does must not tell what
/// became of the rest.
#[test]
fn what_is_sent_again_does_not_tell_of_what_was_left_out() {
    let to_group = Step::Both(Common::Publish {
        value: 2,
        campaign: 0,
        shown: Shown::ByGroup,
    });
    let read_one = Step::Both(Common::Observe(Observation::Read { feed: 0, batches: 1 }));
    let leave = Step::Both(Common::LeaveGroup);
    let retract = in_secret(Secret::RetractInLeftGroup { item: 0 });
    check(
        2,
        4_096,
        vec![publish(0), publish(1), to_group, read_one, leave, retract, READ_ALL],
    );
}

/// Whoever delivers to a government waits for the record, and a call that was cancelled meanwhile goes on with the batch that it had. That
/// ends where it did, whether or not others have feeds open and could have it in common.
#[test]
fn a_batch_that_was_begun_ends_where_it_did_whoever_else_has_a_feed() {
    let own = Step::Both(Common::OwnPublish {
        value: 0,
        campaign: 1,
        request: 0,
        released: true,
    });
    let shown = |value, shown| {
        Step::Both(Common::Publish {
            value,
            campaign: 1,
            shown,
        })
    };
    let read = |batches| Step::Both(Common::Observe(Observation::Read { feed: 1, batches }));
    let revise = Step::Both(Common::OwnRevise {
        item: 0,
        campaign: 1,
        narrows: false,
    });
    let feed_of_another = in_secret(Secret::Stream {
        by: Other::Platform,
        what: Streaming::Read,
    });
    check_for(
        MemberKind::Government,
        (2, 4_096),
        vec![
            read(1),
            feed_of_another,
            own,
            shown(1, Shown::Red),
            shown(2, Shown::ByName),
            read(1),
            revise,
            read(2),
        ],
    );
}

fn stream(what: Streaming) -> Step {
    Step::Both(Common::Stream {
        by: Some(Other::Research),
        campaign: Some(1),
        what,
    })
}

/// That a holder confirms what others took back proves how far it has got; a publisher whose indicator is not concerned must not see
/// the difference, or it would learn of the recalls of others.
#[test]
fn a_recall_does_not_tell_what_its_holders_confirmed_to_others() {
    let secret = in_secret(Secret::Publish {
        by: Other::Government,
        value: 1,
        campaign: 1,
        hidden: Hidden::NamedAnother,
        copies: 1,
        request: 0,
    });
    let publish = Step::Both(Common::OwnPublish {
        value: 0,
        campaign: 1,
        request: 0,
        released: true,
    });
    let out_of_its_filter = Step::Both(Common::OwnRevise {
        item: 0,
        campaign: 0,
        narrows: false,
    });
    let retract_in_secret = in_secret(Secret::Retract { item: 0 });
    let retract = Step::Both(Common::OwnRetract { item: 0 });
    let recalls = Step::Both(Common::Observe(Observation::Recalls));
    check(
        3,
        4_096,
        vec![
            publish,
            secret,
            stream(Streaming::Read),
            out_of_its_filter,
            retract_in_secret,
            stream(Streaming::Read),
            stream(Streaming::Acknowledge),
            retract,
            recalls,
        ],
    );
}

/// Two members on a hub.
struct Pair {
    hub: TestHub,
    platform: Caller,
    observer: Caller,
}

impl Pair {
    fn new() -> Pair {
        let hub = TestHub::new();
        let platform = wait(hub.member("Platform", MemberKind::Platform));
        let observer = wait(hub.member("Observer", MemberKind::Research));
        Pair {
            hub,
            platform,
            observer,
        }
    }

    /// So many indicators of one value, a campaign each.
    fn publish(&self, count: usize, rules: &Rules, campaigns: &str) -> Vec<IndicatorId> {
        self.publish_of("example.com", count, rules, campaigns)
    }

    fn publish_of(&self, value: &str, count: usize, rules: &Rules, campaigns: &str) -> Vec<IndicatorId> {
        let item = |number| {
            let mut content = drafts::content(value, rules.clone().handling().expect("handling that holds"));
            content.campaign = drafts::text(&format!("{campaigns} {number}"));
            Ok::<Item, clearinghouse::domain::violation::Violation>(drafts::item(content))
        };
        let outcomes = wait(
            self.hub
                .hub()
                .publish(&self.platform, (0..count).map(item).collect::<Vec<_>>()),
        );
        let id = |outcome| match outcome {
            Outcome::Accepted { id, .. } => id,
            other => panic!("{other:?}"),
        };
        outcomes
            .expect("the platform may publish")
            .into_iter()
            .map(id)
            .collect()
    }

    fn secretly(&self) -> Rules {
        Rules {
            members: vec![self.platform.member],
            ..Rules::open(Tlp::Red)
        }
    }
}

#[test]
fn a_look_up_is_truncated_by_what_may_be_seen_alone() {
    let pair = Pair::new();
    let look_up = || {
        let asked = [Observable::parse("example.com").ok()];
        let answers = wait(pair.hub.hub().lookup(&pair.observer, &asked)).expect("the observer may look up");
        (answers[0].found.len(), answers[0].truncated)
    };
    pair.publish(MATCHES_MAX - 1, &Rules::open(Tlp::Green), "open");
    pair.publish(50, &pair.secretly(), "secret");
    assert_eq!(look_up(), (MATCHES_MAX - 1, false));
    pair.publish(1, &Rules::open(Tlp::Green), "one more");
    assert_eq!(look_up(), (MATCHES_MAX, false));
    pair.publish(50, &pair.secretly(), "more secrets");
    assert_eq!(look_up(), (MATCHES_MAX, false));
    pair.publish(1, &Rules::open(Tlp::Green), "past the limit");
    assert_eq!(look_up(), (MATCHES_MAX, true));
}

/// Ids of one millisecond that count up would tell how many others were given between.
#[test]
fn ids_of_one_millisecond_do_not_count() {
    let pair = Pair::new();
    let ids = pair.publish(500, &Rules::open(Tlp::Green), "open");
    let millisecond = |id: &IndicatorId| id.0.as_u128() >> 80;
    let neighbours = ids
        .windows(2)
        .filter(|pair| millisecond(&pair[0]) == millisecond(&pair[1]));
    let (rising, all) = neighbours.fold((0, 0), |(rising, all), pair| {
        (rising + usize::from(pair[0] < pair[1]), all + 1)
    });
    assert!(all > 100, "only {all} neighbours share a millisecond");
    assert!(rising < all * 9 / 10, "{rising} of {all} neighbours count up");
}

#[test]
fn a_quiet_feed_stays_quiet_whatever_happens_in_secret() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let pair = Pair::new();
    let mut feed = pair
        .hub
        .hub()
        .subscribe(&pair.observer, Filter::default(), &[])
        .expect("a feed");
    let first = poll_now(feed.next())
        .expect("a first batch")
        .expect("the observer may read");
    assert!(first.live.is_some() && first.upserts.is_empty());
    pair.publish(100, &pair.secretly(), "secret");
    assert!(
        poll_now(feed.next()).is_none(),
        "a secret publication woke the feed's reader"
    );
}

#[test]
fn a_batch_that_a_cancelled_call_began_is_not_lost() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let pair = Pair::new();
    pair.publish(3, &Rules::open(Tlp::Green), "open");
    let limits = Limits {
        touches_per_hold_max: 1,
        ..Limits::DEFAULT
    };
    let hub = pair.hub.hub();
    let mut feed = hub
        .subscribe_within(&pair.observer, Filter::default(), &[], limits)
        .expect("a feed");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..5 {
        // A hold sees one touch: the three members, then the indicators. Each call is cancelled after its hold.
        let begun = std::pin::pin!(feed.next()).as_mut().poll(&mut context).is_pending();
        assert!(begun, "a call ended after one hold");
    }
    let batch = poll_now(feed.next()).expect("a batch").expect("the observer may read");
    assert_eq!(batch.upserts.len(), 3);
}

/// What was taken back between two holds of the lock is not handed out with what was gathered before.
#[test]
fn a_batch_in_the_making_lets_go_of_what_is_taken_back() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let pair = Pair::new();
    let ids = pair.publish(3, &Rules::open(Tlp::Green), "open");
    let limits = Limits {
        touches_per_hold_max: 1,
        ..Limits::DEFAULT
    };
    let hub = pair.hub.hub();
    let mut feed = hub
        .subscribe_within(&pair.observer, Filter::default(), &[], limits)
        .expect("a feed");
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..4 {
        // Rights and roster come first in the log; after four holds something has been gathered.
        drop(std::pin::pin!(feed.next()).as_mut().poll(&mut context));
    }
    wait(hub.retract(&pair.platform, ids[..1].to_vec(), drafts::text("no longer held"), true)).expect("a retraction");
    let batch = poll_now(feed.next()).expect("a batch").expect("the observer may read");
    let sent: Vec<_> = batch.upserts.iter().map(|release| release.body().id).collect();
    assert_eq!(sent, ids[1..]);
}

/// Changes that wait for a second admin are the admins' business alone.
#[test]
fn deliberations_push_nothing_out_of_what_a_member_reads_of_its_history() {
    let pair = Pair::new();
    let (hub, admin) = (pair.hub.hub(), pair.hub.admin());
    wait(
        pair.hub
            .enrol(admin.member, "second", [Role::Admin].into_iter().collect()),
    );
    let read = || format!("{:?}", hub.member_history(&pair.observer, pair.observer.member));
    let before = read();
    assert!(before.contains("ADMITTED"), "{before}");
    for _ in 0..500 {
        let asked = wait(hub.rename_member(admin, pair.observer.member, name("Another name")));
        let Ok(Asked::Pending(pending)) = asked else {
            panic!("{asked:?}");
        };
        wait(hub.reject_change(admin, pending.id)).expect("a rejection");
    }
    assert_eq!(read(), before);
}

/// A subscription that was dropped counts for as long as it may have held something, whether or not anything has changed since.
#[test]
fn the_limit_of_subscriptions_does_not_tell_what_happened_in_secret() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let dropped = |happens_in_secret: bool| {
        let pair = Pair::new();
        let hub = pair.hub.hub();
        pair.publish(1, &Rules::open(Tlp::Green), "open");
        let mut feed = hub.subscribe(&pair.observer, Filter::default(), &[]).expect("a feed");
        let first = poll_now(feed.next()).expect("a first batch");
        let cursor = first.expect("the observer may read").cursor;
        for count in 0..=SUBSCRIPTIONS_PER_MEMBER_MAX {
            let name = super::streams::name(&format!("siem-{count}"));
            let attached = wait(hub.subscribe_durable(&pair.observer, name.clone(), Filter::default(), &cursor));
            if let Err(refused) = attached {
                return (count, refused);
            }
            if happens_in_secret {
                pair.publish_of(&format!("host-{count}.example.com"), 1, &pair.secretly(), "secret");
            }
            wait(hub.drop_subscription(&pair.observer, pair.observer.agent.clone(), name)).expect("it is dropped");
        }
        panic!("there is an end to it");
    };
    assert_eq!(dropped(false), dropped(true));
}

#[test]
fn a_cursor_of_another_member_or_filter_is_refused_like_a_forged_one() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let pair = Pair::new();
    let hub = pair.hub.hub();
    let mut feed = hub.subscribe(&pair.platform, Filter::default(), &[]).expect("a feed");
    let cursor = poll_now(feed.next())
        .expect("a batch")
        .expect("the platform may read")
        .cursor;
    let sure = Filter {
        confidence_min: 50,
        ..Filter::default()
    };
    let refusals = [
        hub.subscribe(&pair.observer, Filter::default(), &cursor).err(),
        hub.subscribe(&pair.platform, sure, &cursor).err(),
        hub.subscribe(&pair.observer, Filter::default(), &[7; 66]).err(),
    ];
    assert!(
        matches!(refusals[0], Some(HubError::CursorRefused { .. })),
        "{:?}",
        refusals[0]
    );
    assert!(refusals.iter().all(|refusal| refusal == &refusals[0]), "{refusals:?}");
}
