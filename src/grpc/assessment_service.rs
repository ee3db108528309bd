//! Assessments of indicators.

use tonic::{Request, Response, Status};

use crate::domain::id::IndicatorId;
use crate::hub::Hub;
use crate::hub::assess::Assessed;

use super::server::assessment_service_server::AssessmentService;
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
impl AssessmentService for Service {
    async fn assess(&self, request: Request<wire::AssessRequest>) -> Result<Response<wire::AssessResponse>, Status> {
        let caller = access::caller(&request)?;
        let draft = convert::assessment_draft(request.into_inner()).map_err(status::invalid)?;
        let assessment = self.hub.assess(&caller, draft).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::AssessResponse {
            assessment: Some(convert::assessment(&assessment)),
        }))
    }

    async fn list_assessments(
        &self,
        request: Request<wire::ListAssessmentsRequest>,
    ) -> Result<Response<wire::ListAssessmentsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListAssessmentsRequest { indicator_id } = request.into_inner();
        let id = convert::id::<IndicatorId>("indicator_id", &indicator_id).map_err(status::invalid)?;
        let Assessed {
            assessments,
            truncated,
            corroboration,
        } = self.hub.assessments(&caller, id).map_err(status::from_hub)?;
        Ok(Response::new(wire::ListAssessmentsResponse {
            assessments: assessments.iter().map(convert::assessment).collect(),
            corroboration: Some(convert::corroboration(corroboration)),
            truncated,
        }))
    }
}
