//! Laws of the indexes: what they find is what comparing with everything finds, whatever was put in and taken out before.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::pdq_index::Sizes;
use super::*;

/// Sizes that a history of a few hundred steps reaches: several segments, tables, and segments built anew.
const SMALL: Sizes = Sizes {
    slots_max: 150,
    tables_from_slots: 40,
    empty_slots_min: 10,
};

/// Tables from the start, so that long buckets and short ones are both searched by them.
const TABLES_AT_ONCE: Sizes = Sizes {
    slots_max: 100_000,
    tables_from_slots: 1,
    empty_slots_min: 1_000_000,
};

#[derive(Clone, Debug)]
enum Step<H> {
    Insert(Key, H),
    Remove(Key),
    Ask(H, u32),
}

/// Hashes around a few centres, so that most questions find something and much of it lies at the very distance.
fn pdq_hashes() -> impl Strategy<Value = PdqHash> {
    let centre = prop::sample::select(vec![0_u64, u64::MAX, 0x0123_4567_89ab_cdef]);
    let turned = prop::collection::vec(0..256_usize, 0..24);
    (centre, turned).prop_map(|(word, turned)| {
        let mut words = [word, word.rotate_left(13), !word, word.rotate_left(31)];
        for bit in turned {
            words[bit / 64] ^= 1 << (bit % 64);
        }
        PdqHash::from_words(words)
    })
}

fn tlsh_hashes() -> impl Strategy<Value = TlshHash> {
    let head = (
        0..2_u8,
        prop::sample::select(vec![0_u8, 1, 2, 3, 254, 255]),
        any::<u8>(),
    );
    let body = prop::collection::vec((0..32_usize, any::<u8>()), 0..4);
    (head, body).prop_map(|((checksum, length, ratios), body)| {
        let mut bytes = [0x1b; 32];
        for (place, byte) in body {
            bytes[place] = byte;
        }
        // Near ratios, and some across the end of their circle.
        let ratios = ratios & 0x37 | if ratios & 0x40 == 0 { 0 } else { 0xc0 };
        let mut text = format!("T1{checksum:02X}{length:02X}{ratios:02X}");
        bytes.iter().for_each(|byte| text.push_str(&format!("{byte:02X}")));
        TlshHash::parse(&text).unwrap()
    })
}

fn steps<H: std::fmt::Debug + 'static>(
    hashes: impl Strategy<Value = H> + 'static,
    distances: std::ops::RangeInclusive<u32>,
) -> impl Strategy<Value = Vec<Step<H>>> {
    let hashes = hashes.boxed();
    let step = prop_oneof![
        8 => (0..400_u32, hashes.clone()).prop_map(|(key, hash)| Step::Insert(key, hash)),
        4 => (0..400_u32).prop_map(Step::Remove),
        2 => (hashes, distances).prop_map(|(hash, distance)| Step::Ask(hash, distance)),
    ];
    prop::collection::vec(step, 1..700)
}

/// What is found, sorted; what is shown twice stands twice.
fn sorted(near: impl FnOnce(&mut dyn FnMut(Key, u32))) -> Vec<(Key, u32)> {
    let mut found = Vec::new();
    near(&mut |key, distance| found.push((key, distance)));
    found.sort_unstable();
    found
}

fn compared<H>(held: &BTreeMap<Key, H>, distance_max: u32, distance: impl Fn(&H) -> u32) -> Vec<(Key, u32)> {
    let all = held.iter().map(|(key, hash)| (*key, distance(hash)));
    all.filter(|(_, distance)| *distance <= distance_max).collect()
}

