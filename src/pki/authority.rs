//! The hub's own small authority: one root, ECDSA P-256, that signs certificates directly. Every certificate is built
//! here from what the hub knows; a peer contributes a public key and nothing else. This file does not decide who may
//! have a certificate, and keeps no list of those issued: both are entries of the log.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};

use super::certificate::{self, BadCertificate, Serial};
use super::csr::{CsrError, RequestedKey};
use super::identity::{BadTrustDomain, Identity, TrustDomain};
use super::invitation::InvitationToken;
use super::private_file::create_private;
use super::tls::KeyAndChain;
use super::validity::Validity;
use crate::domain::agent::AgentName;
use crate::domain::id::{InvitationId, MemberId, Timestamp};

/// How long an agent's certificate lives unless the operator says otherwise: a week, renewed over the live connection.
pub const AGENT_LIFETIME_SECS: u32 = 7 * 86_400;

/// How long an invitation can be used unless the operator says otherwise: three days.
pub const INVITATION_LIFETIME_SECS: u32 = 3 * 86_400;

/// How long the hub's own TLS certificate lives.
const SERVER_LIFETIME_SECS: u32 = 90 * 86_400;

/// How long the root lives: ten years with their leap days.
const ROOT_LIFETIME_SECS: u32 = 3_652 * 86_400;

/// How long a revocation list claims to be current.
const CRL_LIFETIME_SECS: u32 = 7 * 86_400;

/// The longest name of a hub, in characters: what an X.509 organisation name may hold (RFC 5280, appendix A.1).
const NAME_CHARS_MAX: usize = 64;

/// The most names and addresses that one server certificate covers.
const HOSTS_MAX: usize = 64;

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";

