//! The connection of an agent to its hub: mutual TLS from a profile, and the clients of the hub's services. Owns the wire's
//! settings; refuses to retry, which only the caller knows to be right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::explain::Circumstances;
use super::failure::Failure;
use super::output::Output;
use super::profile::{Profile, Validity};
use super::time;
use crate::grpc::wire::assessment_service_client::AssessmentServiceClient;
use crate::grpc::wire::disclosure_service_client::DisclosureServiceClient;
use crate::grpc::wire::enrolment_service_client::EnrolmentServiceClient;
use crate::grpc::wire::erasure_service_client::ErasureServiceClient;
use crate::grpc::wire::feed_service_client::FeedServiceClient;
use crate::grpc::wire::membership_service_client::MembershipServiceClient;
use crate::grpc::wire::publish_service_client::PublishServiceClient;
use crate::grpc::wire::query_service_client::QueryServiceClient;
use crate::grpc::wire::recall_service_client::RecallServiceClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A call that is not a stream.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Without keep-alive a channel never notices that the network between went away.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A page of 1,000 indicators with long values passes the 4 MiB that gRPC allows by default.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Lets a replay flow although the reader is 30 ms away.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// What every command is given: the global flags.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the profile lies.
    pub profile: Option<PathBuf>,
    /// The hub's address, where it is not that of the profile.
    pub hub: Option<String>,
    /// How to print.
    pub output: Output,
}

impl Context {
    /// The profile's directory, without which no online command can run.
    pub fn profile_dir(&self) -> Result<&Path, Failure> {
        self.profile.as_deref().ok_or_else(|| {
            Failure::Usage(
                "name a profile with --profile DIR or CLEARINGHOUSE_PROFILE (`enroll` makes one, `init` the admin's)"
                    .into(),
            )
        })
    }

    /// Reads the profile, with the hub's address replaced where one was given.
    pub fn load_profile(&self) -> Result<Profile, Failure> {
        let mut profile = Profile::load(self.profile_dir()?)?;
        if let Some(hub) = &self.hub {
            profile.settings.hub.clone_from(hub);
        }
        Ok(profile)
    }

    /// Connects with the profile, warning of what its owner should know.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        let profile = self.load_profile()?;
        if let Some(exposure) = profile.exposure() {
            self.output.note(&format!("warning: {exposure}"));
        }
        let now = Timestamp::now();
        let validity = profile.validity()?;
        if validity.is_ending(now) && validity.not_after > now {
            let ends = time::distance(now, validity.not_after);
            self.output.note(&format!(
                "warning: this agent's certificate ends {ends}: run `clearinghouse renew`"
            ));
        }
        Connection::open(&Credentials::of(&profile)).await
    }
}

/// What a connection is made with.
pub struct Credentials<'a> {
    /// The hub's address.
    pub hub: &'a str,
    /// The chain shown to the hub.
    pub certificate_pem: &'a str,
    /// Its key.
    pub key_pem: &'a str,
    /// The authority that the hub must be of.
    pub authority_pem: &'a str,
}

impl<'a> Credentials<'a> {
    /// Those of a profile.
    pub fn of(profile: &'a Profile) -> Credentials<'a> {
        Credentials {
            hub: &profile.settings.hub,
            certificate_pem: &profile.certificate_pem,
            key_pem: &profile.key_pem,
            authority_pem: &profile.authority_pem,
        }
    }
}

/// A connection, which mends itself: after a break the next call connects anew.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    circumstances: Circumstances,
}

impl Connection {
    /// Connects. What only the first call shows (a refused certificate) is explained by [`Connection::failure`].
    pub async fn open(credentials: &Credentials<'_>) -> Result<Connection, Failure> {
        let circumstances = Circumstances {
            address: canonical_address(credentials.hub)?,
            validity: Validity::of_pem(credentials.certificate_pem).ok(),
        };
        let endpoint = endpoint(&circumstances.address, credentials)?;
        match endpoint.connect().await {
            Ok(channel) => Ok(Connection { channel, circumstances }),
            Err(error) => Err(Failure::Failed(circumstances.of_connecting(&error))),
        }
    }

    /// The channel itself, for calls that the generated clients do not make.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Publishing.
    pub fn publishing(&self) -> PublishServiceClient<Channel> {
        PublishServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Feeds.
    pub fn feeds(&self) -> FeedServiceClient<Channel> {
        FeedServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Reading.
    pub fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Reactions to indicators.
    pub fn assessments(&self) -> AssessmentServiceClient<Channel> {
        AssessmentServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// What crossed to governments.
    pub fn disclosures(&self) -> DisclosureServiceClient<Channel> {
        DisclosureServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Orders to erase.
    pub fn erasures(&self) -> ErasureServiceClient<Channel> {
        ErasureServiceClient::new(self.channel.clone())
    }

    /// Recalls.
    pub fn recalls(&self) -> RecallServiceClient<Channel> {
        RecallServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Members, groups, agents.
    pub fn membership(&self) -> MembershipServiceClient<Channel> {
        MembershipServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Enrolment, which an invitation opens.
    pub fn enrolment(&self) -> EnrolmentServiceClient<Channel> {
        EnrolmentServiceClient::new(self.channel.clone())
    }

    /// Why a call failed, with what to do about it.
    pub fn failure(&self, status: Status) -> Failure {
        Failure::Failed(self.circumstances.of_call(&status))
    }

    /// The hub's address.
    pub fn address(&self) -> &str {
        &self.circumstances.address
    }
}

/// A call that is not a stream, with its deadline.
pub fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// `https://HOST:PORT` of what a person wrote.
pub fn canonical_address(text: &str) -> Result<String, Failure> {
    let refuse = |why: &str| {
        Err(Failure::Usage(format!(
            "hub address {text:?} {why}, such as https://hub.example:7443"
        )))
    };
    let host_and_port = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    if host_and_port.contains("://") {
        return refuse("must be https");
    }
    let has_port = host_and_port
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port || host_and_port.contains(['/', '@', ' ', '?', '#']) {
        return refuse("must be a host and a port");
    }
    Ok(format!("https://{host_and_port}"))
}

fn endpoint(address: &str, credentials: &Credentials<'_>) -> Result<Endpoint, Failure> {
    let host = address
        .trim_start_matches("https://")
        .rsplit_once(':')
        .map_or("", |(host, _)| host);
    let tls = ClientTlsConfig::new()
        .domain_name(host.trim_matches(['[', ']']))
        .ca_certificate(Certificate::from_pem(credentials.authority_pem))
        .identity(Identity::from_pem(credentials.certificate_pem, credentials.key_pem));
    let unusable = |error: tonic::transport::Error| {
        Failure::Failed(format!(
            "the credentials cannot be used: {}",
            std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
        ))
    };
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(unusable)?;
    Ok(endpoint
        .tls_config(tls)
        .map_err(unusable)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form_and_are_never_plain_text() {
        for (given, expected) in [
            ("hub.example:7443", Some("https://hub.example:7443")),
            ("https://hub.example:7443/", Some("https://hub.example:7443")),
            ("https://[::1]:7443", Some("https://[::1]:7443")),
            ("127.0.0.1:0", Some("https://127.0.0.1:0")),
            ("http://hub.example:7443", None),
            ("hub.example", None),
            ("hub.example:port", None),
            ("user@hub.example:1/x", None),
            (":7443", None),
            ("", None),
        ] {
            assert_eq!(canonical_address(given).ok().as_deref(), expected, "{given:?}");
        }
    }
}
