//! TLS between a hub and its members, in real handshakes: what passes, and as whom. Those that must not pass are in
//! `refusals.rs`.

mod refusals;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig,
    ServerConnection,
};

use super::*;
use crate::domain::id::{MemberId, Timestamp};

const DAY_SECS: i64 = 86_400;

/// A hub's authority, its TLS, and one enrolled agent.
struct Hub {
    _dir: tempfile::TempDir,
    authority: Authority,
    server: KeyAndChain,
}

/// rustls reads the system's clock, so here alone does a test of this room.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

fn member() -> MemberId {
    "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap()
}

fn hub() -> Hub {
    let dir = tempfile::tempdir().unwrap();
    let domain = "hub.example".parse().unwrap();
    // The root is older than everything else, so that certificates of the past can be issued.
    let authority = Authority::create(dir.path(), &domain, "Test hub", now().plus_secs(-30 * DAY_SECS)).unwrap();
    let server = authority
        .issue_server(&["hub.example".into(), "127.0.0.1".into()], now())
        .unwrap();
    Hub {
        _dir: dir,
        authority,
        server,
    }
}

impl Hub {
    fn agent_from(&self, at: Timestamp, lifetime_secs: u32) -> (KeyAndChain, Issued) {
        let made = new_key_and_csr().unwrap();
        let name = "feed".parse().unwrap();
        let issued = self
            .authority
            .issue_agent(made.csr_pem.as_bytes(), member(), &name, at, lifetime_secs)
            .unwrap();
        (
            KeyAndChain {
                chain_pem: issued.pem.clone(),
                key_pem: made.key_pem,
            },
            issued,
        )
    }

    fn agent(&self) -> KeyAndChain {
        self.agent_from(now(), 3_600).0
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        server_config(self.authority.ca_pem(), &self.server, None).unwrap()
    }

    fn client_config(&self, keys: &KeyAndChain) -> Arc<ClientConfig> {
        client_config(self.authority.ca_pem(), keys).unwrap()
    }

    fn connect(&self, keys: &KeyAndChain) -> Result<Handshake, Error> {
        handshake(self.server_config(), self.client_config(keys), "hub.example")
    }
}

struct Handshake {
    client: ClientConnection,
    server: ServerConnection,
}

/// Carries bytes between the two sides until neither has anything to say. An error is the server's, or else the
/// client's: in TLS 1.3 the client is done before the server has looked at its certificate.
fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>, name: &str) -> Result<Handshake, Error> {
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = ClientConnection::new(client, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Handshake { client, server })
}

