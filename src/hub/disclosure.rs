//! The government lane's record: every crossing of an indicator from a member that is no government to one that is. A crossing is
//! written to the log before it is delivered, once for each indicator and agency, so the record is never short of what was shown.

use std::collections::BTreeMap;

use crate::domain::id::{IndicatorId, MemberId, Timestamp};
use crate::domain::member::MemberKind;
use crate::domain::policy::Release;
use crate::log::entry::{Entry, Event};

use super::bodies::Found;
use super::cursor::{Binding, Position};
use super::error::HubError;
use super::query::{require_reader, viewer};
use super::sequencer::Verdict;
use super::views::Views;
use super::views::sharing::Disclosure;
use super::{Caller, Hub};

/// Most crossings in one entry.
const CROSSINGS_PER_ENTRY_MAX: usize = 1_000;

/// Most crossings on one page.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// How many indicators of one publisher crossed to one agency in one month.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DisclosureCount {
    /// The government member.
    pub agency: MemberId,
    /// Whose indicators.
    pub publisher: MemberId,
    /// Of the caller's own indicators only; empty otherwise.
    pub campaign: String,
    /// `2026-11`, in UTC.
    pub month: String,
    /// How many.
    pub indicators: u64,
}

/// One crossing of one of the caller's own indicators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DisclosureCard {
    /// What crossed.
    pub indicator: IndicatorId,
    /// To whom.
    pub agency: MemberId,
    /// Its campaign, as it is now; may be empty.
    pub campaign: String,
    /// When it was written down.
    pub at: Timestamp,
}

impl Hub {
    /// Writes down what is about to be released to `member`, where it is a government's and comes from somebody else. To be awaited
    /// before delivery; an error means that nothing may be delivered.
    pub(super) async fn disclose<'a>(
        &self,
        member: MemberId,
        found: impl IntoIterator<Item = &'a Release<Found>>,
    ) -> Result<(), HubError> {
        let fresh = {
            let views = self.shared.read();
            let kind = views.roster.member(member).map(|member| member.viewer().kind);
            if kind != Some(MemberKind::Government) {
                return Ok(());
            }
            let ids = found.into_iter().map(|release| release.body().id);
            ids.filter(|id| is_fresh_crossing(&views, member, *id))
                .collect::<Vec<_>>()
        };
        for indicators in fresh.chunks(CROSSINGS_PER_ENTRY_MAX) {
            self.write_crossings(member, indicators.to_vec()).await?;
        }
        Ok(())
    }

    async fn write_crossings(&self, agency: MemberId, indicators: Vec<IndicatorId>) -> Result<(), HubError> {
        let at = self.now();
        self.sequencer
            .propose(move |views, staged| {
                let still_fresh = indicators
                    .iter()
                    .copied()
                    .filter(|id| is_fresh_crossing(views, agency, *id));
                let indicators = still_fresh.collect::<Vec<_>>();
                if !indicators.is_empty() {
                    let event = Event::IndicatorsDisclosed { agency, indicators };
                    staged.push(Entry { at, actor: None, event });
                }
                Ok(Verdict::answer(()))
            })
            .await
    }

    /// Counts of all crossings by agency, publisher, month, and for the caller's own by campaign. For every member: who took part
    /// can count.
    pub fn count_disclosures(&self, caller: &Caller) -> Result<Vec<DisclosureCount>, HubError> {
        let views = self.shared.read();
        viewer(&views, caller)?;
        let mut counts = BTreeMap::<(MemberId, MemberId, String, String), u64>::new();
        for disclosure in views.sharing.disclosures() {
            let (publisher, campaign) = origin(&views, disclosure);
            let campaign = if publisher == caller.member {
                campaign.to_owned()
            } else {
                String::new()
            };
            *counts
                .entry((disclosure.agency, publisher, month(disclosure.at), campaign))
                .or_default() += 1;
        }
        let count = |((agency, publisher, month, campaign), indicators)| DisclosureCount {
            agency,
            publisher,
            campaign,
            month,
            indicators,
        };
        Ok(counts.into_iter().map(count).collect())
    }

    /// The crossings of the caller's own indicators, in the order of the log, and the token of the next page.
    pub fn disclosures(
        &self,
        caller: &Caller,
        page_items: usize,
        token: Option<&[u8]>,
    ) -> Result<(Vec<DisclosureCard>, Option<bytes::Bytes>), HubError> {
        require_reader(caller)?;
        let binding = Binding::new(caller.member, b"disclosures");
        let refused = HubError::CursorRefused {
            field: "page_token",
            reason: "is none of this query's",
        };
        let start = match token {
            None => Position::default(),
            Some(token) => {
                let position = self.shared.sealer.open(token, &binding);
                let position = position.filter(|position| self.shared.read().has_been_at(position));
                position.ok_or(refused)?
            }
        };
        let views = self.shared.read();
        viewer(&views, caller)?;
        let from = views
            .sharing
            .disclosures()
            .iter()
            .enumerate()
            .skip(start.scanned as usize);
        let mut own = from.filter(|(_, disclosure)| origin(&views, disclosure).0 == caller.member);
        let page: Vec<_> = own.by_ref().take(page_items).collect();
        let next = match (page.last(), own.next()) {
            (Some((last, _)), Some(_)) => {
                let goal = views.indicators.ordinal();
                let position = Position {
                    scanned: *last as u32 + 1,
                    goal,
                    run: views.runs.at(goal),
                    ..Position::default()
                };
                Some(self.shared.sealer.seal(&position, &binding))
            }
            _ => None,
        };
        Ok((
            page.into_iter()
                .map(|(_, disclosure)| card(&views, disclosure))
                .collect(),
            next,
        ))
    }
}

fn is_fresh_crossing(views: &Views, agency: MemberId, id: IndicatorId) -> bool {
    views.indicators.find(id).is_some_and(|index| {
        let class = views.indicators.class(views.indicators.record(index).current);
        class.publisher_kind != MemberKind::Government && !views.sharing.is_disclosed(agency, index)
    })
}

fn origin<'a>(views: &'a Views, disclosure: &Disclosure) -> (MemberId, &'a str) {
    let record = views.indicators.record(disclosure.record);
    (
        views.indicators.class(record.current).publisher,
        views.indicators.campaign(record),
    )
}

fn card(views: &Views, disclosure: &Disclosure) -> DisclosureCard {
    let (_, campaign) = origin(views, disclosure);
    DisclosureCard {
        indicator: views.indicators.record(disclosure.record).id,
        agency: disclosure.agency,
        campaign: campaign.to_owned(),
        at: disclosure.at,
    }
}

fn month(at: Timestamp) -> String {
    let moment = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m").to_string()
}
