//! The disclosure record.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic::{Request, Response, Status};

use crate::hub::Hub;
use crate::hub::disclosure::PAGE_ITEMS_MAX;

use super::query_service::{page_items, page_token_bytes};
use super::server::disclosure_service_server::DisclosureService;
use super::{access, convert, status, wire};

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl DisclosureService for Service {
    async fn count_disclosures(
        &self,
        request: Request<wire::CountDisclosuresRequest>,
    ) -> Result<Response<wire::CountDisclosuresResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::CountDisclosuresRequest { page_size, page_token } = request.into_inner();
        let page_items = match page_size {
            0 => PAGE_ITEMS_MAX,
            size => page_items(size, PAGE_ITEMS_MAX)?,
        };
        let token = page_token_bytes(&page_token)?;
        let page = self.hub.count_disclosures(&caller, page_items, token.as_deref()).await;
        let (counts, next) = page.map_err(status::from_hub)?;
        Ok(Response::new(wire::CountDisclosuresResponse {
            counts: counts.into_iter().map(convert::disclosure_count).collect(),
            next_page_token: next.map(|token| URL_SAFE_NO_PAD.encode(token)).unwrap_or_default(),
        }))
    }

    async fn list_disclosures(
        &self,
        request: Request<wire::ListDisclosuresRequest>,
    ) -> Result<Response<wire::ListDisclosuresResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListDisclosuresRequest { page_size, page_token } = request.into_inner();
        let page_items = page_items(page_size, PAGE_ITEMS_MAX)?;
        let token = page_token_bytes(&page_token)?;
        let page = self.hub.disclosures(&caller, page_items, token.as_deref()).await;
        let (disclosures, next) = page.map_err(status::from_hub)?;
        Ok(Response::new(wire::ListDisclosuresResponse {
            disclosures: disclosures.into_iter().map(convert::disclosure).collect(),
            next_page_token: next.map(|token| URL_SAFE_NO_PAD.encode(token)).unwrap_or_default(),
        }))
    }
}
