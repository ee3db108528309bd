//! The two-person rule over the wire: what waits for a second admin, what does not, and what one stolen key cannot do.

mod wire_support;

use clearinghouse::grpc::wire;
use clearinghouse::pki::InvitationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use wire::membership_service_client::MembershipServiceClient;
use wire_support::{Client, Credentials, TestHub, green, until_live};

type Admin = MembershipServiceClient<Channel>;

/// A hub with two admins of two members.
struct Governed {
    hub: TestHub,
    first: Admin,
    second: Admin,
    second_member: String,
    second_credentials: Credentials,
}

impl Governed {
    async fn start() -> Governed {
        let hub = TestHub::start().await;
        let second_member = hub.add_member("Borealis", wire::MemberKind::Research).await;
        let token = hub.invite(&second_member, "steward", &[wire::AgentRole::Admin]).await;
        let second_credentials = hub.enroll(&token).await.unwrap();
        Governed {
            first: hub.admin_client().await,
            second: MembershipServiceClient::new(hub.connect(&second_credentials).await),
            second_member,
            second_credentials,
            hub,
        }
    }

    /// Has the first admin ask and the second approve.
    async fn admit(&mut self, name: &str) -> String {
        let pending = add(&mut self.first, name).await.unwrap().pending.expect("it waits");
        approve(&mut self.second, &pending.id).await.unwrap();
        member_named(&mut self.first, name).await.expect("admitted").id
    }

    /// An agent that the first admin asks for and the second approves.
    async fn enrol(&mut self, member: &str, agent: &str, roles: &[wire::AgentRole]) -> Client {
        let pending = invite(&mut self.first, member, agent, roles)
            .await
            .unwrap()
            .pending
            .expect("it waits");
        let token = token_of(approve(&mut self.second, &pending.id).await.unwrap());
        let credentials = self.hub.enroll(&token).await.unwrap();
        Client {
            channel: self.hub.connect(&credentials).await,
            credentials,
        }
    }
}

async fn add(admin: &mut Admin, name: &str) -> Result<wire::AddMemberResponse, Status> {
    let request = wire::AddMemberRequest {
        name: name.into(),
        kind: wire::MemberKind::Platform.into(),
    };
    admin.add_member(request).await.map(tonic::Response::into_inner)
}

