//! The view of what became of shared indicators: assessments, and the disclosure record.

use std::collections::{HashMap, HashSet};

use crate::domain::assessment::Assessment;
use crate::domain::id::{MemberId, Timestamp};

use super::indicators::RecordIndex;
use super::kept::kept;

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
    assessments: HashMap<RecordIndex, Vec<Assessment>>,
    disclosed: HashMap<MemberId, HashSet<RecordIndex>>,
    disclosures: Vec<Disclosure>,
}

impl Sharing {
    /// The assessments of an indicator, oldest first: one for each member and verdict at most.
    pub fn assessments(&self, record: RecordIndex) -> &[Assessment] {
        self.assessments.get(&record).map(Vec::as_slice).unwrap_or_default()
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
    Sharing { assessments, disclosed, disclosures }
    Disclosure { record, agency, at }
}
