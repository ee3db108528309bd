//! Every call of the gRPC door, made by the observer in process: what it is answered is told as the messages and errors of the wire. Of
//! what another has in one world it asks in both, where in the other nobody has it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;

use clearinghouse::domain::id::Timestamp;
use clearinghouse::grpc::wire;
use clearinghouse::hub::Hub;
use clearinghouse::hub::roster::Enrolment;
use clearinghouse::pki::{Identity, Peer, PeerCertificate, Serial};
use prost::Message;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

use super::hub_support::waiting::wait;
use super::script::VALUES;
use super::world::World;

/// The package of the services.
const PACKAGE: &str = "clearinghouse.v1";

/// Calls that are not made here. Each answers as another call does, or with randomness alone; `docs/testing.md` says why.
const NOT_CALLED: [&str; 1] = ["PublishService/PublishStream"];

/// The door, as the observer's connection reaches it.
pub(super) struct Door(Service);

type Service = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

impl Door {
    /// For the agent that was enrolled.
    pub fn new(hub: &Hub, enrolled: &Enrolment) -> Door {
        let agent = &enrolled.agent;
        let certificate = PeerCertificate {
            identity: Identity::Agent {
                member: agent.member,
                agent: agent.name.clone(),
            },
            serial: Serial::from_bytes(&agent.serial).expect("a serial"),
            not_after: Timestamp(i64::MAX),
            spki_sha256: [0; 32],
            fingerprint: [0; 32],
        };
        let peer = Peer::new(certificate, Default::default());
        let door = clearinghouse::grpc::Door::new(hub);
        Door(BoxCloneSyncService::new(service_fn(
            move |mut request: http::Request<Body>| {
                request.extensions_mut().insert(peer.clone());
                let answered = door.clone().answer(request);
                async { Ok(answered.await) }
            },
        )))
    }

    fn client(&self) -> tonic::client::Grpc<Service> {
        tonic::client::Grpc::new(self.0.clone())
    }
}

/// Something to be told: the messages of the wire, with what is random in them taken out.
type Told = Result<Vec<String>, String>;

