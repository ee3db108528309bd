//! What the bench publishes and looks up: drafts that have the shapes of real reports and nobody's data. The same seed and
//! number give the same draft on every machine and in every version, so that a run can be repeated and a value that was published
//! can be asked for. Owns the tables of shares and lengths; refuses to name anything that exists: hosts lie under the names and
//! addresses set aside for documentation and benchmarks (RFC 2606, RFC 2544).

use prost_types::Timestamp;

use super::chance::Chance;
use super::pictures::Pictures;
use crate::grpc::wire::{self, ObservableKind as Kind};

/// Kinds in a thousand, as public reports of platforms, research groups and agencies have them.
const KINDS: [(u64, Kind); 10] = [
    (752, Kind::Domain),
    (150, Kind::Url),
    (27, Kind::Sha1),
    (22, Kind::AndroidApp),
    (15, Kind::Md5),
    (14, Kind::Sha256),
    (13, Kind::Ipv4),
    (4, Kind::Email),
    (2, Kind::IosApp),
    (1, Kind::Hashtag),
];

/// Lengths in bytes: of a hundred values so many lie between the two. For domains it is the registrable name without what
/// follows its dot; the `.example.com` that stands there is eight bytes longer than the usual `.com`.
type Lengths = [(u64, usize, usize)];
const DOMAIN_LABEL: &Lengths = &[(5, 10, 11), (70, 11, 15), (20, 15, 21), (4, 21, 27), (1, 27, 60)];
const URL_PATH: &Lengths = &[(50, 10, 14), (25, 14, 35), (20, 35, 97), (4, 97, 145), (1, 145, 270)];
const PACKAGE_NAME: &Lengths = &[(50, 10, 13), (40, 13, 21), (9, 21, 37), (1, 37, 60)];
const MAIL_LOCAL: &Lengths = &[(50, 10, 12), (50, 12, 20)];
const NOTE: &Lengths = &[(25, 13, 27), (50, 27, 31), (20, 31, 105), (5, 105, 239)];

/// Of a hundred drafts so many carry a remark.
const NOTED_PERCENT: u64 = 36;

/// Of a hundred hosts so many are written as reports write them, so that nobody clicks.
const DEFANGED_PERCENT: u64 = 50;

/// Indicators of one report, on average: they name one campaign and share what is said of it.
pub const INDICATORS_PER_CAMPAIGN: u64 = 190;

/// Hosts that carry the many addresses of a few large platforms.
const PLATFORMS: u64 = 40;

/// Seconds of 2024-01-01, before which nothing was seen.
const FIRST_SEEN_FROM_SECS: i64 = 1_704_067_200;

const SYLLABLES: [&str; 32] = [
    "ak", "al", "an", "ar", "be", "bo", "da", "de", "el", "en", "fo", "go", "il", "in", "ka", "le", "li", "ma", "me",
    "mo", "na", "ne", "news", "no", "on", "or", "po", "re", "ro", "ta", "ti", "vo",
];
const WORDS: [&str; 24] = [
    "copied",
    "article",
    "about",
    "energy",
    "prices",
    "shared",
    "by",
    "accounts",
    "with",
    "the",
    "same",
    "photo",
    "on",
    "several",
    "pages",
    "within",
    "minutes",
    "of",
    "each",
    "other",
    "registered",
    "same",
    "day",
    "mirror",
];
const OPERATIONS: [&str; 16] = [
    "Amber", "Birch", "Cobalt", "Drift", "Ember", "Fjord", "Granite", "Harbour", "Iris", "Juniper", "Kelp", "Lantern",
    "Marble", "Nimbus", "Opal", "Prism",
];
const TTPS: [&str; 12] = [
    "T0007",
    "T0013",
    "T0019.002",
    "T0043",
    "T0049.001",
    "T0066",
    "T0074.001",
    "T0086",
    "T0090.001",
    "T0104",
    "T0115",
    "0.9.4",
];
const COUNTRIES: [&str; 10] = ["DE", "FR", "UA", "PL", "US", "IT", "IL", "LV", "ES", "GB"];
const LANGUAGES: [&str; 8] = ["de", "fr", "uk", "pl", "en", "it", "he", "es"];

/// A sequence of drafts.
#[derive(Clone, Debug)]
pub struct Load {
    seed: u64,
    /// Groups that an AMBER draft is for; without any, all drafts are CLEAR or GREEN.
    groups: Vec<String>,
    /// In the place of the values of reports.
    pictures: Option<Pictures>,
}

impl Load {
    /// The drafts of `seed`. Where the publisher is in groups, a part of them is for those alone.
    pub fn new(seed: u64, groups: Vec<String>) -> Load {
        Load {
            seed,
            groups,
            pictures: None,
        }
    }

    /// The same drafts about hashes of pictures.
    pub fn of_pictures(self, pictures: Pictures) -> Load {
        Load {
            pictures: Some(pictures),
            ..self
        }
    }

    /// What the values are to be declared to be, where their text does not tell.
    pub fn asked_kind(&self) -> Kind {
        match self.pictures {
            Some(_) => Kind::Pdq,
            None => Kind::Unspecified,
        }
    }

