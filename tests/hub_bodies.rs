//! A hub whose bodies are on disk, asked by who has no runtime.
#![allow(missing_docs)]

mod hub_support;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::member::MemberKind;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::publish::Item;
use hub_support::drafts::Rules;
use hub_support::waiting::wait;
use hub_support::{TestHub, drafts};

/// Some full blocks of bodies, and one that is not.
const INDICATORS: usize = 100;

#[test]
fn a_thread_without_a_runtime_gets_the_bodies_that_are_on_disk() {
    let mut hub = TestHub::with_bodies_on_disk();
    let member = wait(hub.member("Publisher", MemberKind::Platform));
    let items = (0..INDICATORS).map(|number| {
        let handling = Rules::open(Tlp::Green).handling().expect("a handling");
        Ok::<Item, Violation>(drafts::item(drafts::content(
            &format!("host{number}.example.com"),
            handling,
        )))
    });
    wait(hub.hub().publish(&member, items.collect::<Vec<_>>())).expect("published");
    let search = |hub: &TestHub| wait(hub.hub().search(&member, &Filter::default(), INDICATORS, None));
    let bodies = |hub: &TestHub| {
        let page = search(hub).expect("a page");
        let bodies = page.releases.iter().map(|release| release.body().body.clone());
        bodies.collect::<Vec<_>>()
    };
    let before = bodies(&hub);
    // What is full is written before the hub is closed, and is not in memory after.
    hub.restart();
    let after = bodies(&hub);
    assert_eq!(before.len(), INDICATORS);
    assert_eq!(before, after);
}