impl World<'_> {
    /// Makes one call. `words` are what of the answer is told: in an order that does not come from ids.
    fn call<Q, A>(&mut self, method: &str, request: Q, words: impl FnOnce(&World<'_>, A) -> Vec<String>)
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut client = self.door.client();
        let answered = wait(async {
            client.ready().await.expect("a door is always ready");
            let codec = ProstCodec::<Q, A>::default();
            client.unary(Request::new(request), path(method), codec).await
        });
        let told: Told = match answered {
            Ok(answer) => Ok(words(self, answer.into_inner())),
            Err(status) => Err(refusal(&status)),
        };
        self.tell(&format!("door {method}"), told);
    }

    /// The same where the answer has nothing random but ids and times.
    fn plain<Q, A>(&mut self, method: &str, request: Q)
    where
        Q: Message + Default + Send + Sync + 'static,
        A: Message + Default + Debug + Send + Sync + 'static,
    {
        self.call(method, request, |_, answer: A| vec![format!("{answer:?}")]);
    }

    /// As text, sorted by it.
    fn sorted<T: Debug>(&self, things: impl IntoIterator<Item = T>) -> Vec<String> {
        let things = things.into_iter();
        let mut words: Vec<_> = things.map(|thing| self.mask.apply(&format!("{thing:?}"))).collect();
        words.sort();
        words
    }

    pub(super) fn door(&mut self) {
        let nobody = Uuid::now_v7();
        let id = self.secret.last().map_or(nobody, |held| held.id.0);
        let group = self.secret_groups.get(1).map_or(nobody, |group| group.0);
        // Its own words come back to it, in both worlds alike.
        self.mask.name(id, "the id".into());
        self.mask.name(group, "the group".into());
        self.call_queries(&id.to_string());
        self.call_feeds();
        self.call_publishing(&id.to_string(), &group.to_string());
        self.call_reactions(&id.to_string());
        self.call_lists();
        self.call_membership(&group.to_string());
        self.mask.words.remove(&id);
        self.mask.words.remove(&group);
    }

    fn call_queries(&mut self, id: &str) {
        let seen = self.shown.first().map(|held| held.id.to_string());
        for id in seen.into_iter().chain([id.to_owned()]) {
            let request = wire::GetIndicatorRequest { id };
            self.plain::<_, wire::GetIndicatorResponse>("QueryService/GetIndicator", request);
        }
        for kind in [wire::ObservableKind::Unspecified, wire::ObservableKind::Pdq] {
            let values = VALUES.iter().map(|value| value.rsplit(':').next().unwrap_or(value));
            let request = wire::LookupRequest {
                values: values.map(str::to_owned).collect(),
                kind: kind.into(),
                distance_max: None,
            };
            self.plain::<_, wire::LookupResponse>("QueryService/Lookup", request);
        }
        let request = wire::SearchIndicatorsRequest {
            page_size: 2,
            ..Default::default()
        };
        self.call(
            "QueryService/SearchIndicators",
            request,
            |_, mut answer: wire::SearchIndicatorsResponse| {
                answer.next_page_token = answer.next_page_token.len().to_string();
                vec![format!("{answer:?}")]
            },
        );
        let request = wire::ListCampaignsRequest::default();
        self.call(
            "QueryService/ListCampaigns",
            request,
            |world, answer: wire::ListCampaignsResponse| {
                let campaigns = answer.campaigns.into_iter();
                let campaign = |mut campaign: wire::CampaignSummary| {
                    campaign.publisher_ids = world.sorted(campaign.publisher_ids);
                    format!("{campaign:?}")
                };
                campaigns.map(campaign).collect()
            },
        );
        let request = wire::GetStatusRequest {};
        self.call(
            "QueryService/GetStatus",
            request,
            |_, mut answer: wire::GetStatusResponse| {
                // The declared exception.
                (answer.log_size, answer.log_root) = (0, Vec::new());
                vec![format!("{answer:?}")]
            },
        );
    }

    fn call_feeds(&mut self) {
        let mut client = self.door.client();
        let request = wire::SubscribeRequest {
            until_live: true,
            ..Default::default()
        };
        let batches: Vec<Result<wire::SubscribeResponse, Status>> = wait(async {
            client.ready().await.expect("a door is always ready");
            let codec = ProstCodec::default();
            let opened = client.server_streaming(Request::new(request), path("FeedService/Subscribe"), codec);
            match opened.await {
                Ok(stream) => stream.into_inner().collect().await,
                Err(status) => vec![Err(status)],
            }
        });
        for batch in batches {
            let told = batch.map_err(|status| refusal(&status)).map(|mut batch| {
                batch.cursor = vec![0; batch.cursor.len()];
                // Over ids, which are random.
                batch.digest.iter_mut().for_each(|digest| digest.hash.clear());
                format!("{batch:?}")
            });
            self.tell("door FeedService/Subscribe", told);
        }
        let request = wire::AcknowledgeRequest {
            name: "theirs".to_owned(),
            cursor: vec![7; 74],
        };
        self.plain::<_, wire::AcknowledgeResponse>("FeedService/Acknowledge", request);
        let request = wire::ListSubscriptionsRequest {};
        self.plain::<_, wire::ListSubscriptionsResponse>("FeedService/ListSubscriptions", request);
        let request = wire::DropSubscriptionRequest {
            agent: "agent-1".to_owned(),
            name: "all".to_owned(),
        };
        self.plain::<_, wire::DropSubscriptionResponse>("FeedService/DropSubscription", request);
    }

    fn call_publishing(&mut self, id: &str, group: &str) {
        let handling = wire::Handling {
            tlp: wire::Tlp::Amber.into(),
            group_ids: vec![group.to_owned()],
            ..Default::default()
        };
        let draft = wire::IndicatorDraft {
            raw: VALUES[0].to_owned(),
            handling: Some(handling),
            ..Default::default()
        };
        let item = wire::PublishItem {
            request_id: String::new(),
            draft: Some(draft.clone()),
        };
        let request = wire::PublishRequest { items: vec![item] };
        self.plain::<_, wire::PublishResponse>("PublishService/Publish", request);
        let request = wire::ReviseRequest {
            id: id.to_owned(),
            expected_revision: 1,
            draft: Some(draft),
            request_id: String::new(),
            confirm_large: false,
        };
        self.plain::<_, wire::ReviseResponse>("PublishService/Revise", request);
        let request = wire::RetractRequest {
            ids: vec![id.to_owned()],
            reason: "no longer held".to_owned(),
            confirm_large: false,
        };
        self.plain::<_, wire::RetractResponse>("PublishService/Retract", request);
    }

    fn call_reactions(&mut self, id: &str) {
        let request = wire::AssessRequest {
            indicator_id: id.to_owned(),
            verdict: wire::AssessmentVerdict::Disputes.into(),
            ..Default::default()
        };
        self.plain::<_, wire::AssessResponse>("AssessmentService/Assess", request);
        let seen = self.shown.first().map(|held| held.id.to_string());
        for indicator_id in seen.into_iter().chain([id.to_owned()]) {
            let request = wire::ListAssessmentsRequest { indicator_id };
            self.plain::<_, wire::ListAssessmentsResponse>("AssessmentService/ListAssessments", request);
        }
        let request = wire::GetRecallRequest {
            indicator_id: id.to_owned(),
        };
        self.plain::<_, wire::GetRecallResponse>("RecallService/GetRecall", request);
        let request = wire::OrderErasureRequest {
            indicator_id: id.to_owned(),
            reason: "by law".into(),
        };
        self.plain::<_, wire::OrderErasureResponse>("ErasureService/OrderErasure", request);
        let request = wire::ListOpenRecallsRequest {};
        self.call(
            "RecallService/ListOpenRecalls",
            request,
            |world, answer: wire::ListOpenRecallsResponse| {
                let recall = |mut recall: wire::Recall| {
                    let holders = world.sorted(std::mem::take(&mut recall.holders));
                    (recall, holders)
                };
                world.sorted(answer.recalls.into_iter().map(recall))
            },
        );
        let request = wire::ListDisclosuresRequest::default();
        self.plain::<_, wire::ListDisclosuresResponse>("DisclosureService/ListDisclosures", request);
        self.call_counts();
    }

    /// How much crossed from whom to whom in which month is counted for all to see, also of what the observer does not see. Nothing else
    /// of it shows: one row for each agency, publisher and month, without a campaign.
    fn call_counts(&mut self) {
        let me = self.observer.member.to_string();
        let request = wire::CountDisclosuresRequest::default();
        self.call(
            "DisclosureService/CountDisclosures",
            request,
            |world, answer: wire::CountDisclosuresResponse| {
                let mut rows = BTreeSet::new();
                for count in answer.counts.iter().filter(|count| count.publisher_id != me) {
                    assert_eq!(count.campaign, "", "a campaign of another's");
                    let row = (&count.agency_id, &count.publisher_id, &count.month);
                    assert!(rows.insert(row), "{count:?} stands twice");
                }
                let took_part = |count: &wire::DisclosureCount| [&count.publisher_id, &count.agency_id].contains(&&me);
                world.sorted(answer.counts.iter().filter(|count| took_part(count)))
            },
        );
    }

    fn call_lists(&mut self) {
        let request = wire::ListMembersRequest {};
        self.call(
            "MembershipService/ListMembers",
            request,
            |world, answer: wire::ListMembersResponse| {
                let all = answer.members.len();
                let known = |member: &wire::Member| {
                    let id = member.id.parse().expect("an id");
                    world.mask.words.contains_key(&id)
                };
                let mut told = world.sorted(answer.members.into_iter().filter(known));
                told.push(format!("of {all}; own {}", answer.own_member_id));
                told
            },
        );
        let request = wire::ListGroupsRequest {};
        self.call(
            "MembershipService/ListGroups",
            request,
            |world, answer: wire::ListGroupsResponse| {
                let group = |mut group: wire::Group| {
                    group.member_ids = world.sorted(group.member_ids);
                    group
                };
                world.sorted(answer.groups.into_iter().map(group))
            },
        );
        let others = self.others[0].member.to_string();
        for member_id in [String::new(), others, self.observer.member.to_string()] {
            let request = wire::ListAgentsRequest {
                member_id: member_id.clone(),
            };
            self.call(
                "MembershipService/ListAgents",
                request,
                |world, mut answer: wire::ListAgentsResponse| {
                    let agents = answer.agents.iter_mut();
                    agents.for_each(|agent| agent.certificate_serial.clear());
                    world.sorted(answer.agents)
                },
            );
            if !member_id.is_empty() {
                let request = wire::ListMemberHistoryRequest { member_id };
                self.call(
                    "MembershipService/ListMemberHistory",
                    request,
                    |world, mut answer: wire::ListMemberHistoryResponse| {
                        let operator = world.stage.hub.admin().member.to_string();
                        let events = answer.events.iter_mut();
                        let by_operator = events.filter(|event| event.author_member_id == operator);
                        by_operator.for_each(|event| event.author_member_id = "operator".to_owned());
                        answer.events.iter().map(|event| format!("{event:?}")).collect()
                    },
                );
            }
        }
        let request = wire::ListPendingChangesRequest {};
        self.plain::<_, wire::ListPendingChangesResponse>("MembershipService/ListPendingChanges", request);
    }

    /// Changes that it may not make, of names, groups and agents that are there in one world alone.
    fn call_membership(&mut self, group: &str) {
        let (group_id, member_id) = (group.to_owned(), self.others[0].member.to_string());
        let (id, reason) = (member_id.clone(), String::new());
        let name = format!("Secret {} 1", self.number);
        let agent = "agent-1".to_owned();
        let request = wire::CreateGroupRequest { name: name.clone() };
        self.plain::<_, wire::CreateGroupResponse>("MembershipService/CreateGroup", request);
        let request = wire::AddMemberRequest {
            name: name.clone(),
            kind: wire::MemberKind::Media.into(),
        };
        self.plain::<_, wire::AddMemberResponse>("MembershipService/AddMember", request);
        let request = wire::RenameMemberRequest { id: id.clone(), name };
        self.plain::<_, wire::RenameMemberResponse>("MembershipService/RenameMember", request);
        let request = wire::SuspendMemberRequest {
            id: id.clone(),
            reason: reason.clone(),
        };
        self.plain::<_, wire::SuspendMemberResponse>("MembershipService/SuspendMember", request);
        let request = wire::RemoveMemberRequest { id: id.clone(), reason };
        self.plain::<_, wire::RemoveMemberResponse>("MembershipService/RemoveMember", request);
        let request = wire::ResumeMemberRequest { id };
        self.plain::<_, wire::ResumeMemberResponse>("MembershipService/ResumeMember", request);
        let request = wire::AddGroupMemberRequest {
            group_id: group_id.clone(),
            member_id: self.observer.member.to_string(),
        };
        self.plain::<_, wire::AddGroupMemberResponse>("MembershipService/AddGroupMember", request);
        let request = wire::RemoveGroupMemberRequest {
            group_id,
            member_id: member_id.clone(),
        };
        self.plain::<_, wire::RemoveGroupMemberResponse>("MembershipService/RemoveGroupMember", request);
        let request = wire::CreateInvitationRequest {
            member_id,
            agent: agent.clone(),
            roles: vec![wire::AgentRole::Subscriber.into()],
            lifetime_secs: 0,
        };
        self.plain::<_, wire::CreateInvitationResponse>("MembershipService/CreateInvitation", request);
        for other in self.others.clone() {
            let request = wire::RevokeAgentRequest {
                member_id: other.member.to_string(),
                agent: agent.clone(),
                reason: String::new(),
            };
            self.plain::<_, wire::RevokeAgentResponse>("MembershipService/RevokeAgent", request);
        }
        let id = Uuid::nil().to_string();
        let request = wire::ApproveChangeRequest { id: id.clone() };
        self.plain::<_, wire::ApproveChangeResponse>("MembershipService/ApproveChange", request);
        self.plain::<_, wire::RejectChangeResponse>("MembershipService/RejectChange", wire::RejectChangeRequest { id });
        let csr_pem = "none".to_owned();
        let request = wire::RenewCertificateRequest {
            csr_pem: csr_pem.clone(),
        };
        self.plain::<_, wire::RenewCertificateResponse>("MembershipService/RenewCertificate", request);
        let request = wire::EndOtherCertificatesRequest {};
        self.plain::<_, wire::EndOtherCertificatesResponse>("MembershipService/EndOtherCertificates", request);
        self.plain::<_, wire::EnrollResponse>("EnrolmentService/Enroll", wire::EnrollRequest { csr_pem });
    }
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/{PACKAGE}.{method}")).expect("a path")
}

