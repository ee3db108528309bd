//! Who plays, who publishes what under which handling, and who must see it. The expectations are written down by hand, from the
//! policy in `docs/`, and not computed: else the demo would check the policy against itself. Names are fictional; the values
//! are those of the public sample.

use crate::domain::handling::Tlp;
use crate::domain::member::MemberKind;

/// The sample that is published.
pub const SAMPLE: &str = include_str!("../../../samples/operations.csv");
/// Its name, for the reader of reports.
pub const SAMPLE_NAME: &str = "operations.csv";

/// The sharing group.
pub const GROUP: &str = "Election Cell";

/// A member, by its place in [`MEMBERS`].
pub type Place = usize;

/// Places.
pub const PLAZA: Place = 0;
/// The second platform.
pub const VIDORA: Place = 1;
/// The research group.
pub const LANTERN: Place = 2;
/// The government liaison.
pub const OFFICE: Place = 3;

/// Name, kind and agent of each member. All are in the group.
pub const MEMBERS: [(&str, MemberKind, &str); 4] = [
    ("Plaza Social", MemberKind::Platform, "plaza"),
    ("Vidora", MemberKind::Platform, "vidora"),
    ("Lantern Lab", MemberKind::Research, "lantern"),
    ("Office for Election Integrity", MemberKind::Government, "office"),
];

/// One publication.
pub struct Act {
    /// Who publishes.
    pub publisher: Place,
    /// The rows of the sample: those of this campaign.
    pub campaign: &'static str,
    /// The label.
    pub tlp: Tlp,
    /// Whether it goes to the group.
    pub to_group: bool,
    /// Members named one by one.
    pub to_members: &'static [Place],
    /// Whether governments of the audience may see it.
    pub government_release: bool,
    /// The rule in words.
    pub rule: &'static str,
    /// Who must see it, besides its publisher.
    pub seen_by: &'static [Place],
    /// Who must not, and why.
    pub withheld: &'static [(Place, &'static str)],
}

/// The publications, in order.
pub const ACTS: [Act; 5] = [
    Act {
        publisher: LANTERN,
        campaign: "Doppelganger",
        tlp: Tlp::Green,
        to_group: false,
        to_members: &[],
        government_release: false,
        rule: "TLP:GREEN, to all members",
        seen_by: &[PLAZA, VIDORA],
        withheld: &[(
            OFFICE,
            "government lane: not CLEAR, and the publisher did not release it to governments",
        )],
    },
    Act {
        publisher: PLAZA,
        campaign: "Cyber Court",
        tlp: Tlp::Amber,
        to_group: true,
        to_members: &[],
        government_release: false,
        rule: "TLP:AMBER, to the group Election Cell",
        seen_by: &[VIDORA, LANTERN],
        withheld: &[(
            OFFICE,
            "government lane: in the group, but the publisher did not release it to governments",
        )],
    },
    Act {
        publisher: VIDORA,
        campaign: "Agora",
        tlp: Tlp::Red,
        to_group: false,
        to_members: &[PLAZA],
        government_release: false,
        rule: "TLP:RED, to Plaza Social alone",
        seen_by: &[PLAZA],
        withheld: &[
            (LANTERN, "RED is for members named one by one; groups do not open it"),
            (
                OFFICE,
                "RED is for members named one by one, and it was not released to governments",
            ),
        ],
    },
    Act {
        publisher: LANTERN,
        campaign: "People Say",
        tlp: Tlp::Amber,
        to_group: true,
        to_members: &[],
        government_release: true,
        rule: "TLP:AMBER, to the group, with government release",
        seen_by: &[PLAZA, VIDORA, OFFICE],
        withheld: &[],
    },
    Act {
        publisher: PLAZA,
        campaign: "Holy Souls",
        tlp: Tlp::Clear,
        to_group: false,
        to_members: &[],
        government_release: false,
        rule: "TLP:CLEAR, to all members",
        seen_by: &[VIDORA, LANTERN, OFFICE],
        withheld: &[],
    },
];

/// A value of the first act as somebody would paste it, and who finds it.
pub const LOOKUP: &str = "hxxps://www[.]leparisien[.]pm/actualite?utm_source=x";
/// Who finds the value.
pub const LOOKUP_FOUND_BY: &[Place] = &[PLAZA, VIDORA, LANTERN];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_either_publishes_or_sees_or_is_told_why_not() {
        for act in &ACTS {
            for (place, member) in MEMBERS.iter().enumerate() {
                let roles = [
                    act.publisher == place,
                    act.seen_by.contains(&place),
                    act.withheld.iter().any(|(other, _)| *other == place),
                ];
                assert_eq!(
                    roles.iter().filter(|role| **role).count(),
                    1,
                    "{} and {}",
                    act.campaign,
                    member.0
                );
            }
        }
    }

    #[test]
    fn the_sample_has_rows_of_every_campaign_and_no_others() {
        let report = crate::import::read_any(SAMPLE_NAME, SAMPLE.as_bytes()).unwrap();
        for row in report.rows.iter().filter_map(|row| row.draft()) {
            let campaign = row.campaign.as_deref().unwrap();
            assert!(ACTS.iter().any(|act| act.campaign == campaign), "{campaign}");
        }
    }
}
