//! Campaigns, put together from the indicators that the caller sees and nothing else.

use std::collections::BTreeMap;

use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::{Code, Indicator};
use crate::domain::policy;

use super::{BODIES_PER_HOLD_MAX, require_reader, viewer};
use crate::hub::error::HubError;
use crate::hub::views::Views;
use crate::hub::views::at_hand::AtHand;
use crate::hub::views::indicators::RecordIndex;
use crate::hub::{Caller, Hub};

/// Most campaigns in one answer.
pub const CAMPAIGNS_MAX: usize = 1_000;

/// A campaign, as far as the caller sees it.
#[derive(Debug, Default)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// Whom publishers attribute it to.
    pub attributions: Vec<String>,
    /// Countries aimed at.
    pub countries: Vec<Code>,
    /// Languages aimed at.
    pub languages: Vec<Code>,
    /// Events aimed at.
    pub events: Vec<String>,
    /// Techniques.
    pub ttps: Vec<String>,
    /// Who published indicators of it.
    pub publishers: Vec<MemberId>,
    /// Indicators seen.
    pub indicators: u64,
    /// Earliest sighting or publication.
    pub first_seen: Timestamp,
    /// Latest sighting or publication.
    pub last_seen: Timestamp,
}

impl Hub {
    /// The campaigns of which the caller sees at least one indicator, by name; at most [`CAMPAIGNS_MAX`].
    pub async fn campaigns(&self, caller: &Caller, name_contains: &str) -> Result<Vec<Campaign>, HubError> {
        require_reader(caller)?;
        let wanted = name_contains.to_lowercase();
        let mut found = BTreeMap::<Box<str>, Campaign>::new();
        let mut next = Some(0);
        while let Some(from) = next {
            let seen = self.consult(|views, bodies| of_campaigns((views, bodies), caller, &wanted, from));
            let (seen, after) = seen.await??;
            for (name, indicator) in seen {
                found.entry(name).or_default().add(&indicator);
            }
            next = after;
            tokio::task::yield_now().await;
        }
        Ok(found.into_values().take(CAMPAIGNS_MAX).collect())
    }
}

/// What one hold of the lock finds of campaigns, and where the next one goes on; none at the end.
type OfCampaigns = (Vec<(Box<str>, Indicator)>, Option<RecordIndex>);

/// The indicators of campaigns with a name that contains `wanted`, from the record `from` on.
fn of_campaigns(
    (views, bodies): (&Views, &AtHand),
    caller: &Caller,
    wanted: &str,
    from: RecordIndex,
) -> Result<OfCampaigns, HubError> {
    let viewer = viewer(views, caller)?;
    let count = views.indicators.len() as u32;
    let end = count.min(from.saturating_add(BODIES_PER_HOLD_MAX));
    let mut found = Vec::new();
    for index in from..end {
        let record = views.indicators.record(index);
        let name = views.indicators.campaign(record);
        if name.is_empty() || !name.to_lowercase().contains(wanted) {
            continue;
        }
        if policy::evaluate(viewer, &views.indicators.subject(record.current), ()).is_none() {
            continue;
        }
        let body = bodies.body(record.current.body);
        let indicator = body.and_then(|body| views.indicators.decode(record.current, &body));
        found.extend(indicator.map(|indicator| (name.into(), indicator)));
    }
    Ok((found, Some(end).filter(|next| *next < count)))
}

impl Campaign {
    fn add(&mut self, indicator: &Indicator) {
        let content = &indicator.content;
        if self.indicators == 0 {
            self.name = content.campaign.as_str().to_owned();
            self.first_seen = Timestamp(i64::MAX);
            self.last_seen = Timestamp(i64::MIN);
        }
        self.indicators += 1;
        add_new(&mut self.countries, content.targets.countries.iter().copied());
        add_new(&mut self.languages, content.targets.languages.iter().copied());
        add_new(
            &mut self.events,
            content.targets.events.iter().map(|event| event.as_str().to_owned()),
        );
        add_new(&mut self.ttps, content.ttps.iter().map(|ttp| ttp.as_str().to_owned()));
        let attribution = Some(content.attribution.as_str().to_owned()).filter(|text| !text.is_empty());
        add_new(&mut self.attributions, attribution);
        add_new(&mut self.publishers, [indicator.publisher]);
        self.first_seen = self
            .first_seen
            .min(content.first_seen.unwrap_or(indicator.published_at));
        self.last_seen = self.last_seen.max(content.last_seen.unwrap_or(indicator.published_at));
    }
}

fn add_new<T: Ord>(sorted: &mut Vec<T>, items: impl IntoIterator<Item = T>) {
    for item in items {
        if let Err(place) = sorted.binary_search(&item) {
            sorted.insert(place, item);
        }
    }
}
