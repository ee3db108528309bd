//! Orders to erase, for admins.

use tonic::{Request, Response, Status};

use crate::domain::id::IndicatorId;
use crate::domain::indicator::Text;
use crate::domain::violation::Violation;
use crate::hub::Hub;

use super::server::erasure_service_server::ErasureService;
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
impl ErasureService for Service {
    async fn order_erasure(
        &self,
        request: Request<wire::OrderErasureRequest>,
    ) -> Result<Response<wire::OrderErasureResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::OrderErasureRequest { indicator_id, reason } = request.into_inner();
        let id = convert::id::<IndicatorId>("indicator_id", &indicator_id).map_err(status::invalid)?;
        let reason = Text::<500>::parse("reason", &reason).map_err(status::invalid)?;
        if reason.is_empty() {
            let reason = "must not be empty: the order stays in the record";
            return Err(status::invalid(Violation::new("reason", reason)));
        }
        let asked = self.hub.order_erasure(&caller, id, reason).await;
        let (_, pending) = convert::asked(asked.map_err(status::from_hub)?, |_| ());
        Ok(Response::new(wire::OrderErasureResponse { pending }))
    }
}
