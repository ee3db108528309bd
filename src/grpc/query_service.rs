//! Look-ups and searches.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::{Request, Response, Status};

use crate::domain::filter::Filter;
use crate::domain::id::IndicatorId;
use crate::domain::member::Role;
use crate::domain::observable::{Kind, Observable};
use crate::domain::violation::Violation;
use crate::hub::erase::ErasedCounts;
use crate::hub::query::{Matches, PAGE_ITEMS_MAX, Reach};
use crate::hub::recall::RecallCounts;
use crate::hub::{Disk, Hub};

use super::encoded::Encoded;
use super::server::query_service_server::QueryService;
use super::{access, convert, status, wire};

/// Most values in one look-up.
const VALUES_MAX: usize = 1_000;

/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 16_384;

/// What the answer to one value takes besides indicators, most often.
const RESULT_BYTES_MOST: usize = 192;

/// And least often: it decides how many bytes its length takes.
const RESULT_BYTES_LEAST: usize = 64;

/// Bytes of all values of one look-up: the answer repeats them.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// Page size where none is asked for.
const PAGE_ITEMS_DEFAULT: usize = 100;

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl QueryService for Service {
    async fn lookup(&self, request: Request<wire::LookupRequest>) -> Result<Response<Encoded>, Status> {
        let caller = access::caller(&request)?;
        let wire::LookupRequest {
            values,
            kind,
            distance_max,
        } = request.into_inner();
        if values.is_empty() || values.len() > VALUES_MAX {
            let reason = format!("has {} values, must have 1 to {VALUES_MAX}", values.len());
            return Err(status::invalid(Violation::new("values", reason)));
        }
        let bytes: usize = values.iter().map(String::len).sum();
        if bytes > VALUES_BYTES_MAX {
            let reason = format!("have {bytes} bytes in all, at most {VALUES_BYTES_MAX} are accepted");
            return Err(status::invalid(Violation::new("values", reason)));
        }
        let kind = convert::optional_kind("kind", kind).map_err(status::invalid)?;
        let mut reasons = Vec::new();
        let understood = values.iter().map(|value| {
            let understood = understand(kind, value);
            understood.map_err(|reason| reasons.push(reason)).ok()
        });
        let observables: Vec<Option<Observable>> = understood.collect();
        let reach = distance_max.map_or(Reach::Usual, Reach::Within);
        let matches = self
            .hub
            .lookup_within(&caller, &observables, reach)
            .await
            .map_err(status::from_hub)?;
        let found: usize = matches.iter().map(|matches| matches.found.len()).sum();
        let more_bytes = values.len() * RESULT_BYTES_MOST + found * convert::INDICATOR_BYTES_MORE;
        let mut response = Encoded::of_pieces(more_bytes);
        let mut reasons = reasons.into_iter();
        for ((raw, observable), matches) in values.iter().zip(&observables).zip(&matches) {
            let understood = observable.as_ref().ok_or_else(|| reasons.next().unwrap_or_default());
            let found = matches.found.iter().map(|(_, release)| release);
            let bytes = RESULT_BYTES_LEAST + convert::indicators_bytes(found);
            response.push_long_field(RESULTS, bytes, |result| lookup_result(raw, understood, matches, result));
        }
        Ok(Response::new(response))
    }

    async fn get_indicator(&self, request: Request<wire::GetIndicatorRequest>) -> Result<Response<Encoded>, Status> {
        let caller = access::caller(&request)?;
        let wire::GetIndicatorRequest { id } = request.into_inner();
        let id = convert::id::<IndicatorId>("id", &id).map_err(status::invalid)?;
        let release = self.hub.indicator(&caller, id).await.map_err(status::from_hub)?;
        let mut response = Encoded::default();
        let bytes = convert::indicator_bytes(&release);
        response.push_long_field(INDICATOR, bytes, |indicator| convert::indicator(&release, indicator));
        Ok(Response::new(response))
    }

    async fn search_indicators(
        &self,
        request: Request<wire::SearchIndicatorsRequest>,
    ) -> Result<Response<Encoded>, Status> {
        let caller = access::caller(&request)?;
        let wire::SearchIndicatorsRequest {
            filter,
            page_size,
            page_token,
        } = request.into_inner();
        let filter = match filter {
            None => Filter::default(),
            Some(filter) => convert::filter(filter).map_err(|violation| status::invalid(violation.within("filter")))?,
        };
        let page_items = page_items(page_size, PAGE_ITEMS_MAX)?;
        let token = page_token_bytes(&page_token)?;
        let page = self
            .hub
            .search(&caller, &filter, page_items, token.as_deref())
            .await
            .map_err(status::from_hub)?;
        let mut response = Encoded::of_pieces(page.releases.len() * convert::INDICATOR_BYTES_MORE);
        for release in &page.releases {
            let bytes = convert::indicator_bytes(release);
            response.push_long_field(INDICATORS, bytes, |indicator| convert::indicator(release, indicator));
        }
        let next_page_token = page.next.map(|token| URL_SAFE_NO_PAD.encode(token)).unwrap_or_default();
        response.push_message(&wire::SearchIndicatorsResponse {
            indicators: Vec::new(),
            next_page_token,
        });
        Ok(Response::new(response))
    }

    async fn list_campaigns(
        &self,
        request: Request<wire::ListCampaignsRequest>,
    ) -> Result<Response<wire::ListCampaignsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListCampaignsRequest { name_contains } = request.into_inner();
        let campaigns = self
            .hub
            .campaigns(&caller, &name_contains)
            .await
            .map_err(status::from_hub)?;
        let campaigns = campaigns.into_iter().map(convert::campaign).collect();
        Ok(Response::new(wire::ListCampaignsResponse { campaigns }))
    }

    async fn get_status(
        &self,
        request: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::GetStatusResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::GetStatusRequest {} = request.into_inner();
        let condition = self.hub.condition();
        let admin = caller.roles.has(Role::Admin);
        let disk = if admin { self.hub.disk() } else { Disk::default() };
        let erased = if admin {
            self.hub.erased()
        } else {
            ErasedCounts::default()
        };
        let recalls = match admin {
            true => self.hub.recall_counts().await.map_err(status::from_hub)?,
            false if caller.roles.has(Role::Publisher) => {
                let counts = self.hub.recall_counts_of(caller.member).await;
                counts.map_err(status::from_hub)?
            }
            false => RecallCounts::default(),
        };
        // What failed on the operator's disk is the admins' to know.
        let read_only_reason = match (condition.read_only, admin) {
            (None, _) => String::new(),
            (Some(reason), true) => reason,
            (Some(_), false) => "the hub's disk is full or failing".to_owned(),
        };
        Ok(Response::new(wire::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hub_name: condition.hub_name,
            log_size: condition.log.size,
            log_root: condition.log.root.to_vec(),
            writable: read_only_reason.is_empty(),
            read_only_reason,
            server_certificate_expires_at: Some(convert::time(self.hub.server_certificate_ends())),
            client_certificate_expires_at: Some(convert::time(caller.certificate_ends)),
            feeds_open: if admin { self.hub.feeds_open() } else { 0 },
            disk_bytes: disk.used_bytes,
            disk_free_bytes: disk.free_bytes,
            recalls_open: recalls.open,
            recalls_overdue: recalls.overdue,
            entries_erased: erased.entries,
            erased_bytes: erased.bytes_returned,
        }))
    }
}