async fn invite(
    admin: &mut Admin,
    member: &str,
    agent: &str,
    roles: &[wire::AgentRole],
) -> Result<wire::CreateInvitationResponse, Status> {
    let request = wire::CreateInvitationRequest {
        member_id: member.into(),
        agent: agent.into(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        lifetime_secs: 600,
    };
    admin.create_invitation(request).await.map(tonic::Response::into_inner)
}

async fn approve(admin: &mut Admin, id: &str) -> Result<wire::ApproveChangeResponse, Status> {
    let request = wire::ApproveChangeRequest { id: id.into() };
    admin.approve_change(request).await.map(tonic::Response::into_inner)
}

async fn reject(admin: &mut Admin, id: &str) -> Result<(), Status> {
    admin
        .reject_change(wire::RejectChangeRequest { id: id.into() })
        .await
        .map(|_| ())
}

async fn suspend(admin: &mut Admin, id: &str) -> Result<wire::SuspendMemberResponse, Status> {
    let request = wire::SuspendMemberRequest {
        id: id.into(),
        reason: "leaked".into(),
    };
    admin.suspend_member(request).await.map(tonic::Response::into_inner)
}

async fn remove(admin: &mut Admin, id: &str) -> Result<wire::RemoveMemberResponse, Status> {
    let request = wire::RemoveMemberRequest {
        id: id.into(),
        reason: "left".into(),
    };
    admin.remove_member(request).await.map(tonic::Response::into_inner)
}

async fn rename(admin: &mut Admin, id: &str, name: &str) -> Result<wire::RenameMemberResponse, Status> {
    let request = wire::RenameMemberRequest {
        id: id.into(),
        name: name.into(),
    };
    admin.rename_member(request).await.map(tonic::Response::into_inner)
}

async fn revoke(admin: &mut Admin, member: &str, agent: &str) -> Result<(), Status> {
    let request = wire::RevokeAgentRequest {
        member_id: member.into(),
        agent: agent.into(),
        reason: "lost".into(),
    };
    admin.revoke_agent(request).await.map(|_| ())
}

async fn waiting(admin: &mut Admin) -> Vec<wire::PendingChange> {
    let request = wire::ListPendingChangesRequest {};
    admin.list_pending_changes(request).await.unwrap().into_inner().changes
}

async fn member_named(admin: &mut Admin, name: &str) -> Option<wire::Member> {
    let members = admin
        .list_members(wire::ListMembersRequest {})
        .await
        .unwrap()
        .into_inner()
        .members;
    members.into_iter().find(|member| member.name == name)
}

async fn history(admin: &mut Admin, member: &str) -> Result<Vec<wire::MemberEvent>, Status> {
    let request = wire::ListMemberHistoryRequest {
        member_id: member.into(),
    };
    admin
        .list_member_history(request)
        .await
        .map(|response| response.into_inner().events)
}

fn kinds(events: &[wire::MemberEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn token_of(approved: wire::ApproveChangeResponse) -> InvitationToken {
    approved
        .invitation
        .expect("the approver gets the token")
        .token
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sole_admin_acts_at_once_and_with_two_every_gift_of_rights_waits() {
    let hub = TestHub::start().await;
    let mut sole = hub.admin_client().await;
    let response = add(&mut sole, "Aurora").await.unwrap();
    assert!(response.member.is_some() && response.pending.is_none());
    let renamed = rename(&mut sole, &response.member.unwrap().id, "Aurora Social")
        .await
        .unwrap();
    assert_eq!(renamed.member.unwrap().name, "Aurora Social");
    hub.stop().await;

    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    let first = &mut governed.first;
    let response = add(first, "Daphne").await.unwrap();
    assert!(response.member.is_none(), "a change that waits tells nothing else");
    let mut asked = vec![response.pending];
    asked.push(rename(first, &member, "Cassini Labs").await.unwrap().pending);
    asked.push(remove(first, &member).await.unwrap().pending);
    let response = invite(first, &member, "service", &[wire::AgentRole::Publisher])
        .await
        .unwrap();
    assert!(response.token.is_empty() && response.invitation_id.is_empty() && response.expires_at.is_none());
    asked.push(response.pending);
    let group = wire::CreateGroupRequest {
        name: "Election".into(),
    };
    asked.push(first.create_group(group).await.unwrap().into_inner().pending);
    let asked: Vec<wire::PendingChange> = asked.into_iter().map(|pending| pending.expect("it waits")).collect();
    assert_eq!(waiting(&mut governed.second).await, asked);
    assert!(member_named(&mut governed.first, "Daphne").await.is_none());
    let week = asked[0].expires_at.unwrap().seconds - asked[0].asked_at.unwrap().seconds;
    assert_eq!(week, 7 * 86_400);
    assert_eq!(
        asked[3].summary,
        format!("invite agent \"service\" of member \"Cassini\" ({member}) as publisher")
    );
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn group_changes_wait_and_take_effect_when_approved() {
    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    let group = wire::CreateGroupRequest {
        name: "Election".into(),
    };
    let pending = governed
        .first
        .create_group(group)
        .await
        .unwrap()
        .into_inner()
        .pending
        .unwrap();
    approve(&mut governed.second, &pending.id).await.unwrap();
    let groups = governed
        .first
        .list_groups(wire::ListGroupsRequest {})
        .await
        .unwrap()
        .into_inner()
        .groups;
    let group_id = groups[0].id.clone();
    let place = wire::AddGroupMemberRequest {
        group_id: group_id.clone(),
        member_id: member.clone(),
    };
    let response = governed
        .first
        .add_group_member(place.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(response.group.is_none());
    // Two wishes for one thing: the second has nothing left to do.
    let twin = governed
        .second
        .add_group_member(place)
        .await
        .unwrap()
        .into_inner()
        .pending
        .unwrap();
    approve(&mut governed.second, &response.pending.unwrap().id)
        .await
        .unwrap();
    let refused = approve(&mut governed.first, &twin.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    reject(&mut governed.second, &twin.id).await.unwrap();
    let place = wire::RemoveGroupMemberRequest {
        group_id,
        member_id: member.clone(),
    };
    let pending = governed
        .second
        .remove_group_member(place)
        .await
        .unwrap()
        .into_inner()
        .pending
        .unwrap();
    approve(&mut governed.first, &pending.id).await.unwrap();
    let events = history(&mut governed.first, &member).await.unwrap();
    let told = [
        "CHANGE_PROPOSED",
        "CHANGE_APPROVED",
        "ADMITTED",
        "CHANGE_PROPOSED",
        "CHANGE_PROPOSED",
        "CHANGE_APPROVED",
        "GROUP_JOINED",
        "CHANGE_REJECTED",
        "CHANGE_PROPOSED",
        "CHANGE_APPROVED",
        "GROUP_LEFT",
    ];
    assert_eq!(kinds(&events), told);
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn author_cannot_approve_and_an_approval_is_used_up() {
    let mut governed = Governed::start().await;
    let pending = add(&mut governed.first, "Cassini").await.unwrap().pending.unwrap();
    let refused = approve(&mut governed.first, &pending.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let approved = approve(&mut governed.second, &pending.id).await.unwrap();
    assert_eq!(approved.summary, pending.summary);
    assert!(approved.invitation.is_none());
    let again = approve(&mut governed.second, &pending.id).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    assert!(waiting(&mut governed.first).await.is_empty());
    let member = member_named(&mut governed.first, "Cassini").await.unwrap();
    let events = history(&mut governed.second, &member.id).await.unwrap();
    assert_eq!(kinds(&events), ["CHANGE_PROPOSED", "CHANGE_APPROVED", "ADMITTED"]);
    let authors: Vec<&str> = events.iter().map(|event| event.author_agent.as_str()).collect();
    assert_eq!(
        authors,
        ["admin", "steward", "admin"],
        "the change is its author's, the approval its approver's"
    );
    assert_eq!(
        events[1].seq + 1,
        events[2].seq,
        "approval and change stand side by side in the log"
    );
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_change_is_gone_and_its_author_may_reject_it() {
    let mut governed = Governed::start().await;
    for by_author in [true, false] {
        let pending = add(&mut governed.first, "Cassini").await.unwrap().pending.unwrap();
        match by_author {
            true => reject(&mut governed.first, &pending.id).await.unwrap(),
            false => reject(&mut governed.second, &pending.id).await.unwrap(),
        }
        assert_eq!(
            approve(&mut governed.second, &pending.id).await.unwrap_err().code(),
            Code::NotFound
        );
        assert_eq!(
            reject(&mut governed.second, &pending.id).await.unwrap_err().code(),
            Code::NotFound
        );
    }
    assert!(member_named(&mut governed.first, "Cassini").await.is_none());
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_checks_the_change_against_the_present() {
    let mut governed = Governed::start().await;
    let one = add(&mut governed.first, "Cassini").await.unwrap().pending.unwrap();
    let other = add(&mut governed.first, "CASSINI").await.unwrap().pending.unwrap();
    approve(&mut governed.second, &one.id).await.unwrap();
    let refused = approve(&mut governed.second, &other.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the name was taken meanwhile");
    assert_eq!(
        waiting(&mut governed.first).await.len(),
        1,
        "it waits on until it is rejected"
    );
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_see_and_settle_what_waits() {
    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    let agent = governed.enrol(&member, "service", &[wire::AgentRole::Publisher]).await;
    let pending = remove(&mut governed.first, &member).await.unwrap().pending.unwrap();
    let mut service = agent.membership();
    assert_eq!(
        approve(&mut service, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(
        reject(&mut service, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let refused = service
        .list_pending_changes(wire::ListPendingChangesRequest {})
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // Its own history holds what happened, and nothing of what is only spoken of.
    let events = history(&mut service, &member).await.unwrap();
    assert_eq!(kinds(&events), ["ADMITTED", "INVITED", "CERTIFICATE_ISSUED"]);
    assert!(events.iter().all(|event| event.seq == 0));
    let refused = history(&mut service, &governed.second_member).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_and_revocation_act_at_once_and_resumption_waits() {
    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    let suspended = suspend(&mut governed.first, &member).await.unwrap().member.unwrap();
    assert_eq!(suspended.standing(), wire::MemberStanding::Suspended);
    let request = wire::ResumeMemberRequest { id: member.clone() };
    let resumed = governed.first.resume_member(request).await.unwrap().into_inner();
    assert!(resumed.member.is_none());
    approve(&mut governed.second, &resumed.pending.unwrap().id)
        .await
        .unwrap();
    let resumed = member_named(&mut governed.first, "Cassini").await.unwrap();
    assert_eq!(resumed.standing(), wire::MemberStanding::Active);
    governed.enrol(&member, "service", &[wire::AgentRole::Publisher]).await;
    revoke(&mut governed.first, &member, "service").await.unwrap();
    let events = history(&mut governed.first, &member).await.unwrap();
    assert_eq!(kinds(&events).last(), Some(&"AGENT_REVOKED"));
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_out_the_other_admin_does_not_lift_the_rule() {
    for by_suspension in [true, false] {
        let mut governed = Governed::start().await;
        let member = governed.second_member.clone();
        let foreign = add(&mut governed.second, "Cassini").await.unwrap().pending.unwrap();
        match by_suspension {
            true => drop(suspend(&mut governed.first, &member).await.unwrap()),
            false => revoke(&mut governed.first, &member, "steward").await.unwrap(),
        }
        // What the other asked for fell with it, so that a thief shut out in time gets nothing through.
        assert_eq!(
            approve(&mut governed.first, &foreign.id).await.unwrap_err().code(),
            Code::NotFound
        );
        let response = add(&mut governed.first, "Daphne").await.unwrap();
        assert!(response.member.is_none() && response.pending.is_some());
        let own = governed
            .first
            .list_members(wire::ListMembersRequest {})
            .await
            .unwrap()
            .into_inner()
            .own_member_id;
        let response = invite(&mut governed.first, &own, "twin", &[wire::AgentRole::Admin])
            .await
            .unwrap();
        assert!(response.token.is_empty() && response.pending.is_some());
        governed.hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_that_leaves_by_itself_lifts_the_rule() {
    let mut governed = Governed::start().await;
    let member = governed.second_member.clone();
    revoke(&mut governed.second, &member, "steward").await.unwrap();
    assert!(add(&mut governed.first, "Cassini").await.unwrap().member.is_some());
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_that_was_removed_with_consent_lifts_the_rule() {
    let mut governed = Governed::start().await;
    let member = governed.second_member.clone();
    let pending = remove(&mut governed.first, &member).await.unwrap().pending.unwrap();
    approve(&mut governed.second, &pending.id).await.unwrap();
    assert!(add(&mut governed.first, "Cassini").await.unwrap().member.is_some());
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approver_gains_no_second_vote_by_the_token_it_is_handed() {
    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    // The second admin approves, keeps the token, and enrols with it: the third admin is the second in disguise.
    let third = governed.enrol(&member, "third", &[wire::AgentRole::Admin]).await;
    let mut third = third.membership();
    let pending = add(&mut governed.second, "Daphne").await.unwrap().pending.unwrap();
    assert_eq!(
        approve(&mut third, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    approve(&mut governed.first, &pending.id).await.unwrap();
    let pending = add(&mut third, "Elara").await.unwrap().pending.unwrap();
    assert_eq!(
        approve(&mut governed.second, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    // Nor by a fourth that the third brings in.
    let invited = invite(&mut governed.first, &member, "fourth", &[wire::AgentRole::Admin])
        .await
        .unwrap();
    let token = token_of(approve(&mut third, &invited.pending.unwrap().id).await.unwrap());
    let credentials = governed.hub.enroll(&token).await.unwrap();
    let mut fourth = MembershipServiceClient::new(governed.hub.connect(&credentials).await);
    assert_eq!(
        approve(&mut fourth, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    approve(&mut governed.first, &pending.id).await.unwrap();
    governed.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_a_revoked_agent_or_a_removed_member_is_dead() {
    let hub = TestHub::start().await;
    let mut admin = hub.admin_client().await;
    let member = hub.add_member("Aurora", wire::MemberKind::Platform).await;
    let roles = [wire::AgentRole::Publisher];
    let (one, twin) = (
        hub.invite(&member, "service", &roles).await,
        hub.invite(&member, "service", &roles).await,
    );
    let spare = hub.invite(&member, "spare", &roles).await;
    hub.enroll(&one).await.unwrap();
    let refused = hub.enroll(&twin).await.err().expect("the agent is there");
    assert_eq!(refused.code(), Code::PermissionDenied);
    revoke(&mut admin, &member, "service").await.unwrap();
    let refused = hub
        .enroll(&twin)
        .await
        .err()
        .expect("an older token does not bring the agent back");
    assert_eq!(refused.code(), Code::Unauthenticated);
    remove(&mut admin, &member).await.unwrap();
    let refused = hub.enroll(&spare).await.err().expect("a removed member enrols nobody");
    assert_eq!(refused.code(), Code::Unauthenticated);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_member_published_stays_and_its_name_stays_its_own() {
    let hub = TestHub::start().await;
    let mut admin = hub.admin_client().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let id = a.publish("example.com", green()).await;
    let mut feed = b.subscribe(Vec::new()).await;
    assert_eq!(until_live(&mut feed).await.0.len(), 1);
    let group = wire::CreateGroupRequest {
        name: "Election".into(),
    };
    let group_id = admin.create_group(group).await.unwrap().into_inner().group.unwrap().id;
    let place = wire::AddGroupMemberRequest {
        group_id,
        member_id: a.id(),
    };
    admin.add_group_member(place).await.unwrap();
    remove(&mut admin, &a.id()).await.unwrap();

    // The next change comes, and no removal with it or before it.
    let second = b.publish("example.org", green()).await;
    let (upserts, removals, _) = until_live(&mut feed).await;
    assert_eq!(upserts.iter().map(|upsert| &upsert.id).collect::<Vec<_>>(), [&second]);
    assert!(removals.is_empty(), "{removals:?}");
    let found = b
        .queries()
        .get_indicator(wire::GetIndicatorRequest { id })
        .await
        .unwrap()
        .into_inner()
        .indicator
        .unwrap();
    assert_eq!(found.publisher_id, a.id());
    let member = member_named(&mut admin, "Aurora").await.unwrap();
    assert_eq!(
        (member.id, member.standing),
        (a.id(), wire::MemberStanding::Removed.into())
    );
    let groups = admin
        .list_groups(wire::ListGroupsRequest {})
        .await
        .unwrap()
        .into_inner()
        .groups;
    assert!(groups[0].member_ids.is_empty());

    assert_eq!(
        add(&mut admin, "aurora").await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    rename(&mut admin, &a.id(), "Aurora (gone)").await.unwrap_err();
    rename(&mut admin, &a.id(), "Aurora until 2026").await.unwrap();
    let anew = add(&mut admin, "Aurora").await.unwrap().member.unwrap();
    assert_ne!(anew.id, a.id());
    let resume = wire::ResumeMemberRequest { id: a.id() };
    assert_eq!(
        admin.resume_member(resume).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_changed_only_to_free_ones() {
    let hub = TestHub::start().await;
    let mut admin = hub.admin_client().await;
    let a = hub.add_member("Aurora", wire::MemberKind::Platform).await;
    hub.add_member("Borealis", wire::MemberKind::Platform).await;
    assert_eq!(
        rename(&mut admin, &a, "BOREALIS").await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(
        rename(&mut admin, &a, "").await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let renamed = rename(&mut admin, &a, "AURORA").await.unwrap().member.unwrap();
    assert_eq!(renamed.name, "AURORA", "another case of its own name is free");
    rename(&mut admin, &a, "AURORA").await.unwrap();
    let events = history(&mut admin, &a).await.unwrap();
    assert_eq!(
        kinds(&events),
        ["ADMITTED", "RENAMED"],
        "what changes nothing is not written"
    );
    assert_eq!(
        add(&mut admin, "aurora").await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let unknown = "0190b8a2-7c3e-7def-8a12-3456789abcde";
    assert_eq!(
        rename(&mut admin, unknown, "Cassini").await.unwrap_err().code(),
        Code::NotFound
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_happened_survive_a_restart() {
    let mut governed = Governed::start().await;
    let member = governed.admit("Cassini").await;
    let third = governed.enrol(&member, "third", &[wire::AgentRole::Admin]).await;
    let pending = rename(&mut governed.second, &member, "Cassini Labs")
        .await
        .unwrap()
        .pending
        .unwrap();
    let before = history(&mut governed.first, &member).await.unwrap();
    let Governed {
        hub,
        second_credentials,
        ..
    } = governed;
    let folder = hub.stop().await.unwrap();

    let hub = TestHub::open(&folder.path().join("hub")).await;
    let mut first = hub.admin_client().await;
    let mut second = MembershipServiceClient::new(hub.connect(&second_credentials).await);
    let mut third = MembershipServiceClient::new(hub.connect(&third.credentials).await);
    assert_eq!(history(&mut first, &member).await.unwrap(), before);
    assert_eq!(waiting(&mut first).await, std::slice::from_ref(&pending));
    assert_eq!(
        approve(&mut second, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(
        approve(&mut third, &pending.id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    approve(&mut first, &pending.id).await.unwrap();
    assert!(member_named(&mut first, "Cassini Labs").await.is_some());
    hub.stop().await;
}
