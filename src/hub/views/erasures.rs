//! The view of what is erased, and of what is to be. A record says which entries go and what is left of each; it is in the log before
//! they go. So the fold of a log from its start finds what is left in their places first, and then the record, which must agree; where
//! it finds the entries whole, the record is still to be carried out. Anything else is damage, and is told when the fold ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::id::Seq;
use crate::log::entry::{Erased, digest_of};

use super::indicators::RecordIndex;
use super::kept::Kept;

/// Why a log is not what was written: an entry, and what is wrong with its erasure.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("entry {seq}: {reason}")]
pub struct Fault {
    /// The entry.
    pub seq: Seq,
    /// What is wrong.
    pub reason: &'static str,
}

/// The view.
#[derive(Default)]
pub struct Erasures {
    /// Where the fold goes on that is under way: what lies before it is in a snapshot.
    since: Seq,
    /// Whether a record names an entry before.
    reaches_back: bool,
    /// SHA-256 of what is left in the places of entries whose record the fold has not come to.
    met: BTreeMap<Seq, [u8; 32]>,
    due: Vec<Arc<Erased>>,
    ordered: BTreeSet<RecordIndex>,
    entries: u64,
    fault: Option<Fault>,
}

impl Erasures {
    /// To be called before what a log holds is folded, from `since` on.
    pub fn begin_fold(&mut self, since: Seq) {
        self.since = since;
    }

    /// Folds what is left of an entry.
    pub fn meet(&mut self, seq: Seq, sha256: [u8; 32]) {
        self.entries += 1;
        self.met.insert(seq, sha256);
    }

    /// Folds the record at `seq`.
    pub fn record(&mut self, seq: Seq, erased: &Erased) {
        let met: Vec<[u8; 32]> = erased.seqs.iter().filter_map(|seq| self.met.remove(seq)).collect();
        let reason = match met.len() {
            _ if erased.seqs.first().is_some_and(|first| *first < self.since) => {
                self.reaches_back = true;
                return;
            }
            0 => {
                self.due.push(Arc::new(erased.clone()));
                return;
            }
            some if some < erased.seqs.len() => "of the entries that it names only some are erased",
            _ if digest_of(met) != erased.left => "what is left of the entries that it names is not what it says",
            _ => return,
        };
        self.fault.get_or_insert(Fault { seq, reason });
    }

    /// To be called at the end of the fold.
    pub fn end_fold(&mut self) -> Result<(), Fault> {
        self.since = Seq::default();
        let unrecorded = self.met.keys().next().map(|seq| Fault {
            seq: *seq,
            reason: "is erased, and no entry says so",
        });
        self.fault.clone().or(unrecorded).map_or(Ok(()), Err)
    }

    /// Whether the fold went on from a snapshot that holds entries which are erased, or are to be: these views are not to be used.
    pub fn reaches_back(&self) -> bool {
        self.reaches_back
    }

    /// Records that are not carried out.
    pub fn due(&self) -> &[Arc<Erased>] {
        &self.due
    }

    /// Notes that the entries of records are erased; so many of them were not before.
    pub fn carried_out(&mut self, records: &[Arc<Erased>], entries: u64) {
        self.entries += entries;
        self.due
            .retain(|due| !records.iter().any(|record| Arc::ptr_eq(record, due)));
    }

    /// How many entries are erased.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Folds an order. Whether it is new.
    pub fn order(&mut self, index: RecordIndex) -> bool {
        self.ordered.insert(index)
    }

    /// Whether an indicator's erasure was ever ordered.
    pub fn is_ordered(&self, index: RecordIndex) -> bool {
        self.ordered.contains(&index)
    }

    /// All indicators whose erasure was ordered.
    pub fn ordered(&self) -> impl Iterator<Item = RecordIndex> {
        self.ordered.iter().copied()
    }
}

/// Kept at the end of a fold, and with nothing due: no snapshot is made of anything else.
impl Kept for Erasures {
    fn keep(&self, out: &mut Vec<u8>) {
        let Erasures {
            since: _,
            reaches_back: _,
            met: _,
            due: _,
            ordered,
            entries,
            fault: _,
        } = self;
        ordered.iter().copied().collect::<Vec<_>>().keep(out);
        entries.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Erasures> {
        Some(Erasures {
            ordered: Vec::take(rest)?.into_iter().collect(),
            entries: Kept::take(rest)?,
            ..Erasures::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seqs: &[u64]) -> Erased {
        Erased {
            seqs: seqs.iter().copied().map(Seq).collect(),
            left: digest_of(seqs.iter().map(|seq| [*seq as u8; 32])),
            indicators: Vec::new(),
        }
    }

    fn folded(met: &[u64], records: &[Erased]) -> Erasures {
        let mut erasures = Erasures::default();
        met.iter().for_each(|seq| erasures.meet(Seq(*seq), [*seq as u8; 32]));
        (100..)
            .zip(records)
            .for_each(|(seq, record)| erasures.record(Seq(seq), record));
        erasures
    }

    #[test]
    fn what_is_erased_has_its_record_and_what_is_whole_is_due() {
        let records = [record(&[3, 5]), record(&[4, 9])];
        let mut erasures = folded(&[3, 5], &records);
        assert_eq!(erasures.end_fold(), Ok(()));
        assert_eq!(erasures.due().len(), 1);
        assert_eq!(*erasures.due()[0], records[1]);
        assert_eq!(erasures.entries(), 2);
        let due = erasures.due().to_vec();
        erasures.carried_out(&due, 2);
        assert_eq!((erasures.due().len(), erasures.entries()), (0, 4));
    }

    #[test]
    fn a_fold_that_goes_on_tells_that_what_it_goes_on_from_holds_what_is_erased() {
        for (seqs, reaches_back) in [([4, 5], false), ([3, 5], true)] {
            let mut erasures = Erasures::default();
            erasures.begin_fold(Seq(4));
            erasures.meet(Seq(5), [5; 32]);
            erasures.meet(Seq(4), [4; 32]);
            erasures.record(Seq(100), &record(&seqs));
            assert_eq!(erasures.reaches_back(), reaches_back);
            assert_eq!(erasures.end_fold().is_err(), reaches_back, "an entry has no record");
            // What is written later is written down of any entry.
            erasures.record(Seq(101), &record(&[1, 2]));
            assert_eq!((erasures.reaches_back(), erasures.due().len()), (reaches_back, 1));
        }
    }

    #[test]
    fn an_erasure_that_does_not_agree_with_its_record_is_a_fault() {
        let forged = Erased {
            left: [0; 32],
            ..record(&[3, 5])
        };
        for (met, records, seq) in [
            (&[3, 5, 7][..], vec![record(&[3, 5])], 7),
            (&[3], vec![record(&[3, 5])], 100),
            (&[3, 5], vec![record(&[4]), forged], 101),
            (&[3], vec![], 3),
        ] {
            let fault = folded(met, &records).end_fold().unwrap_err();
            assert_eq!(fault.seq, Seq(seq), "{fault}");
        }
    }
}
