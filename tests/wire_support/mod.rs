//! A hub over the wire, in this process: made by `init`, served on a free loopback port, with clients that enrolled as members do.
#![allow(dead_code, missing_docs)]

pub mod child;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clearinghouse::config::{Config, Overrides};
use clearinghouse::grpc::wire;
use clearinghouse::log::{Durability, Options};
use clearinghouse::pki::{InvitationToken, new_key_and_csr};
use clearinghouse::serve::{InitRequest, init, run_with};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use wire::enrolment_service_client::EnrolmentServiceClient;
use wire::feed_service_client::FeedServiceClient;
use wire::membership_service_client::MembershipServiceClient;
use wire::publish_service_client::PublishServiceClient;
use wire::query_service_client::QueryServiceClient;

/// A running hub.
pub struct TestHub {
    pub address: SocketAddr,
    pub dir: PathBuf,
    pub ca_pem: String,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    _folder: Option<tempfile::TempDir>,
}

/// What a client connects with.
#[derive(Clone)]
pub struct Credentials {
    pub member_id: String,
    pub cert_pem: String,
    pub key_pem: String,
}

impl TestHub {
    /// A new hub in a folder of its own.
    pub async fn start() -> TestHub {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("hub");
        init(&InitRequest {
            dir: dir.clone(),
            name: "test hub".into(),
            hosts: Vec::new(),
        })
        .unwrap();
        let mut hub = TestHub::open(&dir).await;
        hub._folder = Some(folder);
        hub
    }

    /// The hub in `dir`.
    pub async fn open(dir: &Path) -> TestHub {
        TestHub::open_with(dir, |_| {}).await
    }

    /// The hub in `dir`, with a configuration that no file may ask for.
    pub async fn open_with(dir: &Path, configure: impl FnOnce(&mut Config)) -> TestHub {
        let overrides = Overrides {
            listen: Some("127.0.0.1:0".into()),
        };
        let mut config = Config::load(dir, overrides).unwrap();
        config.drain_secs = 2;
        configure(&mut config);
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, bound) = oneshot::channel();
        let options = Options {
            durability: Durability::SkipSync,
            ballast_bytes: 0,
            ..Options::default()
        };
        let task = tokio::spawn(async move {
            let on_ready = |address| ready.send(address).expect("the test waits");
            let never = || -> clearinghouse::serve::ReloadSignal { Box::pin(std::future::pending()) };
            let stop = async { stopped.await.unwrap_or_default() };
            run_with(config, options, on_ready, never, stop).await.unwrap();
        });
        TestHub {
            address: bound.await.expect("the hub starts"),
            dir: dir.to_owned(),
            ca_pem: std::fs::read_to_string(dir.join("ca/ca.pem")).unwrap(),
            stop: Some(stop),
            task: Some(task),
            _folder: None,
        }
    }

    /// A hub that another process runs.
    pub fn at(address: SocketAddr, dir: &Path) -> TestHub {
        TestHub {
            address,
            dir: dir.to_owned(),
            ca_pem: std::fs::read_to_string(dir.join("ca/ca.pem")).unwrap(),
            stop: None,
            task: None,
            _folder: None,
        }
    }

    /// Stops in order and gives back the folder, so that the hub can be opened again.
    pub async fn stop(mut self) -> Option<tempfile::TempDir> {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap();
        self._folder.take()
    }

    /// The first admin.
    pub fn admin(&self) -> Credentials {
        let read = |name: &str| std::fs::read_to_string(self.dir.join("admin").join(name)).unwrap();
        Credentials {
            member_id: String::new(),
            cert_pem: read("cert.pem"),
            key_pem: read("key.pem"),
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("https://127.0.0.1:{}", self.address.port()))
            .unwrap()
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
    }

    pub async fn connect(&self, credentials: &Credentials) -> Channel {
        self.try_connect(credentials)
            .await
            .expect("the hub accepts the certificate")
    }

    pub async fn try_connect(&self, credentials: &Credentials) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .identity(Identity::from_pem(&credentials.cert_pem, &credentials.key_pem))
            .domain_name("127.0.0.1");
        self.endpoint().tls_config(tls).unwrap().connect().await
    }

    pub async fn add_member(&self, name: &str, kind: wire::MemberKind) -> String {
        let mut admin = MembershipServiceClient::new(self.connect(&self.admin()).await);
        let request = wire::AddMemberRequest {
            name: name.into(),
            kind: kind.into(),
        };
        admin.add_member(request).await.unwrap().into_inner().member.unwrap().id
    }

    pub async fn invite(&self, member_id: &str, agent: &str, roles: &[wire::AgentRole]) -> InvitationToken {
        let mut admin = MembershipServiceClient::new(self.connect(&self.admin()).await);
        let request = wire::CreateInvitationRequest {
            member_id: member_id.into(),
            agent: agent.into(),
            roles: roles.iter().map(|role| (*role).into()).collect(),
            lifetime_secs: 0,
        };
        admin
            .create_invitation(request)
            .await
            .unwrap()
            .into_inner()
            .token
            .parse()
            .unwrap()
    }

    pub async fn enroll(&self, token: &InvitationToken) -> Result<Credentials, tonic::Status> {
        let bearer = Credentials {
            member_id: String::new(),
            cert_pem: token.certificate_pem().to_owned(),
            key_pem: token.key_pem().to_owned(),
        };
        let keys = new_key_and_csr().unwrap();
        let mut client = EnrolmentServiceClient::new(self.connect(&bearer).await);
        let response = client
            .enroll(wire::EnrollRequest { csr_pem: keys.csr_pem })
            .await?
            .into_inner();
        Ok(Credentials {
            member_id: response.member.unwrap().id,
            cert_pem: response.certificate_chain_pem,
            key_pem: keys.key_pem,
        })
    }

    /// A member with one agent that publishes and subscribes.
    pub async fn member(&self, name: &str, kind: wire::MemberKind) -> Client {
        let id = self.add_member(name, kind).await;
        self.agent(&id, "service").await
    }

    /// One more agent of a member.
    pub async fn agent(&self, member_id: &str, agent: &str) -> Client {
        let roles = [wire::AgentRole::Publisher, wire::AgentRole::Subscriber];
        let token = self.invite(member_id, agent, &roles).await;
        let credentials = self.enroll(&token).await.unwrap();
        Client {
            channel: self.connect(&credentials).await,
            credentials,
        }
    }

    pub async fn admin_client(&self) -> MembershipServiceClient<Channel> {
        MembershipServiceClient::new(self.connect(&self.admin()).await)
    }
}

