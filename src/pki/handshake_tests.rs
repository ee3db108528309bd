//! Who gets through TLS: real handshakes, in memory. Each refusal stands beside the one certificate that passes and
//! differs from it in one thing.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup,
    ProtocolVersion, ServerConfig, ServerConnection,
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

fn refused(result: Result<Handshake, Error>) -> Error {
    result.err().expect("the handshake must be refused")
}

/// A certificate that looks exactly like an agent's, but for its signer.
fn agent_lookalike(issuer: Option<&Issuer<'_, KeyPair>>) -> KeyAndChain {
    let key = KeyPair::generate().unwrap();
    let uri = format!("spiffe://hub.example/member/{}/agent/feed", member());
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    KeyAndChain {
        chain_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    }
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
fn a_token_whose_certificate_was_altered_gets_nowhere() {
    let hub = hub();
    let id = "0190b8a2-0000-7def-8a12-3456789abcde".parse().unwrap();
    let token = hub.authority.issue_invitation(id, now(), 600).unwrap();
    let mut der = CertificateDer::from_pem_slice(token.certificate_pem().as_bytes())
        .unwrap()
        .to_vec();
    // From somebody's invitation to somebody else's.
    let at = der.windows(8).position(|window| window == b"0190b8a2").unwrap();
    der[at] = b'1';
    let altered = CertificateDer::from(der);
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(token.key_pem().as_bytes()).unwrap();
    let mut client = (*hub.client_config(&hub.agent())).clone();
    client.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(
        vec![altered],
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap(),
    )));
    let error = refused(handshake(hub.server_config(), Arc::new(client), "hub.example"));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::BadSignature));
}

#[test]
fn nobody_gets_through_without_a_certificate() {
    let hub = hub();
    let mut client = (*hub.client_config(&hub.agent())).clone();
    client.client_auth_cert_resolver = Arc::new(NoCertificate);
    let error = refused(handshake(hub.server_config(), Arc::new(client), "hub.example"));
    assert_eq!(error, Error::NoCertificatesPresented);
}

#[test]
fn a_certificate_of_nobody_or_of_another_authority_is_refused() {
    let hub = hub();
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(refused(hub.connect(&agent_lookalike(None))), unknown);

    let foreign_dir = tempfile::tempdir().unwrap();
    let domain = hub.authority.trust_domain();
    let foreign = Authority::create(foreign_dir.path(), domain, "Test hub", now()).unwrap();
    let made = new_key_and_csr().unwrap();
    let issued = foreign
        .issue_agent(
            made.csr_pem.as_bytes(),
            member(),
            &"feed".parse().unwrap(),
            now(),
            3_600,
        )
        .unwrap();
    let keys = KeyAndChain {
        chain_pem: issued.pem,
        key_pem: made.key_pem,
    };
    assert_eq!(refused(hub.connect(&keys)), unknown);
}

#[test]
fn another_root_of_the_same_name_is_refused() {
    let hub = hub();
    let ours = CertificateDer::from_pem_slice(hub.authority.ca_pem().as_bytes()).unwrap();
    // The issuer takes name, usages and key identifier from our root, and signs with a key of its own.
    let impostor = Issuer::from_ca_cert_der(&ours, KeyPair::generate().unwrap()).unwrap();
    let error = refused(hub.connect(&agent_lookalike(Some(&impostor))));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::BadSignature));
}

#[test]
fn an_agent_cannot_act_as_an_authority() {
    let hub = hub();
    let (agent, _) = hub.agent_from(now(), 3_600);
    let der = CertificateDer::from_pem_slice(agent.chain_pem.as_bytes()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&der, KeyPair::from_pem(&agent.key_pem).unwrap()).unwrap();
    let mut forged = agent_lookalike(Some(&issuer));
    forged.chain_pem.push_str(&agent.chain_pem);
    let error = refused(hub.connect(&forged));
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn an_expired_certificate_and_one_of_the_future_are_refused() {
    let hub = hub();
    let (expired, _) = hub.agent_from(now().plus_secs(-2 * DAY_SECS), 3_600);
    let error = refused(hub.connect(&expired));
    assert!(
        matches!(
            error,
            Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
        ),
        "{error:?}"
    );
    let (early, _) = hub.agent_from(now().plus_secs(DAY_SECS), 3_600);
    let error = refused(hub.connect(&early));
    assert!(
        matches!(
            error,
            Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })
        ),
        "{error:?}"
    );
}

