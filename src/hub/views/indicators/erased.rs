//! The view of indicators where entries are erased: one that was folded before and one that is folded after come to the same.

use std::collections::HashMap;

use super::super::record::{BodySize, NO_RECORD, RecordIndex, Row};
use super::super::rows::Rows;
use super::{Indicators, hash_of};
use crate::domain::id::ObservableId;
use crate::log::bodies::BodyNumber;

impl Indicators {
    /// Whether all that an indicator ever said is erased.
    pub fn is_erased(&self, index: RecordIndex) -> bool {
        self.record(index)
            .versions()
            .all(|version| version.body == BodyNumber::ERASED)
    }

    /// Notes that the entry of a revision is erased: what the view holds is from then on what a fold of the erased log comes to. Gives
    /// the number of its body, if it was not erased before.
    pub fn forget_revision(&mut self, index: RecordIndex, revision: u32) -> Option<BodyNumber> {
        let row = self.rows.at_mut(index);
        let past = match row.current.marks.has_older() {
            true => self.past.get_mut(&index).map(Vec::as_mut_slice).unwrap_or_default(),
            false => &mut [],
        };
        let versions = past.iter_mut().chain(std::iter::once(&mut row.current));
        let of_revision = versions.filter(|version| version.revision == revision);
        let bodies = of_revision.map(|version| {
            version.body_size = BodySize::of(&[]);
            std::mem::replace(&mut version.body, BodyNumber::ERASED)
        });
        let body = bodies.filter(|body| *body != BodyNumber::ERASED).last();
        if self.is_erased(index) {
            self.unlink(index);
        }
        body
    }

    /// Forgets what a record spoke of.
    fn unlink(&mut self, index: RecordIndex) {
        let (observable, next) = {
            let row = self.rows.at(index);
            (row.observable, row.next_of_observable)
        };
        if observable == ObservableId::ERASED {
            return;
        }
        let newer = self.of_observable(observable);
        let newer = newer.take_while(|newer| *newer != index).last();
        let Indicators {
            rows,
            observable_keys,
            by_observable,
            ..
        } = self;
        let hash_at = |rows: &Rows<Row>, held| hash_of(observable_keys, rows.at(held).observable);
        match (newer, next) {
            (Some(newer), _) => rows.at_mut(newer).next_of_observable = next,
            (None, NO_RECORD) => by_observable.remove(hash_of(observable_keys, observable), |held| held == index),
            (None, older) => {
                let hash = hash_of(observable_keys, observable);
                by_observable.replace(hash, older, |held| held == index, |held| hash_at(rows, held));
            }
        }
        let row = rows.at_mut(index);
        (row.observable, row.next_of_observable) = (ObservableId::ERASED, NO_RECORD);
    }

    /// To be called after a fold of a log in which entries are erased: puts the records whose observable was learnt late in their
    /// places among those of the same.
    pub fn link_late(&mut self) {
        let mut late: HashMap<ObservableId, Vec<RecordIndex>> = HashMap::new();
        for index in std::mem::take(&mut self.late) {
            late.entry(self.rows.at(index).observable).or_default().push(index);
        }
        for (observable, mut records) in late {
            records.extend(self.of_observable(observable));
            records.sort_unstable_by_key(|index| std::cmp::Reverse(*index));
            let after = records.iter().skip(1).copied().chain([NO_RECORD]);
            for (index, next) in records.iter().zip(after) {
                self.rows.at_mut(*index).next_of_observable = next;
            }
            let Indicators {
                rows,
                observable_keys,
                by_observable,
                ..
            } = self;
            by_observable.replace(
                hash_of(observable_keys, observable),
                records[0],
                |held| rows.at(held).observable == observable,
                |held| hash_of(observable_keys, rows.at(held).observable),
            );
        }
    }
}
