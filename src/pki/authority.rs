//! The hub's own small authority, made once and opened at each start: one root, ECDSA P-256, in two files. This file
//! looks after the root's key; what is signed with it is in `issue.rs`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::{self, BadCertificate};
use super::identity::{BadTrustDomain, TrustDomain};
use super::private_file::create_private;
use super::template::{HOSTS_MAX, NAME_CHARS_MAX, root_params};
use crate::domain::id::Timestamp;

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";

/// The hub's authority, with its private key in memory. Shared by reference between threads; nothing in it changes.
pub struct Authority {
    pub(super) trust_domain: TrustDomain,
    ca_pem: String,
    pub(super) not_after: Timestamp,
    pub(super) issuer: Issuer<'static, KeyPair>,
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

fn file_error(path: &Path, source: io::Error) -> AuthorityError {
    AuthorityError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::template::ROOT_LIFETIME_SECS;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn domain() -> TrustDomain {
        "hub.example".parse().unwrap()
    }

    fn created() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), &domain(), "Hub", NOW).unwrap();
        (dir, authority)
    }

    fn agent_certificate(authority: &Authority) -> crate::pki::Issued {
        let csr = crate::pki::new_key_and_csr().unwrap().csr_pem;
        let member = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        authority
            .issue_agent(csr.as_bytes(), member, &"feed".parse().unwrap(), NOW, 60)
            .unwrap()
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
        let issued = agent_certificate(&opened);
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
        fs::write(dir.path().join(CERTIFICATE_FILE), agent_certificate(&authority).pem).unwrap();
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
}
