//! Who may see what, written from the words of the policy with plain sets, and sharing nothing with the hub: it neither calls
//! `policy` nor folds a log. Slow and simple on purpose.

use std::collections::{BTreeMap, BTreeSet};

use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{GroupId, IndicatorId};
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::{MemberKind, Standing};
use sha2::{Digest, Sha256};

use super::steps::{CAMPAIGNS, CONFIDENCES, TAGS, VALUES, Wish};

pub struct Member {
    pub kind: MemberKind,
    pub standing: Standing,
    pub groups: BTreeSet<usize>,
}

/// Handling in words: members and groups by number, times as absolute microseconds.
#[derive(Clone, Debug)]
pub struct Terms {
    pub tlp: Tlp,
    pub members: BTreeSet<usize>,
    pub groups: BTreeSet<usize>,
    pub government_release: bool,
    pub embargo: Option<(i64, BTreeSet<usize>)>,
    pub expires_at: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Said {
    pub value: usize,
    pub campaign: usize,
    pub confidence: usize,
    pub tag: usize,
    pub terms: Terms,
}

/// How an indicator's life ended, and who saw it until then: for each wish that it fulfilled the same members.
pub struct End {
    pub state: State,
    pub seen_by: BTreeSet<usize>,
}

pub struct Item {
    pub id: IndicatorId,
    pub owner: usize,
    pub revision: u32,
    pub said: Said,
    pub state: State,
    pub end: Option<End>,
    /// Whether nothing is left of it.
    pub erased: bool,
    /// Member and wish that could see it at some time.
    pub ever: BTreeSet<(usize, u8)>,
}

#[derive(Default)]
pub struct Oracle {
    pub members: Vec<Member>,
    pub groups: Vec<GroupId>,
    pub items: Vec<Item>,
}

impl Oracle {
    /// The policy, rule by rule.
    pub fn sees(&self, viewer: usize, item: &Item) -> bool {
        let member = &self.members[viewer];
        // 1. A suspended or removed member sees nothing. An owner sees its own.
        if member.standing != Standing::Active || item.erased {
            return false;
        }
        item.owner == viewer || self.is_open_to(viewer, item)
    }

    /// The rules for those who do not own it.
    pub(super) fn is_open_to(&self, viewer: usize, item: &Item) -> bool {
        let (member, terms) = (&self.members[viewer], &item.said.terms);
        let invited = match item.state {
            // 2. Retracted or expired: the owner alone. Embargoed: those that the embargo names.
            State::Retracted | State::Expired | State::Erased => false,
            State::Embargoed => terms
                .embargo
                .as_ref()
                .is_some_and(|(_, members)| members.contains(&viewer)),
            State::Active => self.in_audience(viewer, terms),
        };
        // 4. The government lane, besides the rules above.
        let foreign_to_government =
            member.kind == MemberKind::Government && self.members[item.owner].kind != MemberKind::Government;
        invited && (!foreign_to_government || terms.tlp == Tlp::Clear || terms.government_release)
    }

    /// 3. The label and the audience.
    fn in_audience(&self, viewer: usize, terms: &Terms) -> bool {
        let named = terms.members.contains(&viewer);
        let by_group = !self.members[viewer].groups.is_disjoint(&terms.groups);
        let nobody_named = terms.members.is_empty() && terms.groups.is_empty();
        match terms.tlp {
            Tlp::Clear | Tlp::Green => nobody_named || named || by_group,
            Tlp::Amber | Tlp::AmberStrict => named || by_group,
            Tlp::Red => named,
        }
    }

    pub fn wants(&self, wish: Wish, item: &Item) -> bool {
        let (said, owner) = (&item.said, &self.members[item.owner]);
        let sure = CONFIDENCES[said.confidence] >= 50;
        match wish {
            Wish::Everything => true,
            Wish::Sure => sure,
            Wish::Red => TAGS[said.tag] == "red",
            Wish::Domains => said.value < 2,
            Wish::OfGovernments => owner.kind == MemberKind::Government,
            Wish::SureOfPlatforms => sure && owner.kind == MemberKind::Platform,
        }
    }

    /// What a subscriber's mirror must hold.
    pub fn mirror(&self, viewer: usize, wish: Wish) -> BTreeMap<IndicatorId, (u32, State)> {
        let due = self
            .items
            .iter()
            .filter(|item| self.sees(viewer, item) && self.wants(wish, item));
        due.map(|item| (item.id, (item.revision, item.state))).collect()
    }

    /// The indicator that a publication would repeat: of the same owner, value and campaign, and not over; the last, if several.
    pub fn same(&self, owner: usize, value: usize, campaign: usize) -> Option<&Item> {
        let mut held = self.items.iter().rev();
        held.find(|item| {
            item.owner == owner
                && item.said.value == value
                && CAMPAIGNS[item.said.campaign] == CAMPAIGNS[campaign]
                && matches!(item.state, State::Active | State::Embargoed)
        })
    }

    /// Time goes on to `now`: each indicator's embargo ends, then its validity.
    pub fn pass(&mut self, now: i64) {
        for at in 0..self.items.len() {
            let terms = self.items[at].said.terms.clone();
            if self.items[at].state == State::Embargoed && terms.embargo.is_some_and(|(until, _)| until <= now) {
                self.items[at].state = State::Active;
            }
            if self.items[at].state == State::Active && terms.expires_at.is_some_and(|expires_at| expires_at <= now) {
                self.end(at, State::Expired);
            }
        }
    }

    pub fn retract(&mut self, at: usize) {
        self.items[at].revision += 1;
        self.end(at, State::Retracted);
    }

    /// An order to erase takes it back for good.
    pub fn order_erasure(&mut self, at: usize) {
        if !self.items[at].erased {
            self.end(at, State::Retracted);
        }
    }

    /// What ended an indicator first is what those who saw it are told.
    fn end(&mut self, at: usize, state: State) {
        let seen_by = (0..self.members.len())
            .filter(|viewer| self.sees(*viewer, &self.items[at]))
            .collect();
        let item = &mut self.items[at];
        item.state = state;
        item.end.get_or_insert(End { state, seen_by });
    }

    /// Notes who can see what at this moment.
    pub fn remember(&mut self, wishes: &[Wish]) {
        for at in 0..self.items.len() {
            for viewer in 0..self.members.len() {
                if !self.sees(viewer, &self.items[at]) {
                    continue;
                }
                for wish in wishes {
                    if self.wants(*wish, &self.items[at]) {
                        self.items[at].ever.insert((viewer, *wish as u8));
                    }
                }
            }
        }
    }

    /// The values that a look-up of `asked` speaks of: itself, its host, the host's parents.
    pub fn relatives(asked: usize) -> &'static [usize] {
        assert_eq!(VALUES.len(), 4);
        match asked {
            0 => &[0],
            1 => &[1, 0],
            2 => &[2, 1, 0],
            _ => &[3],
        }
    }
}

/// The sum of a mirror, from the words of the API: modulo 2^128, the little-endian first 16 bytes of SHA-256(id ‖ revision).
pub fn digest(mirror: &BTreeMap<IndicatorId, (u32, State)>) -> (u64, u128) {
    let sum = mirror.iter().fold(0_u128, |sum, (id, (revision, _))| {
        let hash = Sha256::new()
            .chain_update(id.to_string())
            .chain_update(revision.to_be_bytes())
            .finalize();
        let head: [u8; 16] = hash[..16].try_into().expect("16 of 32 bytes");
        sum.wrapping_add(u128::from_le_bytes(head))
    });
    (mirror.len() as u64, sum)
}