    /// The observable of draft `number` as a member would write it, and its kind.
    pub fn value(&self, number: u64) -> (String, Kind) {
        self.value_by(&mut self.chance(number), number)
    }

    /// The value of draft `number` as somebody writes it who asks without saying what it is. An app's name looks like a host's and
    /// its number like nothing, so that who asks for one gives its address in a store; here, the value of another draft is asked for.
    pub fn asked(&self, number: u64) -> String {
        // The first draft of all may be an app's.
        let others = (0..=number).rev().chain(number + 1..);
        let mut values = others.map(|number| self.value(number));
        let found = values.find(|(_, kind)| !matches!(kind, Kind::AndroidApp | Kind::IosApp));
        found.map(|(value, _)| value).unwrap_or_default()
    }

    /// What draft `number` says besides what its report does, and its request id.
    pub fn own(&self, number: u64) -> (String, wire::IndicatorDraft) {
        let mut chance = self.chance(number);
        let (raw, kind) = self.value_by(&mut chance, number);
        let first_seen_secs = FIRST_SEEN_FROM_SECS + signed(chance.below(500 * 86_400));
        let mut draft = wire::IndicatorDraft {
            raw,
            kind: kind.into(),
            verdict: 1 + i32::from(chance.percent(30)),
            confidence: 50 + 5 * u32::try_from(chance.below(11)).unwrap_or_default(),
            first_seen: Some(Timestamp {
                seconds: first_seen_secs,
                nanos: 0,
            }),
            ..Default::default()
        };
        if chance.percent(NOTED_PERCENT) {
            let bytes = length(&mut chance, NOTE);
            draft.note = chance.words(bytes, &WORDS);
        }
        let request_id = match self.pictures {
            None => format!("bench-{:x}-{number}", self.seed),
            Some(_) => String::new(),
        };
        (request_id, draft)
    }

    /// What all indicators of a report have in common.
    pub fn of_campaign(&self, campaign: u64) -> wire::IndicatorDraft {
        let mut chance = self.chance(campaign ^ 0xca11_0000_0000_0000);
        let name = chance.pick(&OPERATIONS);
        let ttps = 1 + chance.below(4);
        wire::IndicatorDraft {
            campaign: format!("Bench {name} {:04x}-{campaign}", self.seed & 0xffff),
            attribution: if chance.percent(30) {
                "Example Media Agency".into()
            } else {
                String::new()
            },
            severity: i32::try_from(chance.below(4)).unwrap_or_default(),
            ttps: (0..ttps)
                .map(|place| TTPS[usize_of((campaign + place * 5) % 12)].to_owned())
                .collect(),
            targets: Some(wire::Targets {
                countries: vec![chance.pick(&COUNTRIES).to_owned()],
                languages: vec![chance.pick(&LANGUAGES).to_owned()],
                events: Vec::new(),
            }),
            tags: vec!["bench".into()],
            handling: Some(self.handling(&mut chance)),
            ..Default::default()
        }
    }

    fn handling(&self, chance: &mut Chance) -> wire::Handling {
        let roll = chance.below(100);
        let (tlp, group_ids) = match roll {
            0..25 if !self.groups.is_empty() => (
                wire::Tlp::Amber,
                vec![self.groups[usize_of(roll) % self.groups.len()].clone()],
            ),
            25..45 => (wire::Tlp::Clear, Vec::new()),
            _ => (wire::Tlp::Green, Vec::new()),
        };
        wire::Handling {
            tlp: tlp.into(),
            group_ids,
            government_release: chance.percent(30),
            ..Default::default()
        }
    }

    fn value_by(&self, chance: &mut Chance, number: u64) -> (String, Kind) {
        if let Some(pictures) = &self.pictures {
            return (pictures.value(number), Kind::Pdq);
        }
        let kind = kind(chance.below(1_000));
        let unique = self.unique(number);
        let value = match kind {
            Kind::Domain => {
                let host = format!("{}.example.com", name(chance, &unique, DOMAIN_LABEL));
                defang(chance, host)
            }
            Kind::Url => {
                let host = format!("platform{}.example.net", chance.below(PLATFORMS));
                let host = defang(chance, host);
                format!("https://{host}/{}", name(chance, &unique, URL_PATH))
            }
            Kind::Sha1 => chance.hex(40),
            Kind::Md5 => chance.hex(32),
            Kind::Sha256 => chance.hex(64),
            Kind::AndroidApp => format!(
                "com.example.app{}",
                name(chance, &unique, PACKAGE_NAME).replace('-', "_")
            ),
            Kind::Ipv4 => {
                // 198.18.0.0/15, which RFC 2544 sets aside for benchmarks.
                let address = chance.below(1 << 17);
                let dotted = format!(
                    "198.{}.{}.{}",
                    18 + (address >> 16),
                    (address >> 8) & 255,
                    address & 255
                );
                defang(chance, dotted)
            }
            Kind::Email => format!("{}@example.org", name(chance, &unique, MAIL_LOCAL)),
            Kind::IosApp => format!("9{:011}", number % 100_000_000_000),
            _ => format!("#bench{unique}"),
        };
        (value, kind)
    }

