//! Recalls: what became of what a publisher took back, for that publisher.

use tonic::{Request, Response, Status};

use crate::domain::id::IndicatorId;
use crate::hub::Hub;

use super::server::recall_service_server::RecallService;
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
impl RecallService for Service {
    async fn get_recall(
        &self,
        request: Request<wire::GetRecallRequest>,
    ) -> Result<Response<wire::GetRecallResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::GetRecallRequest { indicator_id } = request.into_inner();
        let id = convert::id::<IndicatorId>("indicator_id", &indicator_id).map_err(status::invalid)?;
        let recall = self.hub.recall(&caller, id).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::GetRecallResponse {
            recall: Some(convert::recall(recall)),
        }))
    }

    async fn list_open_recalls(
        &self,
        request: Request<wire::ListOpenRecallsRequest>,
    ) -> Result<Response<wire::ListOpenRecallsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListOpenRecallsRequest {} = request.into_inner();
        let recalls = self.hub.open_recalls(&caller).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::ListOpenRecallsResponse {
            recalls: recalls.into_iter().map(convert::recall).collect(),
        }))
    }
}
