//! Issuing: every certificate is built from what the hub knows, and a peer contributes a public key and nothing else.
//! This file does not decide who may have a certificate, and keeps no list of those issued: both are entries of the
//! log.

use std::time::Duration;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, KeyPair, PublicKeyData, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use sha2::{Digest, Sha256};

use super::authority::{Authority, AuthorityError};
use super::certificate::Serial;
use super::csr::{CsrError, RequestedKey};
use super::identity::Identity;
use super::invitation::InvitationToken;
use super::template::{Leaf, new_serial};
use super::tls::KeyAndChain;
use super::validity::{LIFETIME_MAX_SECS, Validity};
use crate::domain::agent::AgentName;
use crate::domain::id::{InvitationId, MemberId, Timestamp};

/// How long an agent's certificate lives unless the operator says otherwise: a week, renewed over the live connection.
pub const AGENT_LIFETIME_SECS: u32 = 7 * 86_400;

/// How long an invitation can be used unless the operator says otherwise: three days.
pub const INVITATION_LIFETIME_SECS: u32 = 3 * 86_400;

/// How long the hub's own TLS certificate lives.
const SERVER_LIFETIME_SECS: u32 = 90 * 86_400;

/// How long a revocation list claims to be current.
const CRL_LIFETIME_SECS: u32 = 7 * 86_400;

/// A certificate that was issued to an agent, with what the log needs to know of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// The chain to hand back, PEM: the certificate alone, since the root signs directly.
    pub pem: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its serial number.
    pub serial: Serial,
    /// The first moment of its validity, whole seconds.
    pub not_before: Timestamp,
    /// The last moment of its validity, whole seconds.
    pub not_after: Timestamp,
    /// SHA-256 of the certified public key (DER subject public key info).
    pub spki_sha256: [u8; 32],
}

impl Authority {
    /// Makes a key and a TLS server certificate for the given DNS names and IP addresses, valid 90 days. It cannot be
    /// used as a client's.
    pub fn issue_server(&self, hosts: &[String], now: Timestamp) -> Result<KeyAndChain, AuthorityError> {
        let key = KeyPair::generate()?;
        let issued = self.issue(
            Leaf::server(&self.trust_domain, hosts)?,
            &key,
            now,
            SERVER_LIFETIME_SECS,
        )?;
        Ok(KeyAndChain {
            chain_pem: issued.pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Certifies the key of a peer's request (PEM or DER) for an agent, for client authentication only. A lifetime
    /// above [`LIFETIME_MAX_SECS`](super::LIFETIME_MAX_SECS) is cut to it, and none goes past the root's own end.
    ///
    /// Whoever calls this has checked that the peer may have the certificate, and should refuse a key that an
    /// invitation carried (`spki_sha256` tells): that key has travelled in a file.
    pub fn issue_agent(
        &self,
        csr_pem_or_der: &[u8],
        member: MemberId,
        agent: &AgentName,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<Issued, CsrError> {
        let key = RequestedKey::read(csr_pem_or_der)?;
        let leaf = Leaf::client(
            &self.trust_domain,
            &Identity::Agent {
                member,
                agent: agent.clone(),
            },
        )?;
        Ok(self.issue(leaf, &key, now, lifetime_secs)?)
    }

    /// Makes the one-time token with which one agent can enrol: a key and a short-lived client certificate that names
    /// the invitation. Using it up is the hub's part.
    pub fn issue_invitation(
        &self,
        id: InvitationId,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<InvitationToken, AuthorityError> {
        let key = KeyPair::generate()?;
        let leaf = Leaf::client(&self.trust_domain, &Identity::Invitation(id))?;
        let issued = self.issue(leaf, &key, now, lifetime_secs)?;
        Ok(InvitationToken::new(&issued, &key))
    }

    /// A revocation list of this authority, PEM, current for a week. `number` must grow from list to list; `revoked`
    /// holds the serial numbers of certificates that have not expired yet, each with the moment of its revocation.
    pub fn issue_crl(
        &self,
        revoked: &[(Serial, Timestamp)],
        number: u64,
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        let mut dates = CertificateParams::default();
        Validity::lasting(now, CRL_LIFETIME_SECS)
            .ok_or(AuthorityError::Validity)?
            .write(&mut dates);
        let entry = |(serial, at): &(Serial, Timestamp)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.as_bytes()),
            // A list dated before one of its entries would contradict itself.
            revocation_time: date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds_until(*at, now)),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: dates.not_before,
            next_update: dates.not_after,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    /// The one place where certificates are signed.
    fn issue(
        &self,
        leaf: Leaf,
        key: &impl PublicKeyData,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<Issued, AuthorityError> {
        let validity = Validity::lasting(now, lifetime_secs.min(LIFETIME_MAX_SECS))
            .and_then(|validity| validity.ending_by(self.not_after))
            .ok_or(AuthorityError::Validity)?;
        let serial = new_serial()?;
        let signed = leaf.params(validity, serial).signed_by(key, &self.issuer)?;
        Ok(Issued {
            pem: signed.pem(),
            der: signed.der().to_vec(),
            serial,
            not_before: validity.not_before(),
            not_after: validity.not_after(),
            spki_sha256: Sha256::digest(key.subject_public_key_info()).into(),
        })
    }
}

/// Whole seconds from 1970 to `at`, or to `now` if that is earlier. `now` has been checked to fit a certificate.
fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(at.min(now).0.div_euclid(1_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn created() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), &"hub.example".parse().unwrap(), "Hub", NOW).unwrap();
        (dir, authority)
    }

    fn agent_at(authority: &Authority, now: Timestamp, lifetime_secs: u32) -> Result<Issued, CsrError> {
        let csr = crate::pki::new_key_and_csr().unwrap().csr_pem;
        let member = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        authority.issue_agent(csr.as_bytes(), member, &"feed".parse().unwrap(), now, lifetime_secs)
    }

    #[test]
    fn the_request_of_an_agent_cannot_ask_for_more_than_a_key() {
        let (_dir, authority) = created();
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
        let member = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        let name = "feed".parse().unwrap();
        let issued = authority.issue_agent(csr.der(), member, &name, NOW, 3_600).unwrap();

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
        let peer = crate::pki::peer_certificate(authority.trust_domain(), &issued.der).unwrap();
        assert_eq!(peer.identity, Identity::Agent { member, agent: name });
    }

    #[test]
    fn lifetimes_are_held_within_the_ceiling_and_within_the_roots() {
        let (_dir, authority) = created();
        let issued = agent_at(&authority, NOW, u32::MAX).unwrap();
        assert_eq!(issued.not_after, NOW.plus_secs(i64::from(LIFETIME_MAX_SECS)));
        let late = authority.not_after().plus_secs(-60);
        assert_eq!(
            agent_at(&authority, late, 3_600).unwrap().not_after,
            authority.not_after()
        );
        let too_late = authority.not_after().plus_secs(3_600);
        for (now, lifetime_secs) in [(too_late, 60), (NOW, 0), (Timestamp(-1), 60), (Timestamp(i64::MAX), 60)] {
            let result = agent_at(&authority, now, lifetime_secs);
            assert!(
                matches!(result, Err(CsrError::Authority(AuthorityError::Validity))),
                "{now:?} {lifetime_secs}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let (dir, authority) = created();
        let key = std::fs::read_to_string(dir.path().join("ca.key")).unwrap();
        let shown = format!(
            "{authority:?} {:?}",
            authority.issue_server(&["a".into()], NOW).unwrap()
        );
        assert!(
            !shown.contains("PRIVATE") && !shown.contains(key.lines().nth(1).unwrap()),
            "{shown}"
        );
    }
}
