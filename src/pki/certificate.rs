//! What a certificate says: its identity, serial number, end and key. [`peer_certificate`] reads certificates that TLS
//! has already verified, and still trusts nothing in them that it can check. It does not verify signatures or dates:
//! that is TLS's part.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS;
use x509_parser::prelude::FromDer;

use super::identity::{BadIdentity, Identity, TrustDomain};
use crate::domain::id::Timestamp;

/// The longest serial number that X.509 allows, in bytes (RFC 5280, 4.1.2.2).
pub const SERIAL_BYTES_MAX: usize = 20;

/// A certificate larger than this is refused unread. Ours have about 700 bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// The serial number of a certificate, unique within its authority: up to 20 bytes, without leading zeros. Shown as
/// lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    /// Right-aligned, so that the derived order is that of the numbers.
    padded: [u8; SERIAL_BYTES_MAX],
}

impl Serial {
    /// A serial number from its big-endian bytes. `None` if it is zero or longer than [`SERIAL_BYTES_MAX`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Serial> {
        let start = bytes.iter().position(|&byte| byte != 0)?;
        let digits = &bytes[start..];
        let mut padded = [0; SERIAL_BYTES_MAX];
        padded
            .get_mut(SERIAL_BYTES_MAX.checked_sub(digits.len())?..)?
            .copy_from_slice(digits);
        Some(Serial { padded })
    }

    /// The big-endian bytes, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        let start = self
            .padded
            .iter()
            .position(|&byte| byte != 0)
            .unwrap_or(SERIAL_BYTES_MAX);
        &self.padded[start..]
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = BadCertificate;

    /// Reads what `Display` wrote: pairs of lower-case hex digits, no separators, no leading zero bytes.
    fn from_str(text: &str) -> Result<Serial, BadCertificate> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        if text.len() > 2 * SERIAL_BYTES_MAX || !text.len().is_multiple_of(2) {
            return Err(BadCertificate::Serial);
        }
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes: Option<Vec<u8>> = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
        let serial = bytes
            .and_then(|bytes| Serial::from_bytes(&bytes))
            .ok_or(BadCertificate::Serial)?;
        if serial.as_bytes().len() * 2 == text.len() {
            Ok(serial)
        } else {
            Err(BadCertificate::Serial)
        }
    }
}

/// A peer's verified certificate, as far as the hub cares. It proves who connected, not that they still may: ask the
/// roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerCertificate {
    /// Whom the certificate speaks for.
    pub identity: Identity,
    /// Its serial number.
    pub serial: Serial,
    /// The last moment at which it is valid. Open connections must end then too: TLS looks at it only once.
    pub not_after: Timestamp,
    /// SHA-256 of the subject public key info (DER): the same across renewals that keep the key.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the whole certificate (DER).
    pub fingerprint: [u8; 32],
}

/// Reads a verified end-entity certificate. It must have exactly one URI among its alternative names, which must be an
/// [`Identity`] of `trust_domain`; it must not be an authority; and it must be plain, bounded X.509 v3 without
/// duplicate extensions or trailing bytes.
pub fn peer_certificate(trust_domain: &TrustDomain, der: &[u8]) -> Result<PeerCertificate, BadCertificate> {
    let certificate = parse(der)?;
    refuse_authority(&certificate)?;
    let identity = Identity::from_uri(trust_domain, only_uri(&certificate)?)?;
    Ok(PeerCertificate {
        identity,
        serial: serial_of(&certificate)?,
        not_after: not_after_of(&certificate)?,
        spki_sha256: Sha256::digest(certificate.public_key().raw).into(),
        fingerprint: Sha256::digest(der).into(),
    })
}