/// Numbers of fields that are sent encoded.
const RESULTS: u32 = 1;
const INDICATOR: u32 = 1;
const INDICATORS: u32 = 1;
const MATCH_INDICATOR: u32 = 2;

fn understand(kind: Option<Kind>, value: &str) -> Result<Observable, String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "has {} bytes, at most {VALUE_BYTES_MAX} are accepted",
            value.len()
        ));
    }
    let observable = match kind {
        None => Observable::parse(value),
        Some(kind) => Observable::parse_as(kind, value),
    };
    observable.map_err(|invalid| invalid.to_string())
}

/// The fields of `LookupResult`.
fn lookup_result(raw: &str, understood: Result<&Observable, String>, matches: &Matches, result: &mut Encoded) {
    result.push_text(1, raw);
    match understood {
        Ok(observable) => {
            result.push_field(2, |fields| {
                fields.push_number(1, convert::kind_number(observable.kind()) as u64);
                fields.push_text(2, observable.value());
            });
            if let Some(id) = matches.observable {
                result.push_id(3, id.0);
            }
            let corroboration = convert::corroboration(matches.corroboration);
            result.push_field(7, |fields| fields.push_message(&corroboration));
        }
        Err(reason) => result.push_text(4, &reason),
    }
    for (relation, release) in &matches.found {
        let bytes = convert::indicator_bytes(release);
        result.push_long_field(5, bytes, |found| {
            found.push_message(&wire::Match {
                relation: convert::relation(*relation),
                indicator: None,
                distance: convert::distance(*relation),
            });
            found.push_long_field(MATCH_INDICATOR, bytes, |indicator| {
                convert::indicator(release, indicator)
            });
        });
    }
    result.push_number(6, u64::from(matches.truncated));
}

/// The number of items asked for, within the maximum.
pub(super) fn page_items(page_size: u32, items_max: usize) -> Result<usize, Status> {
    match page_size as usize {
        0 => Ok(PAGE_ITEMS_DEFAULT),
        size if size <= items_max => Ok(size),
        size => {
            let reason = format!("is {size}, must be at most {items_max}");
            Err(status::invalid(Violation::new("page_size", reason)))
        }
    }
}

/// The bytes of a page token; none for the first page.
pub(super) fn page_token_bytes(token: &str) -> Result<Option<Vec<u8>>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token);
    bytes
        .map(Some)
        .map_err(|_| status::invalid(Violation::new("page_token", "is none of this query's")))
}