#[test]
fn server_and_client_certificates_cannot_stand_in_for_each_other() {
    let hub = hub();
    let error = refused(hub.connect(&hub.server));
    assert!(
        matches!(
            error,
            Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. })
        ),
        "{error:?}"
    );

    let agent = hub.agent();
    let posing = server_config(hub.authority.ca_pem(), &agent, None).unwrap();
    let error = refused(handshake(posing, hub.client_config(&agent), "hub.example"));
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
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
fn a_revoked_certificate_is_refused_at_the_handshake_when_a_list_is_given() {
    let hub = hub();
    let (revoked, issued) = hub.agent_from(now(), 3_600);
    let crl = |serials: &[(Serial, Timestamp)]| {
        let der = hub.authority.issue_crl(serials, 1, now()).unwrap();
        server_config(hub.authority.ca_pem(), &hub.server, Some(&crl_pem(&der))).unwrap()
    };
    let connect = |server: Arc<ServerConfig>, keys| handshake(server, hub.client_config(keys), "hub.example");
    assert!(connect(crl(&[]), &revoked).is_ok());
    let listed = crl(&[(issued.serial, now())]);
    let error = refused(connect(Arc::clone(&listed), &revoked));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::Revoked));
    assert!(connect(listed, &hub.agent()).is_ok(), "others are not touched");
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
fn a_client_of_tls_1_2_is_refused() {
    let hub = hub();
    let mut server = ServerConnection::new(hub.server_config()).unwrap();
    server.read_tls(&mut client_hello_of_tls_1_2().as_slice()).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
    let mut answer = Vec::new();
    server.write_tls(&mut answer).unwrap();
    // An alert record: fatal, protocol_version.
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, u8::from(AlertDescription::ProtocolVersion)]);
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

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn crl_pem(der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n")
}

/// A client hello as RFC 5246 has it: well-formed, with groups and signature algorithms that we support, but without
/// the `supported_versions` extension by which a client says that it knows TLS 1.3.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 0x17][..], // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],              // ec_point_formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],        // signature_algorithms: ecdsa_secp256r1_sha256
    ]
    .concat();
    let mut body = vec![3, 3]; // TLS 1.2
    body.extend([7; 32]); // random
    body.extend([0]); // no session id
    body.extend([0, 2, 0xc0, 0x2b]); // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    body.extend([1, 0]); // no compression
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let body_len = u16::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1];
    record.extend((body_len + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(body_len.to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn the_request_of_an_agent_cannot_ask_for_more_than_a_key() {
    let hub = hub();
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::default();
    greedy.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "root");
    greedy.subject_alt_names = vec![
        SanType::URI(
            "spiffe://hub.example/member/00000000-0000-0000-0000-000000000001/agent/admin"
                .try_into()
                .unwrap(),
        ),
        SanType::DnsName("hub.example".try_into().unwrap()),
    ];
    greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any];
    greedy.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0])];
    let csr = greedy.serialize_request(&key).unwrap();
    let name = "feed".parse().unwrap();
    let issued = hub
        .authority
        .issue_agent(csr.der(), member(), &name, now(), 3_600)
        .unwrap();

    let certificate = x509_parser::parse_x509_certificate(&issued.der).unwrap().1;
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    assert!(!certificate.is_ca());
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any && extended.other.is_empty());
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert_eq!(names.len(), 1);
    let mut oids: Vec<_> = certificate
        .extensions()
        .iter()
        .map(|extension| extension.oid.to_id_string())
        .collect();
    oids.sort();
    // Key identifiers, usage, names, constraints and extended usage: no more.
    assert_eq!(
        oids,
        [
            "2.5.29.14",
            "2.5.29.15",
            "2.5.29.17",
            "2.5.29.19",
            "2.5.29.35",
            "2.5.29.37"
        ]
    );
    assert!(!certificate.subject().to_string().contains("root"));
    let peer = peer_certificate(hub.authority.trust_domain(), &issued.der).unwrap();
    assert_eq!(
        peer.identity,
        Identity::Agent {
            member: member(),
            agent: name
        }
    );
}