/// A connected agent.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    pub credentials: Credentials,
}

impl Client {
    pub fn id(&self) -> String {
        self.credentials.member_id.clone()
    }

    pub fn publisher(&self) -> PublishServiceClient<Channel> {
        PublishServiceClient::new(self.channel.clone())
    }

    pub fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone())
    }

    pub fn membership(&self) -> MembershipServiceClient<Channel> {
        MembershipServiceClient::new(self.channel.clone())
    }

    pub fn feeds(&self) -> FeedServiceClient<Channel> {
        FeedServiceClient::new(self.channel.clone())
    }

    /// Publishes one value and gives its id.
    pub async fn publish(&self, raw: &str, handling: wire::Handling) -> String {
        self.publish_draft(draft(raw, handling)).await
    }

    pub async fn publish_draft(&self, draft: wire::IndicatorDraft) -> String {
        let raw = draft.raw.clone();
        let item = wire::PublishItem {
            request_id: String::new(),
            draft: Some(draft),
        };
        let response = self
            .publisher()
            .publish(wire::PublishRequest { items: vec![item] })
            .await
            .unwrap();
        match response.into_inner().results.remove(0).outcome.unwrap() {
            wire::publish_result::Outcome::Accepted(accepted) => accepted.id,
            other => panic!("{raw} was not accepted: {other:?}"),
        }
    }

    /// A call of `Publish` whose message never comes, until the sender is dropped: it stays in flight. Gives its answer.
    pub async fn hanging_publish(
        &self,
    ) -> (
        mpsc::Sender<wire::PublishRequest>,
        JoinHandle<Result<wire::PublishResponse, tonic::Status>>,
    ) {
        let (message, never) = mpsc::channel(1);
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let call = tokio::spawn(async move {
            let path = "/clearinghouse.v1.PublishService/Publish".parse().unwrap();
            let codec = tonic_prost::ProstCodec::default();
            let request = tonic::Request::new(ReceiverStream::new(never));
            let response = client.client_streaming(request, path, codec).await;
            response.map(tonic::Response::into_inner)
        });
        (message, call)
    }

    pub async fn subscribe(&self, cursor: Vec<u8>) -> tonic::Streaming<wire::SubscribeResponse> {
        let request = wire::SubscribeRequest {
            cursor,
            ..Default::default()
        };
        self.feeds().subscribe(request).await.unwrap().into_inner()
    }
}

pub fn draft(raw: &str, handling: wire::Handling) -> wire::IndicatorDraft {
    wire::IndicatorDraft {
        raw: raw.into(),
        verdict: wire::Verdict::Malicious.into(),
        confidence: 80,
        handling: Some(handling),
        ..Default::default()
    }
}

pub fn green() -> wire::Handling {
    wire::Handling {
        tlp: wire::Tlp::Green.into(),
        ..Default::default()
    }
}

/// Reads until the feed is live; gives what it held, in order, and the last cursor.
pub async fn until_live(
    feed: &mut tonic::Streaming<wire::SubscribeResponse>,
) -> (Vec<wire::Indicator>, Vec<wire::Removal>, Vec<u8>) {
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    loop {
        let response = feed.message().await.unwrap().expect("the feed goes on");
        upserts.extend(response.upserts);
        removals.extend(response.removals);
        if response.live {
            return (upserts, removals, response.cursor);
        }
    }
}
