//! From a row of a report to what is sent of it.

use uuid::Uuid;

use super::rejects::Rejection;
use crate::cli::words;
use crate::domain::handling::Tlp;
use crate::domain::id::Timestamp;
use crate::domain::observable::{Kind, Observable};
use crate::grpc::wire;
use crate::import::{Class, Outcome, Report, Row};

/// What all rows of an import have in common.
pub struct Template {
    draft: wire::IndicatorDraft,
    /// Names this run. The request ids are derived from it and the row's place, so that a request sent again after a lost answer
    /// or a restart of the hub gets its first answer. A later run has other ids: it is then told by content what is a duplicate.
    run: Uuid,
    rows: u64,
}

/// What the rows of one file have in common.
pub struct FileContext {
    name: String,
    title: String,
}

/// A row to publish.
#[derive(Debug)]
pub struct PlannedItem {
    /// What is sent.
    pub item: wire::PublishItem,
    /// What is said of it if the hub rejects it; the reason is the hub's.
    pub if_rejected: Rejection,
}

/// What becomes of a row on this side of the hub.
#[derive(Debug)]
pub enum Planned {
    /// It is sent.
    Publish(Box<PlannedItem>),
    /// It looks like an indicator and is none.
    Rejected(Rejection),
    /// It never was meant to be one.
    Skipped,
}

impl Template {
    /// A run in which every draft begins as `draft`.
    pub fn new(draft: wire::IndicatorDraft) -> Template {
        Template {
            draft,
            run: Uuid::now_v7(),
            rows: 0,
        }
    }

    /// Begins a file.
    pub fn start_file(&self, name: &str, report: &Report) -> FileContext {
        FileContext {
            name: name.to_owned(),
            title: report.title.clone().unwrap_or_default(),
        }
    }

    /// Plans a row.
    pub fn plan(&mut self, file: &FileContext, row: Row) -> Planned {
        self.rows += 1;
        let Row {
            line,
            record,
            raw,
            class,
            ttps,
            outcome,
        } = row;
        let place = |reason: &str, raw: String| Rejection {
            file: file.name.clone(),
            line,
            record,
            class: class.name(),
            reason: reason.to_owned(),
            raw,
        };
        let draft = match outcome {
            Outcome::Skipped(_) => return Planned::Skipped,
            Outcome::Rejected(reason) => return Planned::Rejected(place(&reason, raw)),
            Outcome::Accepted(draft) => draft,
        };
        let request_id = Uuid::new_v5(&self.run, &self.rows.to_be_bytes()).to_string();
        let sent = self.draft_of(file, &raw, class, ttps, draft);
        let item = wire::PublishItem {
            request_id,
            draft: Some(sent),
        };
        Planned::Publish(Box::new(PlannedItem {
            item,
            if_rejected: place("", raw),
        }))
    }

    fn draft_of(
        &self,
        file: &FileContext,
        raw: &str,
        class: Class,
        ttps: Vec<String>,
        row: crate::import::Draft,
    ) -> wire::IndicatorDraft {
        let crate::import::Draft {
            observable,
            note,
            tags,
            first_seen,
            campaign,
        } = row;
        let mut draft = self.draft.clone();
        draft.kind = words::number(Kind::ALL, observable.kind());
        draft.raw = sendable_raw(raw, class, &observable);
        if draft.campaign.is_empty() {
            draft.campaign = campaign.unwrap_or_else(|| file.title.clone());
        }
        draft.note = joined(note.unwrap_or_default(), &draft.note);
        add_new(&mut draft.tags, tags);
        add_new(&mut draft.ttps, ttps);
        draft.first_seen = draft.first_seen.or(first_seen.map(to_wire));
        draft
    }
}

/// The text of the file, where the hub will read the same observable from it; else (a remark stands behind the value, say) the
/// canonical value.
fn sendable_raw(raw: &str, class: Class, observable: &Observable) -> String {
    let reads_the_same = || Observable::parse_as(observable.kind(), raw).is_ok_and(|read| read == *observable);
    match class == Class::Indicator && reads_the_same() {
        true => raw.to_owned(),
        false => observable.value().to_owned(),
    }
}

fn joined(row: String, common: &str) -> String {
    match (row.is_empty(), common.is_empty()) {
        (_, true) => row,
        (true, false) => common.to_owned(),
        (false, false) => format!("{row}\n{common}"),
    }
}

