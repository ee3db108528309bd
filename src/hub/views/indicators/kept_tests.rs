//! What is derived at a load is what came about before the stop: the indexes, and at which touches sets of facets came and went.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::*;
use crate::domain::id::{IndicatorId, ObservableId, Timestamp};
use crate::domain::observable::{Kind, Observable};
use crate::hub::views::Views;
use crate::hub::views::facets::tests::indicator;
use crate::hub::views::snapshot::{Sections, VERSION};
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::entry::{Entry, Event, StoredIndicator};
use crate::log::{Durability, Log, Options, Snapshot, SnapshotWriter};

/// Far more than a chunk, a round of an index and a part of it hold in tests.
const INDICATORS: u128 = 1_500;

/// Several indicators speak of each.
const OBSERVABLES: u128 = 600;

/// Publications, revisions that change facets or none, retractions, touches that are of no indicator, and what is erased.
fn lived(random: &mut StdRng, views: &mut Views) {
    for step in 0..3 * INDICATORS {
        let is_new = step < INDICATORS || random.random_bool(0.1);
        let number = if is_new {
            step
        } else {
            random.random_range(0..INDICATORS)
        };
        let mut indicator = indicator(random, number);
        let value = format!("{}.example.com", number % OBSERVABLES);
        indicator.content.observable = Observable::parse_as(Kind::Domain, &value).unwrap();
        let stored = Box::new(StoredIndicator::new(indicator));
        let event = match random.random_range(0..12) {
            0 if !is_new => Event::IndicatorRetracted { stored },
            1 => {
                views.indicators.mark_roster_change();
                continue;
            }
            _ if is_new => Event::IndicatorPublished {
                stored,
                request_id: "".into(),
            },
            _ => Event::IndicatorRevised {
                stored,
                request_id: "".into(),
            },
        };
        let entry = Entry {
            at: Timestamp(step as i64),
            actor: None,
            event,
        };
        views.apply(&entry);
    }
    // Nobody finds these by what they spoke of, and those of the same are one less.
    for index in (0..views.indicators.len() as RecordIndex).step_by(50) {
        views.indicators.forget_revision(index, 1);
        assert!(views.indicators.is_erased(index));
    }
}

fn stopped_and_loaded(views: &mut Views, dir: &std::path::Path) -> Views {
    let log = Log::create(&dir.join("log"), Options::default()).unwrap();
    let (path, bodies_path) = (dir.join("snapshot"), dir.join("bodies"));
    assert!(views.indicators.bodies_mut().close());
    let mut sections = Sections::new(SnapshotWriter::create(&path, Durability::Full).unwrap());
    let mut copying = Copying::default();
    while !views.copy(&mut copying) {
        copying
            .take_parts()
            .iter()
            .for_each(|(part, bytes)| sections.add(*part, bytes).unwrap());
    }
    copying
        .take_parts()
        .iter()
        .for_each(|(part, bytes)| sections.add(*part, bytes).unwrap());
    let mut saved = Vec::new();
    assert!(copying.bodies().unwrap().save(false, &mut saved).unwrap());
    sections.add(Part::Bodies, &saved).unwrap();
    let head = log.head();
    sections
        .into_writer(true)
        .unwrap()
        .finish(VERSION, head.size, &head.root)
        .unwrap();
    let snapshot = Snapshot::open(&path, VERSION, &log.reader()).unwrap().unwrap();
    let options = BodiesOptions::default();
    Views::load(&Reading::new(&snapshot).unwrap(), &bodies_path, options).unwrap()
}

#[test]
fn what_a_load_derives_is_what_came_about() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = Bodies::open(&dir.path().join("bodies"), BodiesOptions::default());
    let mut views = Views::new(bodies);
    lived(&mut StdRng::seed_from_u64(1), &mut views);
    let loaded = stopped_and_loaded(&mut views, dir.path());
    let (before, after) = (&views.indicators, &loaded.indicators);
    assert!(before.len() > 1_000 && before.len() == after.len() && before.ordinal() == after.ordinal());
    let all = 0..u32::MAX;
    let mut posted = 0;
    for set in 0..before.facets.len() {
        let (before, after) = (
            before.facets.postings(set).within(&all),
            after.facets.postings(set).within(&all),
        );
        assert_eq!(before, after, "touches of set {set}");
        posted += before.len();
    }
    assert!(
        posted > before.ordinal() as usize,
        "some touches took one set away and brought another"
    );
    let mut together = 0;
    for index in 0..before.len() as RecordIndex {
        let row = before.rows.at(index);
        assert_eq!(after.find(row.id), Some(index));
        let of_before: Vec<_> = before.of_observable(row.observable).collect();
        assert!(
            after.of_observable(row.observable).eq(of_before.iter().copied()),
            "{index}"
        );
        together += usize::from(of_before.len() > 1);
    }
    assert!(
        together > before.len() / 2,
        "{together} are not alone with their observable"
    );
    assert_eq!(after.find(IndicatorId(Uuid::from_u128(u128::MAX))), None);
    assert_eq!(after.newest_of(ObservableId(Uuid::from_u128(u128::MAX))), None);
    assert_eq!(
        (
            before.newest_of(ObservableId::ERASED),
            after.newest_of(ObservableId::ERASED)
        ),
        (None, None)
    );
}
