//! Who does not get through TLS. Each attempt differs from the agent that passes in one thing, and the error says that
//! it was refused for that thing.

use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, Error, ServerConfig, ServerConnection};

use super::{DAY_SECS, Handshake, handshake, hub, member, now};
use crate::domain::id::Timestamp;
use crate::pki::{Authority, KeyAndChain, Serial, new_key_and_csr, server_config};

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
fn a_revoked_certificate_is_refused_at_the_handshake_when_a_list_is_given() {
    let hub = hub();
    let (revoked, issued) = hub.agent_from(now(), 3_600);
    let crl = |serials: &[(Serial, Timestamp)]| {
        let list = hub.authority.issue_crl(serials, 1, now()).unwrap();
        server_config(hub.authority.ca_pem(), &hub.server, Some(&list)).unwrap()
    };
    let connect = |server: Arc<ServerConfig>, keys| handshake(server, hub.client_config(keys), "hub.example");
    assert!(connect(crl(&[]), &revoked).is_ok());
    let listed = crl(&[(issued.serial, now())]);
    let error = refused(connect(Arc::clone(&listed), &revoked));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::Revoked));
    assert!(connect(listed, &hub.agent()).is_ok(), "others are not touched");
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