fn play_pdq(steps: &[Step<PdqHash>], sizes: Sizes) -> Result<(), TestCaseError> {
    let (mut index, mut held) = (PdqIndex::with_sizes(sizes), BTreeMap::new());
    for step in steps {
        match step {
            Step::Insert(key, hash) => {
                index.insert(*key, *hash);
                held.insert(*key, *hash);
            }
            Step::Remove(key) => {
                index.remove(*key);
                held.remove(key);
            }
            Step::Ask(hash, distance_max) => {
                let found = sorted(|show| index.near(hash, *distance_max, show));
                prop_assert_eq!(found, compared(&held, *distance_max, |one| one.distance(hash)));
            }
        }
        prop_assert_eq!(index.len(), held.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pdq_finds_what_comparing_with_everything_finds(steps in steps(pdq_hashes(), 1..=31)) {
        play_pdq(&steps, SMALL)?;
        play_pdq(&steps, TABLES_AT_ONCE)?;
        play_pdq(&steps, Sizes::default())?;
    }

    #[test]
    fn tlsh_finds_what_comparing_with_everything_finds(steps in steps(tlsh_hashes(), 1..=100)) {
        let (mut index, mut held) = (TlshIndex::default(), BTreeMap::new());
        for step in &steps {
            match step {
                Step::Insert(key, hash) => {
                    index.insert(*key, *hash);
                    held.insert(*key, *hash);
                }
                Step::Remove(key) => {
                    index.remove(*key);
                    held.remove(key);
                }
                Step::Ask(hash, distance_max) => {
                    let found = sorted(|show| index.near(hash, *distance_max, show));
                    prop_assert_eq!(found, compared(&held, *distance_max, |one| one.distance(hash)));
                }
            }
            prop_assert_eq!(index.len(), held.len());
        }
    }
}

/// A repeatable stream of numbers (SplitMix64), for sets too large to be drawn one by one.
fn drawn(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Two bits of each part are turned but in one, where it is one: 31 in all, and no part is nearer than it must be.
#[test]
fn what_is_as_far_as_it_may_be_in_every_part_is_found() {
    let mut draw = drawn(1);
    let mut index = PdqIndex::with_sizes(TABLES_AT_ONCE);
    let words = [draw(), draw(), draw(), draw()];
    let mut all = Vec::new();
    // Others, or a scan would be cheaper than the tables and would be what is tested.
    for key in 1_000..60_000 {
        index.insert(key, PdqHash::from_words([draw(), draw(), draw(), draw()]));
    }
    for key in 0..320_u32 {
        let mut turned = words;
        for part in 0..16 {
            let one = draw() % 16;
            let other = (one + 1 + draw() % 15) % 16;
            turned[part / 4] ^= 1 << (16 * (part % 4) as u64 + one);
            if part as u32 != key % 16 {
                turned[part / 4] ^= 1 << (16 * (part % 4) as u64 + other);
            }
        }
        index.insert(key, PdqHash::from_words(turned));
        all.push((key, 31));
    }
    let asked = PdqHash::from_words(words);
    assert_eq!(sorted(|show| index.near(&asked, 31, show)), all);
    assert_eq!(sorted(|show| index.near(&asked, 30, show)), []);
    // A bound that an index cannot hold is its own.
    assert_eq!(sorted(|show| index.near(&asked, 256, show)), all);
}

#[test]
fn large_sets_are_searched_exactly() {
    for clusters in [0_u64, 40] {
        let mut draw = drawn(7 + clusters);
        let centres: Vec<[u64; 4]> = (0..clusters).map(|_| [draw(), draw(), draw(), draw()]).collect();
        let mut index = PdqIndex::default();
        let mut all = BTreeMap::new();
        for key in 0..30_000 {
            let mut words = [draw(), draw(), draw(), draw()];
            if clusters > 0 {
                words = centres[(draw() % clusters) as usize];
                for _ in 0..draw() % 20 {
                    words[(draw() % 4) as usize] ^= 1 << (draw() % 64);
                }
            }
            index.insert(key, PdqHash::from_words(words));
            all.insert(key, (PdqHash::from_words(words), words));
        }
        for key in (0..30_000).step_by(5) {
            index.remove(key);
            all.remove(&key);
        }
        for asked in 0..60_u32 {
            let (_, mut words) = *all.values().nth(asked as usize * 300).unwrap();
            for _ in 0..draw() % 32 {
                words[(draw() % 4) as usize] ^= 1 << (draw() % 64);
            }
            let asked = PdqHash::from_words(words);
            let held: BTreeMap<Key, PdqHash> = all.iter().map(|(key, (hash, _))| (*key, *hash)).collect();
            for distance_max in [10, 15, 16, 31] {
                let found = sorted(|show| index.near(&asked, distance_max, show));
                assert_eq!(found, compared(&held, distance_max, |one| one.distance(&asked)));
            }
        }
    }
}

#[test]
fn a_reach_is_of_one_kind_and_of_a_distance_that_its_kind_has() {
    let pdq = Observable::parse_as(Kind::Pdq, &"0f".repeat(32)).unwrap();
    let tlsh = Observable::parse_as(Kind::Tlsh, &"0f".repeat(35)).unwrap();
    let name = Observable::parse("example.com").unwrap();
    for (observable, usual, max) in [(&pdq, 31, 31), (&tlsh, 30, 100)] {
        assert_eq!(Near::new("near", observable, None).unwrap().distance_max(), usual);
        assert!(Near::new("near", observable, Some(1)).is_ok());
        assert!(Near::new("near", observable, Some(max)).is_ok());
        for wrong in [0, max + 1] {
            assert_eq!(Near::new("near", observable, Some(wrong)).unwrap_err().field, "near");
        }
        let near = Near::usual(observable).unwrap();
        assert!(near.holds(&SimilarityHash::of(observable).unwrap()));
        assert_eq!(near.hash().value(), observable.value());
        for near in [near, Near::new("near", observable, Some(7)).unwrap()] {
            assert_eq!(Near::parse("near", &near.to_string()), Ok(near));
        }
    }
    assert!(Near::new("near", &name, None).is_err() && Near::usual(&name).is_none());
    let near = Near::usual(&pdq).unwrap();
    let holds =
        |value: &str| near.holds(&SimilarityHash::of(&Observable::parse_as(Kind::Pdq, value).unwrap()).unwrap());
    assert!(!near.holds(&SimilarityHash::of(&tlsh).unwrap()));
    assert!(holds(&format!("ffffffff{}", "0f".repeat(28))));
    assert!(
        !holds(&format!("{}{}", "f0".repeat(4), "0f".repeat(28))),
        "32 bits are too many"
    );
}
