//! The words for handling, as rules that the observer sees by or does not.

use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::Timestamp;

use super::hub_support::drafts::Rules;
use super::script::{Hidden, Other, Shown};
use super::world::World;

/// Longer than any script.
const FAR_SECS: i64 = 1_000_000;

impl World<'_> {
    fn after_secs(&self, seconds: i64) -> Timestamp {
        self.stage.hub.clock().now().plus_secs(seconds)
    }

    pub(super) fn shown_rules(&self, shown: Shown) -> Rules {
        let observer = || vec![self.observer.member];
        let released = |tlp| Rules {
            government_release: true,
            ..Rules::open(tlp)
        };
        match shown {
            Shown::ToAll => Rules::open(Tlp::Clear),
            Shown::Green => released(Tlp::Green),
            Shown::ByName => Rules {
                members: observer(),
                ..released(Tlp::Amber)
            },
            Shown::ByGroup => Rules {
                groups: vec![self.shared_group],
                ..released(Tlp::Amber)
            },
            Shown::Red => Rules {
                members: observer(),
                ..released(Tlp::Red)
            },
            Shown::ThroughEmbargo => Rules {
                embargo: Some((self.after_secs(FAR_SECS), observer())),
                ..released(Tlp::Green)
            },
            Shown::ForSeconds(seconds) => Rules {
                expires_at: Some(self.after_secs(seconds)),
                ..Rules::open(Tlp::Clear)
            },
        }
    }

    pub(super) fn hidden_rules(&self, owner: usize, hidden: Hidden) -> Rules {
        let another = || vec![self.others[1].member, self.others[2].member];
        let released = |tlp| Rules {
            government_release: true,
            ..Rules::open(tlp)
        };
        match hidden {
            Hidden::RedForAnother => Rules {
                members: another(),
                ..released(Tlp::Red)
            },
            Hidden::OtherGroup => Rules {
                groups: vec![self.secret_groups[0]],
                ..released(Tlp::Green)
            },
            Hidden::EmbargoedFromAll => Rules {
                embargo: Some((self.after_secs(FAR_SECS), Vec::new())),
                ..Rules::open(Tlp::Clear)
            },
            Hidden::EmbargoedForAnother => Rules {
                embargo: Some((self.after_secs(FAR_SECS), another())),
                ..released(Tlp::Green)
            },
            Hidden::NotForGovernments if self.observer_governs && owner != Other::Government as usize => Rules {
                members: vec![self.observer.member],
                ..Rules::open(Tlp::Amber)
            },
            Hidden::ForSeconds(seconds) => Rules {
                members: another(),
                expires_at: Some(self.after_secs(seconds)),
                ..released(Tlp::Amber)
            },
            Hidden::NamedAnother | Hidden::NotForGovernments => Rules {
                members: another(),
                ..released(Tlp::Amber)
            },
        }
    }
}