/// A certificate in PEM (RFC 7468), from DER.
pub fn certificate_pem(der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::with_capacity(body.len() + body.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// When the first certificate of a PEM chain ends: to warn before it does, and to renew.
pub fn chain_not_after(chain_pem: &str) -> Result<Timestamp, BadCertificate> {
    let der = CertificateDer::from_pem_slice(chain_pem.as_bytes()).map_err(|_| BadCertificate::Malformed)?;
    not_after_of(&parse(&der)?)
}

/// Why a certificate is not accepted as a peer's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadCertificate {
    /// Too large to be read at all.
    #[error("certificate: is larger than {CERTIFICATE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not X.509, or with an extension that cannot be read, or with bytes after its end.
    #[error("certificate: is not a well-formed X.509 v3 certificate")]
    Malformed,
    /// The same extension twice: readers would disagree on which counts.
    #[error("certificate: has the same extension twice")]
    DuplicateExtension,
    /// An authority's certificate, or one that may sign others.
    #[error("certificate: belongs to an authority, not to an agent")]
    Authority,
    /// None or several URIs where exactly one must name the agent.
    #[error("certificate: has {count} URIs among its alternative names instead of exactly one")]
    UriCount {
        /// How many there are.
        count: usize,
    },
    /// The URI is no identity of this hub.
    #[error("certificate: {0}")]
    Identity(#[from] BadIdentity),
    /// The serial number is zero, negative or too long.
    #[error("certificate: the serial number is not a positive number of at most {SERIAL_BYTES_MAX} bytes")]
    Serial,
    /// The end of its validity is no date that we can count.
    #[error("certificate: the end of its validity is out of range")]
    Date,
}

/// Parses one certificate and nothing after it.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, BadCertificate> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(BadCertificate::TooLarge);
    }
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| BadCertificate::Malformed)?;
    if !rest.is_empty() || certificate.version() != x509_parser::x509::X509Version::V3 {
        return Err(BadCertificate::Malformed);
    }
    certificate
        .extensions_map()
        .map_err(|_| BadCertificate::DuplicateExtension)?;
    Ok(certificate)
}

pub(super) fn serial_of(certificate: &X509Certificate<'_>) -> Result<Serial, BadCertificate> {
    match certificate.raw_serial() {
        // The top bit is the sign.
        [first, ..] if first & 0x80 != 0 => Err(BadCertificate::Serial),
        bytes => Serial::from_bytes(bytes).ok_or(BadCertificate::Serial),
    }
}

pub(super) fn not_after_of(certificate: &X509Certificate<'_>) -> Result<Timestamp, BadCertificate> {
    let secs = certificate.validity().not_after.timestamp();
    secs.checked_mul(1_000_000).map(Timestamp).ok_or(BadCertificate::Date)
}

/// Whether the certificate says that it may sign others.
pub(super) fn is_authority(certificate: &X509Certificate<'_>) -> Result<bool, BadCertificate> {
    let constraints = certificate
        .get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS)
        .map_err(|_| BadCertificate::DuplicateExtension)?;
    // The parser's own `is_ca` takes an unreadable extension for "no".
    match constraints.map(|extension| extension.parsed_extension()) {
        None => Ok(false),
        Some(ParsedExtension::BasicConstraints(constraints)) => Ok(constraints.ca),
        Some(_) => Err(BadCertificate::Malformed),
    }
}

fn refuse_authority(certificate: &X509Certificate<'_>) -> Result<(), BadCertificate> {
    let usage = certificate.key_usage().map_err(|_| BadCertificate::Malformed)?;
    if is_authority(certificate)? || usage.is_some_and(|usage| usage.value.key_cert_sign()) {
        return Err(BadCertificate::Authority);
    }
    Ok(())
}