/// All that an error says.
fn refusal(status: &Status) -> String {
    let (code, message) = (status.code(), status.message());
    format!("{code:?} {message} {:?}", status.get_error_details())
}

/// Every call that the wire API has.
fn all_calls() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let protos = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/clearinghouse/v1");
    for proto in std::fs::read_dir(protos).expect("the protos") {
        let text = std::fs::read_to_string(proto.expect("a file").path()).expect("a proto");
        let mut service = "";
        for line in text.lines() {
            let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some("service"), Some(name)) => service = name,
                (Some("rpc"), Some(name)) => drop(calls.insert(format!("{service}/{name}"))),
                _ => {}
            }
        }
    }
    calls
}

#[test]
fn every_call_is_observed_or_said_why_not() {
    use super::script::{Common, Observation, Script, Step};
    let script = Script {
        observer_is: 0,
        batch_items: 1,
        hold_touches: 1,
        steps: vec![Step::Both(Common::Observe(Observation::Door))],
    };
    let told = super::world::Stage::new().play(&script, true);
    let named = told
        .iter()
        .filter_map(|line| line.strip_prefix("door ")?.split_once(':'));
    let mut observed: BTreeSet<String> = named.map(|(method, _)| method.to_owned()).collect();
    observed.extend(NOT_CALLED.map(str::to_owned));
    let all = all_calls();
    assert!(all.len() > 30, "{all:?}");
    assert_eq!(observed, all);
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let missing: Vec<_> = all.iter().filter(|call| !page.contains(&format!("`{call}`"))).collect();
    assert!(
        missing.is_empty(),
        "docs/testing.md does not say of {missing:?} how it is observed"
    );
}