    /// Eight letters that no other number of this seed has: an odd factor and a shift by half are both one to one below 2^40.
    fn unique(&self, number: u64) -> String {
        const MASK: u64 = (1 << 40) - 1;
        let mixed = number.wrapping_add(self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) & MASK;
        let mut mixed = (mixed ^ (mixed >> 20)).wrapping_mul(0x2545_f491_4f6c_dd1d) & MASK;
        let mut text = String::with_capacity(8);
        for _ in 0..8 {
            text.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize_of(mixed & 31)]));
            mixed >>= 5;
        }
        text
    }

    fn chance(&self, number: u64) -> Chance {
        Chance::new(self.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }
}

fn kind(mut thousandth: u64) -> Kind {
    for (share, kind) in KINDS {
        match thousandth.checked_sub(share) {
            None => return kind,
            Some(rest) => thousandth = rest,
        }
    }
    Kind::Domain
}

fn length(chance: &mut Chance, lengths: &Lengths) -> usize {
    let mut hundredth = chance.below(100);
    for (share, from, to) in lengths {
        match hundredth.checked_sub(*share) {
            None => return from + usize_of(chance.below((to - from) as u64)),
            Some(rest) => hundredth = rest,
        }
    }
    1
}

/// Syllables in front of what makes the name unique, so long that the whole has a length of the table.
fn name(chance: &mut Chance, unique: &str, lengths: &Lengths) -> String {
    let wanted = length(chance, lengths);
    let mut name = chance.syllables(wanted.saturating_sub(unique.len() + 1), &SYLLABLES);
    if !name.is_empty() {
        name.push('-');
    }
    name.push_str(unique);
    name
}

fn defang(chance: &mut Chance, host: String) -> String {
    match chance.percent(DEFANGED_PERCENT) {
        true => host.replacen('.', "[.]", 1),
        false => host,
    }
}

fn usize_of(number: u64) -> usize {
    // Every caller has reduced it below the length of a table or a string.
    usize::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::domain::observable::{self, Observable};

    fn load() -> Load {
        Load::new(7, Vec::new())
    }

    fn parsed(load: &Load, number: u64) -> Observable {
        let (raw, kind) = load.value(number);
        let kind = observable::Kind::ALL[usize::try_from(kind as i32).unwrap() - 1];
        Observable::parse_as(kind, &raw).unwrap_or_else(|error| panic!("{raw}: {error}"))
    }

    #[test]
    fn every_value_is_of_its_kind_and_no_two_are_one() {
        let load = load();
        let mut seen = HashSet::new();
        let mut duplicates = 0;
        for number in 0..50_000 {
            let observable = parsed(&load, number);
            // Addresses are few on purpose: the same server carries many sites.
            duplicates += u32::from(!seen.insert(observable) && !load.value(number).0.starts_with("198"));
        }
        assert_eq!(duplicates, 0);
    }

    #[test]
    fn another_value_is_asked_for_where_the_first_draft_is_an_apps() {
        let loads = (0..2_000).map(|seed| Load::new(seed, Vec::new()));
        let of_apps: Vec<Load> = loads
            .filter(|load| matches!(load.value(0).1, Kind::AndroidApp | Kind::IosApp))
            .collect();
        assert!(!of_apps.is_empty());
        for load in of_apps {
            assert!(Observable::parse(&load.asked(0)).is_ok());
        }
    }

    #[test]
    fn shares_and_lengths_are_those_of_the_tables() {
        let load = load();
        let mut kinds: HashMap<&str, u64> = HashMap::new();
        let mut domain_bytes = Vec::new();
        for number in 0..20_000 {
            let observable = parsed(&load, number);
            *kinds.entry(observable.kind().name()).or_default() += 1;
            if observable.kind() == observable::Kind::Domain {
                domain_bytes.push(observable.value().len());
            }
        }
        assert!((14_600..15_500).contains(&kinds["domain"]), "{kinds:?}");
        assert!((2_700..3_300).contains(&kinds["url"]), "{kinds:?}");
        domain_bytes.sort_unstable();
        assert!((22..=26).contains(&domain_bytes[domain_bytes.len() / 2]));
    }

    #[test]
    fn a_seed_gives_the_same_draft_for_ever() {
        let (raw, kind) = load().value(1);
        insta::assert_snapshot!(format!("{} {raw}", kind as i32), @"2 https://platform10[.]example.net/elf-zl7pfhxf");
        assert_eq!(load().own(5), load().own(5));
        assert_ne!(load().value(5), Load::new(8, Vec::new()).value(5));
    }

    #[test]
    fn amber_is_for_the_publishers_groups_and_only_where_there_are_any() {
        let tlps = |load: &Load| -> HashSet<i32> {
            (0..40)
                .map(|campaign| load.of_campaign(campaign).handling.unwrap().tlp)
                .collect()
        };
        assert!(!tlps(&load()).contains(&(wire::Tlp::Amber as i32)));
        assert!(tlps(&Load::new(7, vec!["group".into()])).contains(&(wire::Tlp::Amber as i32)));
    }
}