/// The one URI among the alternative names. Names of other kinds may stand beside it, since external authorities add
/// them; they mean nothing here. An unreadable entry counts as unreadable, not as absent.
pub(super) fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, BadCertificate> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| BadCertificate::Malformed)?;
    let names = names.map_or(&[][..], |names| names.value.general_names.as_slice());
    let mut uris = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::Invalid(..) => return Err(BadCertificate::Malformed),
            _ => {}
        }
    }
    match uris.as_slice() {
        [uri] => Ok(uri),
        _ => Err(BadCertificate::UriCount { count: uris.len() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber};

    use super::*;

    const AGENT: &str = "spiffe://hub.example/member/0190b8a2-7c3e-7def-8a12-3456789abcde/agent/feed";

    fn domain() -> TrustDomain {
        "hub.example".parse().unwrap()
    }

    fn params(uris: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        params.serial_number = Some(SerialNumber::from(vec![0x01, 0x00, 0xff]));
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        params
    }

    fn read(params: &CertificateParams) -> Result<PeerCertificate, BadCertificate> {
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        peer_certificate(&domain(), der.der())
    }

    #[test]
    fn a_plain_agent_certificate_is_read_in_full() {
        let key = KeyPair::generate().unwrap();
        let der = params(&[AGENT]).self_signed(&key).unwrap();
        let peer = peer_certificate(&domain(), der.der()).unwrap();
        assert_eq!(peer.identity.to_uri(&domain()), AGENT);
        assert_eq!(peer.serial.to_string(), "0100ff");
        assert_eq!(peer.not_after, Timestamp(1_893_542_400_000_000));
        assert_eq!(peer.fingerprint, <[u8; 32]>::from(Sha256::digest(der.der())));
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(peer.spki_sha256, <[u8; 32]>::from(Sha256::digest(spki)));
    }

    #[test]
    fn exactly_one_uri_counts_and_other_names_beside_it_mean_nothing() {
        assert_eq!(read(&params(&[])), Err(BadCertificate::UriCount { count: 0 }));
        assert_eq!(
            read(&params(&[AGENT, AGENT])),
            Err(BadCertificate::UriCount { count: 2 })
        );
        let foreign = "spiffe://other.example/x";
        assert_eq!(
            read(&params(&[AGENT, foreign])),
            Err(BadCertificate::UriCount { count: 2 })
        );
        assert_eq!(
            read(&params(&[foreign])),
            Err(BadCertificate::Identity(BadIdentity::TrustDomain))
        );

        let mut only_dns = params(&[]);
        only_dns.subject_alt_names = vec![SanType::DnsName(AGENT.try_into().unwrap())];
        assert_eq!(read(&only_dns), Err(BadCertificate::UriCount { count: 0 }));
        let mut with_dns = params(&[AGENT]);
        with_dns
            .subject_alt_names
            .push(SanType::DnsName("reader.example".try_into().unwrap()));
        assert_eq!(read(&with_dns).unwrap().identity.to_uri(&domain()), AGENT);
    }

    #[test]
    fn authorities_are_no_agents() {
        let mut authority = params(&[AGENT]);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert_eq!(read(&authority), Err(BadCertificate::Authority));
        let mut signer = params(&[AGENT]);
        signer.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        assert_eq!(read(&signer), Err(BadCertificate::Authority));
        let mut plain = params(&[AGENT]);
        plain.is_ca = IsCa::ExplicitNoCa;
        plain.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        assert!(read(&plain).is_ok());
    }

    #[test]
    fn trailing_bytes_and_size_are_refused() {
        let der = params(&[AGENT])
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec();
        assert_eq!(
            peer_certificate(&domain(), &[&der[..], &[0]].concat()),
            Err(BadCertificate::Malformed)
        );
        assert_eq!(peer_certificate(&domain(), &[]), Err(BadCertificate::Malformed));
        let huge = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
        assert_eq!(peer_certificate(&domain(), &huge), Err(BadCertificate::TooLarge));
        assert_eq!(peer_certificate(&domain(), &huge[1..]), Err(BadCertificate::Malformed));
    }

    #[test]
    fn serial_numbers_have_one_spelling() {
        for text in ["01", "0100ff", &"7f".repeat(20)] {
            assert_eq!(text.parse::<Serial>().unwrap().to_string(), text);
        }
        for text in ["", "00", "0001", "1", "0A", "0x01", "g1", "01:02", &"7f".repeat(21)] {
            assert_eq!(text.parse::<Serial>(), Err(BadCertificate::Serial), "{text:?}");
        }
        assert_eq!(Serial::from_bytes(&[0, 0, 5]), Serial::from_bytes(&[5]));
        assert_eq!(Serial::from_bytes(&[0, 0]), None);
        assert_eq!(Serial::from_bytes(&[1; SERIAL_BYTES_MAX + 1]), None);
    }

    #[test]
    fn a_negative_or_zero_serial_number_is_refused() {
        let der = params(&[AGENT])
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec();
        let at = der
            .windows(5)
            .position(|window| window == [0x02, 0x03, 0x01, 0x00, 0xff])
            .unwrap()
            + 2;
        for bytes in [[0x81, 0x00, 0xff], [0x00, 0x00, 0x00]] {
            let mut altered = der.clone();
            altered[at..at + 3].copy_from_slice(&bytes);
            assert_eq!(peer_certificate(&domain(), &altered), Err(BadCertificate::Serial));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(peer_certificate(&domain(), &bytes).is_err());
        }
    }

    #[test]
    fn a_damaged_certificate_never_panics() {
        let der = params(&[AGENT])
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec();
        for position in 0..der.len() {
            for bit in 0..8 {
                let mut damaged = der.clone();
                damaged[position] ^= 1 << bit;
                let _ = peer_certificate(&domain(), &damaged);
            }
            assert!(
                peer_certificate(&domain(), &der[..position]).is_err(),
                "cut at {position}"
            );
        }
    }
}
