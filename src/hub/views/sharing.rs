//! The view of what became of shared indicators: assessments, and the disclosure record.

use std::collections::{HashMap, HashSet};

use crate::domain::assessment::Assessment;
use crate::domain::id::{MemberId, Timestamp};

use super::copying::Copying;
use super::indicators::RecordIndex;
use super::kept::kept;
use super::rows::CHUNK_ROWS;
use super::snapshot::{Part, Reading};
use crate::hub::given::GivenMap;
use crate::log::Refusal;

/// One crossing of an indicator from a member that is no government to one that is.
#[derive(Clone, Copy, Debug)]
pub struct Disclosure {
    /// What crossed.
    pub record: RecordIndex,
    /// To whom.
    pub agency: MemberId,
    /// When it was written down, which is before it was delivered.
    pub at: Timestamp,
}

/// The view.
#[derive(Default)]
pub struct Sharing {
    assessments: GivenMap<RecordIndex, Vec<Assessment>>,
    /// What was assessed since the start, in the order of the log.
    assessed: Vec<RecordIndex>,
    disclosed: HashMap<MemberId, HashSet<RecordIndex>>,
    disclosures: Vec<Disclosure>,
}

impl Sharing {
    /// The assessments of an indicator, oldest first: one for each member and verdict at most.
    pub fn assessments(&self, record: RecordIndex) -> &[Assessment] {
        self.assessments.get(&record).map(Vec::as_slice).unwrap_or_default()
    }

    /// The same; none where there are none.
    pub fn all_assessments(&self, record: RecordIndex) -> Option<&Vec<Assessment>> {
        self.assessments.get(&record)
    }

    /// What was assessed since the start of the hub, in the order of the log.
    pub fn assessed(&self) -> &[RecordIndex] {
        &self.assessed
    }

    /// Copies what is a list.
    pub fn copy(&self, copying: &mut Copying) {
        let Sharing {
            // Copied with the records.
            assessments: _,
            assessed: _,
            disclosures,
            // Derived.
            disclosed: _,
        } = self;
        copying.list(Part::Disclosures, |number| disclosures.chunks(CHUNK_ROWS).nth(number));
    }

    /// The view in a snapshot.
    pub fn load(from: &Reading<'_>, assessments: GivenMap<RecordIndex, Vec<Assessment>>) -> Result<Sharing, Refusal> {
        let disclosures: Vec<Disclosure> = from.rows(Part::Disclosures)?.into_vec();
        let mut disclosed: HashMap<MemberId, HashSet<RecordIndex>> = HashMap::new();
        for Disclosure { record, agency, at: _ } in &disclosures {
            disclosed.entry(*agency).or_default().insert(*record);
        }
        Ok(Sharing {
            assessments,
            assessed: Vec::new(),
            disclosed,
            disclosures,
        })
    }

    /// All crossings, in the order of the log.
    pub fn disclosures(&self) -> &[Disclosure] {
        &self.disclosures
    }

    /// Whether an indicator has crossed to an agency before.
    pub fn is_disclosed(&self, agency: MemberId, record: RecordIndex) -> bool {
        self.disclosed
            .get(&agency)
            .is_some_and(|records| records.contains(&record))
    }

    /// Folds an assessment: it takes the place of the member's older one with the same verdict.
    pub fn assess(&mut self, record: RecordIndex, assessment: &Assessment) {
        self.assessed.push(record);
        let all = self.assessments.entry(record).or_default();
        all.retain(|older| older.member != assessment.member || older.verdict != assessment.verdict);
        all.push(assessment.clone());
    }

    /// Folds crossings to one agency.
    pub fn disclose(&mut self, agency: MemberId, at: Timestamp, records: impl Iterator<Item = RecordIndex>) {
        let known = self.disclosed.entry(agency).or_default();
        let fresh = records.filter(|record| known.insert(*record));
        self.disclosures
            .extend(fresh.map(|record| Disclosure { record, agency, at }));
    }
}

kept! {
    Disclosure { record, agency, at }
}