#[test]
fn an_agent_gets_through_and_is_who_its_certificate_says() {
    let hub = hub();
    let (keys, issued) = hub.agent_from(now(), 3_600);
    let done = hub.connect(&keys).unwrap();
    assert_eq!(done.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(done.server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(
        done.server.negotiated_key_exchange_group().unwrap().name(),
        NamedGroup::X25519MLKEM768
    );

    let peer = peer_certificate(
        hub.authority.trust_domain(),
        &done.server.peer_certificates().unwrap()[0],
    )
    .unwrap();
    assert_eq!(
        peer.identity,
        Identity::Agent {
            member: member(),
            agent: "feed".parse().unwrap()
        }
    );
    assert_eq!(
        (peer.serial, peer.not_after, peer.spki_sha256),
        (issued.serial, issued.not_after, issued.spki_sha256)
    );
    assert_eq!(chain_not_after(&keys.chain_pem), Ok(issued.not_after));
}

#[test]
fn an_agent_with_each_accepted_kind_of_key_gets_through() {
    let hub = hub();
    for algorithm in [
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        let name = "feed".parse().unwrap();
        let issued = hub
            .authority
            .issue_agent(csr.der(), member(), &name, now(), 3_600)
            .unwrap();
        let done = hub.connect(&KeyAndChain {
            chain_pem: issued.pem,
            key_pem: key.serialize_pem(),
        });
        assert!(done.is_ok(), "{algorithm:?}");
    }
}

#[test]
fn an_invitation_gets_through_as_itself_after_a_round_trip_as_text() {
    let hub = hub();
    let id = "0190b8a2-0000-7def-8a12-3456789abcde".parse().unwrap();
    let token = hub.authority.issue_invitation(id, now(), 600).unwrap();
    let token: InvitationToken = token.to_string().parse().unwrap();
    let keys = KeyAndChain {
        chain_pem: token.certificate_pem().to_owned(),
        key_pem: token.key_pem().to_owned(),
    };
    let done = hub.connect(&keys).unwrap();
    let peer = peer_certificate(
        hub.authority.trust_domain(),
        &done.server.peer_certificates().unwrap()[0],
    )
    .unwrap();
    assert_eq!((peer.identity, peer.serial), (Identity::Invitation(id), token.serial()));
}

#[test]
fn the_hub_is_believed_only_under_its_own_names() {
    let hub = hub();
    let agent = hub.agent();
    for (name, known) in [
        ("hub.example", true),
        ("127.0.0.1", true),
        ("other.example", false),
        ("127.0.0.2", false),
    ] {
        let result = handshake(hub.server_config(), hub.client_config(&agent), name);
        assert_eq!(result.is_ok(), known, "{name}");
    }
}

#[test]
fn each_connection_is_a_full_handshake() {
    let hub = hub();
    let server = hub.server_config();
    let mut client = (*hub.client_config(&hub.agent())).clone();
    // A client that would resume if it could, and offers early data.
    client.resumption = Resumption::in_memory_sessions(16);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for _ in 0..3 {
        let mut done = handshake(Arc::clone(&server), Arc::clone(&client), "hub.example").unwrap();
        assert_eq!(done.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(done.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(done.client.tls13_tickets_received(), 0);
        assert!(done.client.early_data().is_none());
    }
}

#[test]
fn the_check_for_resumption_would_notice_one() {
    let hub = hub();
    let mut resuming = (*hub.server_config()).clone();
    resuming.send_tls13_tickets = 2;
    resuming.session_storage = rustls::server::ServerSessionMemoryCache::new(16);
    let mut client = (*hub.client_config(&hub.agent())).clone();
    client.resumption = Resumption::in_memory_sessions(16);
    let (server, client) = (Arc::new(resuming), Arc::new(client));
    let kinds = [0, 1].map(|_| {
        let done = handshake(Arc::clone(&server), Arc::clone(&client), "hub.example").unwrap();
        done.server.handshake_kind().unwrap()
    });
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[test]
fn the_configurations_work_over_real_sockets() {
    let hub = hub();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server_config = hub.server_config();
    let server = std::thread::spawn(move || {
        let mut connection = ServerConnection::new(server_config).unwrap();
        let mut socket = listener.accept().unwrap().0;
        connection
            .complete_io(&mut socket)
            .map(|_| connection.peer_certificates().unwrap().len())
    });
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(hub.client_config(&hub.agent()), name).unwrap();
    client.complete_io(&mut TcpStream::connect(address).unwrap()).unwrap();
    assert_eq!(server.join().unwrap().unwrap(), 1);
}

#[test]
fn roots_that_would_break_or_weaken_verification_are_refused() {
    let hub = hub();
    let ca = hub.authority.ca_pem();
    let config = |roots: &str| server_config(roots, &hub.server, None).map(|_| ());
    assert!(config(ca).is_ok());
    assert!(matches!(config(""), Err(TlsError::Roots)));
    assert!(matches!(config("garbage"), Err(TlsError::Roots)));
    assert!(matches!(config(&ca.repeat(2)), Err(TlsError::SameSubject)));
    assert!(matches!(
        config(&format!("{ca}{}", hub.agent().chain_pem)),
        Err(TlsError::RootNotAuthority)
    ));
    let successor_dir = tempfile::tempdir().unwrap();
    let domain = hub.authority.trust_domain();
    let successor = Authority::create(successor_dir.path(), domain, "Test hub", now()).unwrap();
    assert!(
        config(&format!("{ca}{}", successor.ca_pem())).is_ok(),
        "a successor of the same name is told apart"
    );
}

#[test]
fn a_server_key_that_is_not_the_certificates_is_refused() {
    let hub = hub();
    let mixed = KeyAndChain {
        key_pem: hub.agent().key_pem,
        ..hub.server.clone()
    };
    assert!(matches!(
        server_config(hub.authority.ca_pem(), &mixed, None),
        Err(TlsError::Rustls(_))
    ));
    for (chain_pem, key_pem) in [("", hub.server.key_pem.as_str()), (hub.server.chain_pem.as_str(), "")] {
        let broken = KeyAndChain {
            chain_pem: chain_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        };
        assert!(matches!(
            server_config(hub.authority.ca_pem(), &broken, None),
            Err(TlsError::KeyAndChain)
        ));
    }
    let no_list = server_config(hub.authority.ca_pem(), &hub.server, Some(""));
    assert!(matches!(no_list, Err(TlsError::CrlPem)));
}

/// An external authority with an intermediate, as a coalition may already run one, and an agent that it certified.
fn external_agent(uri: &str) -> (String, KeyAndChain) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let (root_params, root_key) = authority("external root");
    let root_pem = root_params.self_signed(&root_key).unwrap().pem();
    let root = Issuer::new(root_params, root_key);
    let (between_params, between_key) = authority("external intermediate");
    let between_pem = between_params.signed_by(&between_key, &root).unwrap().pem();
    let between = Issuer::new(between_params, between_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["reader.example".to_owned()]).unwrap();
    params
        .subject_alt_names
        .push(rcgen::SanType::URI(uri.try_into().unwrap()));
    let leaf_pem = params.signed_by(&key, &between).unwrap().pem();
    (
        root_pem,
        KeyAndChain {
            chain_pem: format!("{leaf_pem}{between_pem}"),
            key_pem: key.serialize_pem(),
        },
    )
}

#[test]
fn an_agent_of_a_trusted_external_authority_gets_through_by_its_intermediate() {
    let hub = hub();
    let uri = format!("spiffe://hub.example/member/{}/agent/feed", member());
    let (root_pem, keys) = external_agent(&uri);
    assert_eq!(
        hub.connect(&keys).err(),
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    );

    let roots = format!("{}{root_pem}", hub.authority.ca_pem());
    let server = server_config(&roots, &hub.server, None).unwrap();
    let done = handshake(Arc::clone(&server), hub.client_config(&keys), "hub.example").unwrap();
    let peer = peer_certificate(
        hub.authority.trust_domain(),
        &done.server.peer_certificates().unwrap()[0],
    )
    .unwrap();
    assert_eq!(peer.identity.to_uri(hub.authority.trust_domain()), uri);
    assert!(
        handshake(server, hub.client_config(&hub.agent()), "hub.example").is_ok(),
        "the hub's own still pass"
    );
}

#[test]
fn a_trusted_authority_without_a_revocation_list_fails_closed_once_another_has_one() {
    let hub = hub();
    let (root_pem, keys) = external_agent("spiffe://hub.example/x");
    let list = hub.authority.issue_crl(&[], 1, now()).unwrap();
    let roots = format!("{}{root_pem}", hub.authority.ca_pem());
    let server = server_config(&roots, &hub.server, Some(&list)).unwrap();
    assert!(handshake(Arc::clone(&server), hub.client_config(&hub.agent()), "hub.example").is_ok());
    let error = handshake(server, hub.client_config(&keys), "hub.example").err();
    assert_eq!(
        error,
        Some(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus))
    );
}
