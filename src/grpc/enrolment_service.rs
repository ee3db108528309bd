//! The one service that an invitation's certificate opens.

use tonic::{Request, Response, Status};

use crate::domain::violation::Violation;
use crate::hub::Hub;
use crate::hub::roster::Enrolment;

use super::server::enrolment_service_server::EnrolmentService;
use super::{access, convert, status, wire};

/// Longest signing request, in bytes.
pub(super) const CSR_BYTES_MAX: usize = 16 << 10;

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl EnrolmentService for Service {
    async fn enroll(&self, request: Request<wire::EnrollRequest>) -> Result<Response<wire::EnrollResponse>, Status> {
        let invitation = access::invitation(&request)?;
        let wire::EnrollRequest { csr_pem } = request.into_inner();
        check_csr(&csr_pem)?;
        let enrolment = self.hub.enroll(invitation, &csr_pem).await.map_err(status::from_hub)?;
        let Enrolment {
            chain_pem,
            ca_pem,
            member,
            agent,
        } = enrolment;
        Ok(Response::new(wire::EnrollResponse {
            certificate_chain_pem: chain_pem,
            ca_pem,
            member: Some(convert::member(&member)),
            expires_at: Some(convert::time(agent.expires_at)),
            agent: Some(convert::agent(&agent)),
        }))
    }
}

pub(super) fn check_csr(csr_pem: &str) -> Result<(), Status> {
    match csr_pem.len() {
        0 => Err(status::invalid(Violation::new("csr_pem", "must not be empty"))),
        1..=CSR_BYTES_MAX => Ok(()),
        _ => Err(status::invalid(Violation::new("csr_pem", "must have at most 16 KiB"))),
    }
}
