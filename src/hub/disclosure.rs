//! The government lane's record: every crossing of an indicator from a member that is no government to one that is. A crossing is
//! written to the log before it is delivered, once for each indicator and agency, so the record is never short of what was shown.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

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

/// Crossings looked at under one hold of the views' lock.
const CROSSINGS_PER_HOLD_MAX: usize = 8_192;

/// Most crossings, or counts of them, on one page.
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

    /// Counts of all crossings by agency, publisher, month, and for the caller's own by campaign, from where the token says; and the
    /// token of the next page. For every member: who took part can count.
    pub async fn count_disclosures(
        &self,
        caller: &Caller,
        page_items: usize,
        token: Option<&[u8]>,
    ) -> Result<(Vec<DisclosureCount>, Option<Bytes>), HubError> {
        let (binding, start) = self.page(caller, b"disclosure counts", token)?;
        let mut counts = BTreeMap::<(MemberId, MemberId, String, String), u64>::new();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.each_disclosure(caller, from, |views, _, disclosure| {
                let (publisher, campaign) = origin(views, disclosure);
                let campaign = if publisher == caller.member { campaign } else { "" };
                let key = (disclosure.agency, publisher, month(disclosure.at), campaign.to_owned());
                *counts.entry(key).or_default() += 1;
                ControlFlow::Continue(())
            })?;
            tokio::task::yield_now().await;
        }
        let count = |((agency, publisher, month, campaign), indicators)| DisclosureCount {
            agency,
            publisher,
            campaign,
            month,
            indicators,
        };
        let rows = counts.len();
        let end = start.saturating_add(page_items);
        let page = counts.into_iter().skip(start).take(page_items).map(count).collect();
        Ok((page, (end < rows).then(|| self.page_token(end, &binding))))
    }

    /// The crossings of the caller's own indicators, in the order of the log, and the token of the next page.
    pub async fn disclosures(
        &self,
        caller: &Caller,
        page_items: usize,
        token: Option<&[u8]>,
    ) -> Result<(Vec<DisclosureCard>, Option<Bytes>), HubError> {
        require_reader(caller)?;
        let (binding, start) = self.page(caller, b"disclosures", token)?;
        let mut page = Vec::new();
        let mut more = None;
        let mut next = Some(start);
        while let Some(from) = next {
            next = self.each_disclosure(caller, from, |views, place, disclosure| {
                if origin(views, disclosure).0 != caller.member {
                    return ControlFlow::Continue(());
                }
                if page.len() == page_items {
                    // One more than a page holds, so that the last page says that it is the last.
                    more = Some(place);
                    return ControlFlow::Break(());
                }
                page.push(card(views, disclosure));
                ControlFlow::Continue(())
            })?;
            tokio::task::yield_now().await;
        }
        Ok((page, more.map(|place| self.page_token(place, &binding))))
    }

    /// Hands crossings to `look` from a place in their order on, under one hold of the lock. Gives the place to go on at.
    fn each_disclosure(
        &self,
        caller: &Caller,
        from: usize,
        mut look: impl FnMut(&Views, usize, &Disclosure) -> ControlFlow<()>,
    ) -> Result<Option<usize>, HubError> {
        let views = self.shared.read();
        viewer(&views, caller)?;
        let all = views.sharing.disclosures();
        let end = all.len().min(from.saturating_add(CROSSINGS_PER_HOLD_MAX));
        for (place, disclosure) in all.iter().enumerate().take(end).skip(from) {
            if look(&views, place, disclosure).is_break() {
                return Ok(None);
            }
        }
        Ok((end < all.len()).then_some(end))
    }

    /// What a page's tokens are bound to, and where it begins.
    fn page(&self, caller: &Caller, what: &[u8], token: Option<&[u8]>) -> Result<(Binding, usize), HubError> {
        let binding = Binding::new(caller.member, what);
        let refused = HubError::CursorRefused {
            field: "page_token",
            reason: "is none of this query's",
        };
        let Some(token) = token else {
            return Ok((binding, 0));
        };
        let position = self.shared.sealer.open(token, &binding);
        let position = position.filter(|position| self.shared.read().has_been_at(position));
        Ok((binding, position.ok_or(refused)?.scanned as usize))
    }

    fn page_token(&self, place: usize, binding: &Binding) -> Bytes {
        let (goal, run) = {
            let views = self.shared.read();
            let goal = views.indicators.ordinal();
            (goal, views.runs.at(goal))
        };
        let position = Position {
            scanned: u32::try_from(place).unwrap_or(u32::MAX),
            goal,
            run,
            ..Position::default()
        };
        self.shared.sealer.seal(&position, binding)
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