fn add_new(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

fn to_wire(moment: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: moment.0.div_euclid(1_000_000),
        // Below 10^9 by construction.
        nanos: i32::try_from(moment.0.rem_euclid(1_000_000) * 1_000).unwrap_or_default(),
    }
}

/// The label of a marking such as `tlp:amber`, as the wire's number, which grows as the circle narrows.
pub fn tlp_of_marking(marking: &str) -> Option<words::Number> {
    let name = marking.trim().to_lowercase();
    let name = name.strip_prefix("tlp:")?;
    // WHITE was CLEAR's name before TLP 2.0.
    let name = if name == "white" { "clear" } else { name };
    Tlp::ALL
        .iter()
        .find(|tlp| tlp.name() == name)
        .map(|tlp| words::number(&Tlp::ALL, *tlp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_one(template: &mut Template, csv: &str) -> Vec<Planned> {
        let report = crate::import::read(crate::import::Format::Csv, "Some_Report.csv", csv.as_bytes()).unwrap();
        let file = template.start_file("Some_Report.csv", &report);
        report.rows.into_iter().map(|row| template.plan(&file, row)).collect()
    }

    const HEADER: &str = "Tactic,Technique,Procedure,Indicator,Comments\n";

    #[test]
    fn a_row_keeps_its_raw_text_procedure_and_note() {
        let mut template = Template::new(wire::IndicatorDraft {
            note: "from the press".into(),
            tags: vec!["a".into()],
            ..Default::default()
        });
        let planned = plan_one(
            &mut template,
            &format!("{HEADER}T,T,0.9.4 Domains,bad[.]example[.]com,a remark\n"),
        );
        let [Planned::Publish(planned)] = planned.as_slice() else {
            panic!("{planned:?}")
        };
        let draft = planned.item.draft.clone().unwrap();
        assert_eq!(draft.raw, "bad[.]example[.]com");
        assert_eq!(draft.kind, wire::ObservableKind::Domain as i32);
        assert_eq!(draft.ttps, ["0.9.4"]);
        assert_eq!(draft.note, "a remark\nfrom the press");
        assert_ne!(draft.campaign, "", "the report's title is the campaign");
        assert_eq!(planned.item.request_id.len(), 36);
    }

    #[test]
    fn a_campaign_that_was_given_wins() {
        let mut template = Template::new(wire::IndicatorDraft {
            campaign: "Given".into(),
            ..Default::default()
        });
        let planned = plan_one(&mut template, &format!("{HEADER}T,T,0.9.4,bad.example.com,\n"));
        let [Planned::Publish(planned)] = planned.as_slice() else {
            panic!("{planned:?}")
        };
        assert_eq!(planned.item.draft.as_ref().unwrap().campaign, "Given");
    }

    #[test]
    fn request_ids_differ_between_rows_and_between_runs() {
        let csv = format!("{HEADER}T,T,0.9.4,a.example.com,\nT,T,0.9.4,a.example.com,\n");
        let ids = |template: &mut Template| -> Vec<String> {
            let planned = plan_one(template, &csv).into_iter();
            planned
                .filter_map(|one| {
                    if let Planned::Publish(item) = one {
                        Some(item.item.request_id)
                    } else {
                        None
                    }
                })
                .collect()
        };
        let mut all = ids(&mut Template::new(wire::IndicatorDraft::default()));
        all.extend(ids(&mut Template::new(wire::IndicatorDraft::default())));
        assert_eq!(all.len(), 4);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn markings_are_labels_old_and_new() {
        for (marking, tlp) in [
            ("tlp:white", Some(wire::Tlp::Clear)),
            ("TLP:CLEAR", Some(wire::Tlp::Clear)),
            ("tlp:amber+strict", Some(wire::Tlp::AmberStrict)),
            ("TLP:RED", Some(wire::Tlp::Red)),
            ("tlp:purple", None),
            ("pap:red", None),
        ] {
            assert_eq!(tlp_of_marking(marking), tlp.map(|tlp| tlp as i32), "{marking}");
        }
    }

    #[test]
    fn times_before_1970_have_positive_nanoseconds() {
        assert_eq!(
            to_wire(Timestamp(-1)),
            prost_types::Timestamp {
                seconds: -1,
                nanos: 999_999_000
            }
        );
    }
}