/// The hub's authority, with its private key in memory. Shared by reference between threads; nothing in it changes.
pub struct Authority {
    trust_domain: TrustDomain,
    ca_pem: String,
    not_after: Timestamp,
    issuer: Issuer<'static, KeyPair>,
}

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
    /// Makes a new root in `dir`, which must exist: `ca.key` (mode 0600), then `ca.pem`, both durable before this
    /// returns. Refuses if either exists. A crash in between leaves a key without a certificate, which
    /// [`Authority::open`] and a second `create` both refuse by name.
    pub fn create(
        dir: &Path,
        trust_domain: &TrustDomain,
        name: &str,
        now: Timestamp,
    ) -> Result<Authority, AuthorityError> {
        for path in [dir.join(KEY_FILE), dir.join(CERTIFICATE_FILE)] {
            // `symlink_metadata`, so that a dangling link counts as existing.
            if fs::symlink_metadata(&path).is_ok() {
                return Err(AuthorityError::Exists { path });
            }
        }
        let key = KeyPair::generate()?;
        let ca_pem = root_params(trust_domain, name, now)?.self_signed(&key)?.pem();
        let write = |file: &str, text: &str| {
            let path = dir.join(file);
            create_private(&path, text.as_bytes()).map_err(|source| AuthorityError::File { path, source })
        };
        write(KEY_FILE, &key.serialize_pem())?;
        write(CERTIFICATE_FILE, &ca_pem)?;
        Authority::load(ca_pem, key, dir)
    }

    /// Opens the authority that [`Authority::create`] made in `dir`. Refuses a key file that others can read, a key
    /// that is not the certificate's, and a certificate that is no authority of a trust domain.
    pub fn open(dir: &Path) -> Result<Authority, AuthorityError> {
        let key_path = dir.join(KEY_FILE);
        let metadata = fs::metadata(&key_path).map_err(|source| file_error(&key_path, source))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthorityError::Exposed { path: key_path, mode });
        }
        let read = |path: PathBuf| fs::read_to_string(&path).map_err(|source| file_error(&path, source));
        let key = KeyPair::from_pem(&read(key_path)?).map_err(|_| AuthorityError::Key { dir: dir.to_owned() })?;
        Authority::load(read(dir.join(CERTIFICATE_FILE))?, key, dir)
    }

    fn load(ca_pem: String, key: KeyPair, dir: &Path) -> Result<Authority, AuthorityError> {
        let der = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|_| BadCertificate::Malformed)?;
        let root = certificate::parse(&der)?;
        if !certificate::is_authority(&root)? {
            return Err(AuthorityError::NotAuthority);
        }
        if root.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Key { dir: dir.to_owned() });
        }
        let trust_domain = TrustDomain::from_uri(certificate::only_uri(&root)?)?;
        let not_after = certificate::not_after_of(&root)?;
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Authority {
            trust_domain,
            ca_pem,
            not_after,
            issuer,
        })
    }

    /// The trust domain under which this authority names identities.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The root certificate, PEM: what members trust the hub by.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The last moment of the root's validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Makes a key and a TLS server certificate for the given DNS names and IP addresses, valid 90 days. It cannot be
    /// used as a client's.
    pub fn issue_server(&self, hosts: &[String], now: Timestamp) -> Result<KeyAndChain, AuthorityError> {
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            return Err(AuthorityError::HostCount);
        }
        let key = KeyPair::generate()?;
        let leaf = Leaf {
            organisation: self.trust_domain.to_string(),
            common_name: "clearinghouse hub".to_owned(),
            names: hosts.iter().map(|host| host_name(host)).collect::<Result<_, _>>()?,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        };
        let issued = self.issue(leaf, &key, now, SERVER_LIFETIME_SECS)?;
        Ok(KeyAndChain {
            chain_pem: issued.pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Certifies the key of a peer's request for an agent, for client authentication only. Whoever calls this has
    /// checked that the peer may have it, and should refuse a key that an invitation carried
    /// (`spki_sha256` tells): that key has travelled in a file.
    pub fn issue_agent(
        &self,
        csr_pem_or_der: &[u8],
        member: MemberId,
        agent: &AgentName,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<Issued, CsrError> {
        let key = RequestedKey::read(csr_pem_or_der)?;
        let identity = Identity::Agent {
            member,
            agent: agent.clone(),
        };
        let leaf = self.client_leaf(&identity, member.to_string(), agent.to_string())?;
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
        let leaf = self.client_leaf(&Identity::Invitation(id), "invitation".to_owned(), id.to_string())?;
        let issued = self.issue(leaf, &key, now, lifetime_secs)?;
        Ok(InvitationToken::new(&issued, &key))
    }

    /// A revocation list (DER) of this authority. `number` must grow from list to list; `revoked` holds the serial
    /// numbers of certificates that have not expired yet, each with the moment of its revocation.
    pub fn issue_crl(
        &self,
        revoked: &[(Serial, Timestamp)],
        number: u64,
        now: Timestamp,
    ) -> Result<Vec<u8>, AuthorityError> {
        let span = Validity::lasting(now, CRL_LIFETIME_SECS).ok_or(AuthorityError::Validity)?;
        let mut dates = CertificateParams::default();
        span.write(&mut dates);
        let revoked = revoked.iter().map(|(serial, at)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial.as_bytes()),
            // A list dated before one of its entries would contradict itself.
            revocation_time: date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds_until(*at, now)),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: dates.not_before,
            next_update: dates.not_after,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }

    fn client_leaf(
        &self,
        identity: &Identity,
        organisation: String,
        common_name: String,
    ) -> Result<Leaf, AuthorityError> {
        let uri = identity.to_uri(&self.trust_domain);
        Ok(Leaf {
            organisation,
            common_name,
            names: vec![SanType::URI(uri.try_into()?)],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        })
    }

    /// The one place where certificates are signed.
    fn issue(
        &self,
        leaf: Leaf,
        key: &impl PublicKeyData,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<Issued, AuthorityError> {
        let lifetime_secs = lifetime_secs.min(super::LIFETIME_MAX_SECS);
        let validity = Validity::lasting(now, lifetime_secs)
            .and_then(|validity| validity.ending_by(self.not_after))
            .ok_or(AuthorityError::Validity)?;
        let serial = new_serial()?;
        let mut params = CertificateParams::default();
        validity.write(&mut params);
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.distinguished_name = subject(&leaf.organisation, &leaf.common_name);
        params.subject_alt_names = leaf.names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![leaf.usage];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.issuer)?;
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

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .finish_non_exhaustive()
    }
}

/// Why the authority could not be made, opened or used. None of these is a peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is an authority (or half of one) already.
    #[error("{} exists already; an authority is never replaced", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The private key can be read by others, so it may no longer be one.
    #[error("{} has mode {mode:o}: others can read the authority's key; it must be 600", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key cannot be read as one, or is not that of the certificate.
    #[error("{}: {KEY_FILE} is not the private key of {CERTIFICATE_FILE}", dir.display())]
    Key {
        /// The authority's directory.
        dir: PathBuf,
    },
    /// The root certificate may not sign others.
    #[error("{CERTIFICATE_FILE} is not an authority's certificate")]
    NotAuthority,
    /// The root certificate cannot be read.
    #[error("{CERTIFICATE_FILE}: {0}")]
    Certificate(#[from] BadCertificate),
    /// The root certificate names no trust domain.
    #[error("{CERTIFICATE_FILE}: {0}")]
    TrustDomain(#[from] BadTrustDomain),
    /// The hub's name is unusable.
    #[error("name: must have 1 to {NAME_CHARS_MAX} characters and no control characters")]
    Name,
    /// No hosts, or too many.
    #[error("hosts: there must be 1 to {HOSTS_MAX}")]
    HostCount,
    /// A host is neither a DNS name nor an IP address.
    #[error("host {host:?} is neither a DNS name nor an IP address")]
    Host {
        /// What was given.
        host: String,
    },
    /// The clock, the lifetime or the root's end leave no time for the certificate.
    #[error("no certificate can be valid then: check the clock, the lifetime, and when the authority ends")]
    Validity,
    /// The system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
    /// The encoder or the cryptographic library failed.
    #[error("signing failed: {0}")]
    Signing(#[from] rcgen::Error),
}

/// What distinguishes one certificate of ours from another.
struct Leaf {
    organisation: String,
    common_name: String,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
}

fn root_params(trust_domain: &TrustDomain, name: &str, now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(AuthorityError::Name);
    }
    let serial = new_serial()?;
    let mut params = CertificateParams::default();
    Validity::lasting(now, ROOT_LIFETIME_SECS)
        .ok_or(AuthorityError::Validity)?
        .write(&mut params);
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    // The serial number in the name keeps a later root of the same hub apart: with two roots of one name, verifiers
    // try one of them and fail half of the peers.
    params.distinguished_name = subject(name, &format!("clearinghouse root {serial}"));
    params.subject_alt_names = vec![SanType::URI(trust_domain.to_uri().try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Only for people who read certificates; the hub itself reads the alternative name alone.
fn subject(organisation: &str, common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, organisation);
    subject.push(DnType::CommonName, common_name);
    subject
}

fn host_name(host: &str) -> Result<SanType, AuthorityError> {
    let bad = || AuthorityError::Host { host: host.to_owned() };
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    match ServerName::try_from(host) {
        Ok(ServerName::DnsName(name)) => Ok(SanType::DnsName(name.as_ref().to_ascii_lowercase().try_into()?)),
        _ => Err(bad()),
    }
}

/// 126 random bits: serial numbers neither repeat nor show how many certificates there are.
fn new_serial() -> Result<Serial, AuthorityError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthorityError::Random)?;
    // The top bit is the sign; the next one is set so that the length, and so the hex form, is always the same.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Serial::from_bytes(&bytes).ok_or(AuthorityError::Random)
}

fn file_error(path: &Path, source: io::Error) -> AuthorityError {
    AuthorityError::File {
        path: path.to_owned(),
        source,
    }
}

/// Whole seconds from 1970 to `at`, or to `now` if that is earlier. `now` has been checked to fit a certificate.
fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(at.min(now).0.div_euclid(1_000_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn domain() -> TrustDomain {
        "hub.example".parse().unwrap()
    }

    fn created() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), &domain(), "Hub", NOW).unwrap();
        (dir, authority)
    }

    fn agent_at(authority: &Authority, now: Timestamp, lifetime_secs: u32) -> Result<Issued, CsrError> {
        let csr = crate::pki::new_key_and_csr().unwrap().csr_pem;
        let member = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        authority.issue_agent(csr.as_bytes(), member, &"feed".parse().unwrap(), now, lifetime_secs)
    }

    #[test]
    fn what_is_created_opens_again_as_the_same_authority() {
        let (dir, created) = created();
        let opened = Authority::open(dir.path()).unwrap();
        assert_eq!(
            (opened.trust_domain(), opened.ca_pem()),
            (created.trust_domain(), created.ca_pem())
        );
        assert_eq!(opened.not_after(), NOW.plus_secs(i64::from(ROOT_LIFETIME_SECS)));
        let issued = agent_at(&opened, NOW, 60).unwrap();
        let root = CertificateDer::from_pem_slice(created.ca_pem().as_bytes()).unwrap();
        let root = certificate::parse(&root).unwrap();
        let issued = certificate::parse(&issued.der).unwrap();
        assert!(issued.verify_signature(Some(root.public_key())).is_ok());
        assert_eq!(issued.issuer(), root.subject());
    }

    #[test]
    fn an_authority_is_never_replaced() {
        let (dir, first) = created();
        let again = Authority::create(dir.path(), &domain(), "Hub", NOW);
        assert!(matches!(again, Err(AuthorityError::Exists { .. })));
        assert_eq!(
            fs::read_to_string(dir.path().join(CERTIFICATE_FILE)).unwrap(),
            first.ca_pem()
        );
        // A crash between the two files leaves the key alone.
        fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
        let again = Authority::create(dir.path(), &domain(), "Hub", NOW);
        assert!(matches!(again, Err(AuthorityError::Exists { .. })));
        assert!(matches!(Authority::open(dir.path()), Err(AuthorityError::File { .. })));
    }

    #[test]
    fn the_key_is_private_and_an_exposed_one_is_refused() {
        let (dir, _) = created();
        let key = dir.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o644, 0o660] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(Authority::open(dir.path()), Err(AuthorityError::Exposed { .. })),
                "{mode:o}"
            );
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Authority::open(dir.path()).is_ok());
    }

    #[test]
    fn a_key_or_certificate_that_does_not_fit_is_refused() {
        let ((dir, authority), (other, _)) = (created(), created());
        fs::copy(other.path().join(KEY_FILE), dir.path().join(KEY_FILE)).unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(AuthorityError::Key { .. })));
        fs::write(dir.path().join(KEY_FILE), "garbage").unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(AuthorityError::Key { .. })));

        let (dir, _) = created();
        fs::write(dir.path().join(CERTIFICATE_FILE), "garbage").unwrap();
        assert!(matches!(
            Authority::open(dir.path()),
            Err(AuthorityError::Certificate(_))
        ));
        fs::write(
            dir.path().join(CERTIFICATE_FILE),
            agent_at(&authority, NOW, 60).unwrap().pem,
        )
        .unwrap();
        assert!(matches!(Authority::open(dir.path()), Err(AuthorityError::NotAuthority)));
    }

    #[test]
    fn names_are_bounded() {
        let create = |name: &str| Authority::create(tempfile::tempdir().unwrap().path(), &domain(), name, NOW);
        for name in ["H", "Wahrheitsbörse", &"é".repeat(NAME_CHARS_MAX)] {
            assert!(create(name).is_ok(), "{name}");
        }
        for name in ["", "a\nb", &"é".repeat(NAME_CHARS_MAX + 1)] {
            assert!(matches!(create(name), Err(AuthorityError::Name)), "{name:?}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_and_bounded() {
        let (_dir, authority) = created();
        let issue = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
            authority.issue_server(&hosts, NOW)
        };
        assert!(issue(&["Hub.Example", "localhost", "127.0.0.1", "::1"]).is_ok());
        for bad in [
            "",
            "*.example",
            "hub example",
            "https://hub.example",
            "hub.example:443",
            "hub/x",
            "bücher.example",
        ] {
            assert!(matches!(issue(&[bad]), Err(AuthorityError::Host { .. })), "{bad:?}");
        }
        assert!(matches!(issue(&[]), Err(AuthorityError::HostCount)));
        assert!(issue(&["a"; HOSTS_MAX]).is_ok());
        assert!(matches!(issue(&["a"; HOSTS_MAX + 1]), Err(AuthorityError::HostCount)));
    }

    #[test]
    fn lifetimes_are_held_within_the_ceiling_and_within_the_roots() {
        let (_dir, authority) = created();
        let issued = agent_at(&authority, NOW, u32::MAX).unwrap();
        assert_eq!(
            issued.not_after,
            NOW.plus_secs(i64::from(crate::pki::LIFETIME_MAX_SECS))
        );
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
    fn serial_numbers_are_long_and_never_repeat() {
        let serials: std::collections::HashSet<_> = (0..1_000).map(|_| new_serial().unwrap()).collect();
        assert_eq!(serials.len(), 1_000);
        assert!(serials.iter().all(|serial| serial.to_string().len() == 32));
    }

    #[test]
    fn debug_output_shows_no_key() {
        let (dir, authority) = created();
        let key = fs::read_to_string(dir.path().join(KEY_FILE)).unwrap();
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
