//! Members, groups, agents and certificates.

use tonic::{Request, Response, Status};

use crate::domain::agent::AgentName;
use crate::domain::id::{ChangeId, GroupId, MemberId};
use crate::domain::indicator::Text;
use crate::domain::member::{Name, Standing};
use crate::domain::violation::Violation;
use crate::hub::Hub;
use crate::hub::roster::{Enrolment, Invitation};

use super::enrolment_service::check_csr;
use super::server::membership_service_server::MembershipService;
use super::{access, convert, status, wire};

/// How long an invitation lasts where the request does not say, in seconds.
const INVITATION_SECS_DEFAULT: u32 = 86_400;

/// Shortest and longest life of an invitation, in seconds.
const INVITATION_SECS: std::ops::RangeInclusive<u32> = 60..=604_800;

pub struct Service {
    hub: Hub,
}

impl Service {
    pub fn new(hub: Hub) -> Service {
        Service { hub }
    }
}

#[tonic::async_trait]
impl MembershipService for Service {
    async fn add_member(
        &self,
        request: Request<wire::AddMemberRequest>,
    ) -> Result<Response<wire::AddMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::AddMemberRequest { name, kind } = request.into_inner();
        let name = Name::parse("name", &name).map_err(status::invalid)?;
        let kind = convert::member_kind("kind", kind).map_err(status::invalid)?;
        let asked = self.hub.add_member(&caller, name, kind).await;
        let (member, pending) = convert::asked(asked.map_err(status::from_hub)?, convert::member);
        Ok(Response::new(wire::AddMemberResponse { member, pending }))
    }

    async fn list_members(
        &self,
        request: Request<wire::ListMembersRequest>,
    ) -> Result<Response<wire::ListMembersResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListMembersRequest {} = request.into_inner();
        let members = self.hub.members().iter().map(convert::member).collect();
        Ok(Response::new(wire::ListMembersResponse {
            members,
            own_member_id: caller.member.to_string(),
        }))
    }

    async fn suspend_member(
        &self,
        request: Request<wire::SuspendMemberRequest>,
    ) -> Result<Response<wire::SuspendMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::SuspendMemberRequest { id, reason } = request.into_inner();
        let (id, reason) = (member_id("id", &id)?, reason_text(&reason)?);
        let changed = self.hub.change_standing(&caller, id, Standing::Suspended, reason).await;
        // Suspension never waits for a second admin.
        let (member, _) = convert::asked(changed.map_err(status::from_hub)?, convert::member);
        Ok(Response::new(wire::SuspendMemberResponse { member }))
    }

    async fn resume_member(
        &self,
        request: Request<wire::ResumeMemberRequest>,
    ) -> Result<Response<wire::ResumeMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ResumeMemberRequest { id } = request.into_inner();
        let id = member_id("id", &id)?;
        let changed = self
            .hub
            .change_standing(&caller, id, Standing::Active, Text::default())
            .await;
        let (member, pending) = convert::asked(changed.map_err(status::from_hub)?, convert::member);
        Ok(Response::new(wire::ResumeMemberResponse { member, pending }))
    }

    async fn remove_member(
        &self,
        request: Request<wire::RemoveMemberRequest>,
    ) -> Result<Response<wire::RemoveMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RemoveMemberRequest { id, reason } = request.into_inner();
        let (id, reason) = (member_id("id", &id)?, reason_text(&reason)?);
        let changed = self.hub.change_standing(&caller, id, Standing::Removed, reason).await;
        let (member, pending) = convert::asked(changed.map_err(status::from_hub)?, convert::member);
        Ok(Response::new(wire::RemoveMemberResponse { member, pending }))
    }

    async fn create_group(
        &self,
        request: Request<wire::CreateGroupRequest>,
    ) -> Result<Response<wire::CreateGroupResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::CreateGroupRequest { name } = request.into_inner();
        let name = Name::parse("name", &name).map_err(status::invalid)?;
        let asked = self.hub.create_group(&caller, name).await.map_err(status::from_hub)?;
        let (group, pending) = convert::asked(asked, convert::group);
        Ok(Response::new(wire::CreateGroupResponse { group, pending }))
    }

    async fn list_groups(
        &self,
        request: Request<wire::ListGroupsRequest>,
    ) -> Result<Response<wire::ListGroupsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListGroupsRequest {} = request.into_inner();
        let groups = self.hub.groups(&caller).iter().map(convert::group).collect();
        Ok(Response::new(wire::ListGroupsResponse { groups }))
    }

    async fn add_group_member(
        &self,
        request: Request<wire::AddGroupMemberRequest>,
    ) -> Result<Response<wire::AddGroupMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::AddGroupMemberRequest { group_id, member_id } = request.into_inner();
        let (group, member) = (self::group_id(&group_id)?, self::member_id("member_id", &member_id)?);
        let asked = self.hub.add_to_group(&caller, group, member).await;
        let (group, pending) = convert::asked(asked.map_err(status::from_hub)?, convert::group);
        Ok(Response::new(wire::AddGroupMemberResponse { group, pending }))
    }

    async fn remove_group_member(
        &self,
        request: Request<wire::RemoveGroupMemberRequest>,
    ) -> Result<Response<wire::RemoveGroupMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RemoveGroupMemberRequest { group_id, member_id } = request.into_inner();
        let (group, member) = (self::group_id(&group_id)?, self::member_id("member_id", &member_id)?);
        let asked = self.hub.remove_from_group(&caller, group, member).await;
        let (group, pending) = convert::asked(asked.map_err(status::from_hub)?, convert::group);
        Ok(Response::new(wire::RemoveGroupMemberResponse { group, pending }))
    }

    async fn create_invitation(
        &self,
        request: Request<wire::CreateInvitationRequest>,
    ) -> Result<Response<wire::CreateInvitationResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::CreateInvitationRequest {
            member_id,
            agent,
            roles,
            lifetime_secs,
        } = request.into_inner();
        let member = self::member_id("member_id", &member_id)?;
        let agent = agent_name(&agent)?;
        let roles = convert::roles("roles", &roles).map_err(status::invalid)?;
        let lifetime_secs = match lifetime_secs {
            0 => INVITATION_SECS_DEFAULT,
            secs if INVITATION_SECS.contains(&secs) => secs,
            secs => {
                let reason = format!("is {secs}, must be 60 to 604800");
                return Err(status::invalid(Violation::new("lifetime_secs", reason)));
            }
        };
        let invited = self.hub.invite(&caller, member, agent, roles, lifetime_secs).await;
        let (invited, pending) = convert::asked(invited.map_err(status::from_hub)?, invitation);
        Ok(Response::new(wire::CreateInvitationResponse {
            pending,
            ..invited.unwrap_or_default()
        }))
    }

    async fn list_agents(
        &self,
        request: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListAgentsRequest { member_id } = request.into_inner();
        let of = match member_id.is_empty() {
            true => None,
            false => Some(self::member_id("member_id", &member_id)?),
        };
        let agents = self.hub.agents(&caller, of).iter().map(convert::agent).collect();
        Ok(Response::new(wire::ListAgentsResponse { agents }))
    }

    async fn revoke_agent(
        &self,
        request: Request<wire::RevokeAgentRequest>,
    ) -> Result<Response<wire::RevokeAgentResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RevokeAgentRequest {
            member_id,
            agent,
            reason,
        } = request.into_inner();
        let member = self::member_id("member_id", &member_id)?;
        let (agent, reason) = (agent_name(&agent)?, reason_text(&reason)?);
        let agent = self
            .hub
            .revoke_agent(&caller, member, agent, reason)
            .await
            .map_err(status::from_hub)?;
        Ok(Response::new(wire::RevokeAgentResponse {
            agent: Some(convert::agent(&agent)),
        }))
    }

    async fn renew_certificate(
        &self,
        request: Request<wire::RenewCertificateRequest>,
    ) -> Result<Response<wire::RenewCertificateResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RenewCertificateRequest { csr_pem } = request.into_inner();
        check_csr(&csr_pem)?;
        let Enrolment { chain_pem, agent, .. } = self.hub.renew(&caller, &csr_pem).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::RenewCertificateResponse {
            certificate_chain_pem: chain_pem,
            expires_at: Some(convert::time(agent.expires_at)),
        }))
    }

    async fn end_other_certificates(
        &self,
        request: Request<wire::EndOtherCertificatesRequest>,
    ) -> Result<Response<wire::EndOtherCertificatesResponse>, Status> {
        let caller = access::caller(&request)?;
        let kept = access::peer(&request)?.certificate().serial;
        let wire::EndOtherCertificatesRequest {} = request.into_inner();
        let ended = self.hub.end_other_certificates(&caller, kept).await;
        Ok(Response::new(wire::EndOtherCertificatesResponse {
            ended: u32::try_from(ended.map_err(status::from_hub)?).unwrap_or(u32::MAX),
        }))
    }

    async fn rename_member(
        &self,
        request: Request<wire::RenameMemberRequest>,
    ) -> Result<Response<wire::RenameMemberResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RenameMemberRequest { id, name } = request.into_inner();
        let id = member_id("id", &id)?;
        let name = Name::parse("name", &name).map_err(status::invalid)?;
        let asked = self.hub.rename_member(&caller, id, name).await;
        let (member, pending) = convert::asked(asked.map_err(status::from_hub)?, convert::member);
        Ok(Response::new(wire::RenameMemberResponse { member, pending }))
    }

    async fn list_member_history(
        &self,
        request: Request<wire::ListMemberHistoryRequest>,
    ) -> Result<Response<wire::ListMemberHistoryResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListMemberHistoryRequest { member_id } = request.into_inner();
        let member = self::member_id("member_id", &member_id)?;
        let events = self.hub.member_history(&caller, member).map_err(status::from_hub)?;
        Ok(Response::new(wire::ListMemberHistoryResponse {
            events: events.into_iter().map(convert::member_event).collect(),
        }))
    }

    async fn list_pending_changes(
        &self,
        request: Request<wire::ListPendingChangesRequest>,
    ) -> Result<Response<wire::ListPendingChangesResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ListPendingChangesRequest {} = request.into_inner();
        let changes = self.hub.pending_changes(&caller).map_err(status::from_hub)?;
        Ok(Response::new(wire::ListPendingChangesResponse {
            changes: changes.iter().map(convert::pending).collect(),
        }))
    }

    async fn approve_change(
        &self,
        request: Request<wire::ApproveChangeRequest>,
    ) -> Result<Response<wire::ApproveChangeResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::ApproveChangeRequest { id } = request.into_inner();
        let id = change_id(&id)?;
        let approved = self.hub.approve_change(&caller, id).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::ApproveChangeResponse {
            summary: approved.summary,
            invitation: approved.invitation.as_ref().map(invitation),
        }))
    }

    async fn reject_change(
        &self,
        request: Request<wire::RejectChangeRequest>,
    ) -> Result<Response<wire::RejectChangeResponse>, Status> {
        let caller = access::caller(&request)?;
        let wire::RejectChangeRequest { id } = request.into_inner();
        let id = change_id(&id)?;
        self.hub.reject_change(&caller, id).await.map_err(status::from_hub)?;
        Ok(Response::new(wire::RejectChangeResponse {}))
    }
}

/// The one message that holds a token.
fn invitation((id, token): &Invitation) -> wire::CreateInvitationResponse {
    wire::CreateInvitationResponse {
        token: token.to_string(),
        expires_at: Some(convert::time(token.not_after())),
        invitation_id: id.to_string(),
        pending: None,
    }
}

fn change_id(text: &str) -> Result<ChangeId, Status> {
    convert::id("id", text).map_err(status::invalid)
}

fn member_id(field: &str, text: &str) -> Result<MemberId, Status> {
    convert::id(field, text).map_err(status::invalid)
}

fn group_id(text: &str) -> Result<GroupId, Status> {
    convert::id("group_id", text).map_err(status::invalid)
}

fn agent_name(text: &str) -> Result<AgentName, Status> {
    text.parse().map_err(|error: crate::domain::agent::BadAgentName| {
        status::invalid(Violation::new("agent", error.to_string()))
    })
}

fn reason_text(text: &str) -> Result<Text<500>, Status> {
    Text::parse("reason", text).map_err(status::invalid)
}
