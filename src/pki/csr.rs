//! Certificate signing requests (PKCS #10, RFC 2986): making them on a member's machine, and reading those of peers.
//! Of a peer's request only the public key is ever taken. Names, authority flags, usages and every other wish in it
//! are not even looked at, so none can leak into a certificate.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData, SubjectPublicKeyInfo};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry as oid;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509;

use super::authority::AuthorityError;

/// The largest request that is read, in bytes, PEM or DER. One with an 8192-bit RSA key has about 3,200 in PEM.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// The RSA key sizes accepted, in bits. Below is weak; above, each handshake would cost the hub too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A fresh private key (PKCS #8 PEM) and a request for a certificate on it (PEM).
pub struct KeyAndCsr {
    /// The private key, which stays where it was made.
    pub key_pem: String,
    /// The request, which may be shown to anyone.
    pub csr_pem: String,
}

impl std::fmt::Debug for KeyAndCsr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyAndCsr")
            .field("key_pem", &"[redacted]")
            .field("csr_pem", &self.csr_pem)
            .finish()
    }
}

/// Makes an ECDSA P-256 key and a request that asks for nothing but a certificate on it.
pub fn new_key_and_csr() -> Result<KeyAndCsr, AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let csr_pem = params.serialize_request(&key)?.pem()?;
    Ok(KeyAndCsr {
        key_pem: key.serialize_pem(),
        csr_pem,
    })
}

/// Why a request got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Too large to be read at all.
    #[error("csr: is larger than {CSR_BYTES_MAX} bytes")]
    TooLarge,
    /// Neither one PEM section `CERTIFICATE REQUEST` nor one DER request.
    #[error("csr: is not one certificate signing request in PEM or DER")]
    Malformed,
    /// A key type, curve or size that the hub does not certify.
    #[error("csr: the key must be ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits")]
    Key,
    /// The request is not signed by the key that it holds, or with an algorithm that proves nothing any more (SHA-1).
    #[error("csr: is not signed by its own key with an accepted algorithm")]
    Signature,
    /// The request is fine, the authority failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// The public key of a peer's request, proven to be held by whoever made the request.
#[derive(Debug)]
pub(super) struct RequestedKey(SubjectPublicKeyInfo);

impl RequestedKey {
    /// Reads a request in PEM or DER, checks the key and the request's signature by it.
    pub(super) fn read(pem_or_der: &[u8]) -> Result<RequestedKey, CsrError> {
        if pem_or_der.len() > CSR_BYTES_MAX {
            return Err(CsrError::TooLarge);
        }
        let der = der_of(pem_or_der)?;
        let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| CsrError::Malformed)?;
        // The parser lets a signature claim unused bits that the verifier then does not look at.
        if !rest.is_empty() || request.signature_value.unused_bits != 0 {
            return Err(CsrError::Malformed);
        }
        let key = &request.certification_request_info.subject_pki;
        if !is_certified(key) {
            return Err(CsrError::Key);
        }
        // The verifier below still knows SHA-1, with which a signature can be moved to another request.
        let algorithm = &request.signature_algorithm.algorithm;
        if *algorithm == oid::OID_PKCS1_SHA1WITHRSA || *algorithm == oid::OID_SHA1_WITH_RSA {
            return Err(CsrError::Signature);
        }
        request.verify_signature().map_err(|_| CsrError::Signature)?;
        SubjectPublicKeyInfo::from_der(key.raw)
            .map(RequestedKey)
            .map_err(|_| CsrError::Key)
    }
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm()
    }
}

fn der_of(pem_or_der: &[u8]) -> Result<CertificateSigningRequestDer<'_>, CsrError> {
    if !pem_or_der.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Ok(CertificateSigningRequestDer::from(pem_or_der));
    }
    let mut sections = CertificateSigningRequestDer::pem_slice_iter(pem_or_der);
    match (sections.next(), sections.next()) {
        (Some(Ok(der)), None) => Ok(der),
        _ => Err(CsrError::Malformed),
    }
}

/// Whether the hub certifies keys of this kind. A closed list: what is not named is refused.
fn is_certified(key: &x509::SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm.algorithm;
    let parameters = key.algorithm.parameters.as_ref();
    let point = &key.subject_public_key.data;
    if *algorithm == oid::OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = parameters.and_then(|parameters| parameters.as_oid().ok());
        // Uncompressed points only, as RFC 5480 requires everyone to support.
        return (curve == Some(oid::OID_EC_P256) && point.len() == 65)
            || (curve == Some(oid::OID_NIST_EC_P384) && point.len() == 97);
    }
    if *algorithm == oid::OID_SIG_ED25519 {
        return parameters.is_none() && point.len() == 32;
    }
    if *algorithm == oid::OID_PKCS1_RSAENCRYPTION {
        return matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&bits(rsa.modulus)));
    }
    false
}

/// The size of a big-endian number, in bits.
fn bits(number: &[u8]) -> usize {
    match number.iter().position(|&byte| byte != 0) {
        Some(start) => (number.len() - start) * 8 - number[start].leading_zeros() as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made once with OpenSSL 3 (`openssl req -new -newkey rsa:1024`); the key was thrown away.
    const RSA_1024: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIIBTjCBuAIBADAPMQ0wCwYDVQQDDAR3ZWFrMIGfMA0GCSqGSIb3DQEBAQUAA4GN
ADCBiQKBgQC5ue6gWMj+D4Q7I52VLNUwKPlx2zYdTstBp+XPkEHb9YMaRlkwWq5G
eTEa92udCRp3wJrUy8f+IUnr8fsNoI1XHq48+e2bq2ejo0oam+qPJ0yd/v7c9ktD
gk5OeDIAnJg4uoshoXkO+XSiZ/dpW9WNS2p5x+H2RznCmJaXrvwMCwIDAQABoAAw
DQYJKoZIhvcNAQELBQADgYEAWYf0FHd1IK0+iIEFXkr0EnnIZT1fBIweeSoe52CA
P9WKVZxlIwmGnF7cYIxwOAKZ3Di9J8g7aUpNL4WDJCmS4kBMXzdnb/fagTIZsvza
bvDhkVvNfK9lbYu9mAOnYoSlZ3Ktr2uWgBjX02n6s0QsaB2zg3XOItrN6rjGncu4
So0=
-----END CERTIFICATE REQUEST-----";

    /// `openssl req -new -newkey rsa:2048 -sha1`.
    const RSA_2048_SHA1: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIICVDCCATwCAQAwDzENMAsGA1UEAwwEc2hhMTCCASIwDQYJKoZIhvcNAQEBBQAD
ggEPADCCAQoCggEBAOIwOfHYR8/bLgtewyP1edO0kbZUk2yuB6DU5X2HJ7UxIqcE
FEfv961n/azV21XophMfA/DRwbbsdLaEJ6UrqTHI15COYYO/+I/OkehBFjwqbzsw
3WUZg4BZamtGVIbVV6X3ZnyyhMsdwKHE0A7mgkHgD/Ibuphehd2NGeIHZKMnXN86
nayVcmqbl5lqmk19d4FreROk7juvxQ/kZ97Xaqm1gfL1lwxAP7ub3lIJrIclsVpt
GhConsguDV7mLdDvmjWOVsxtehMN6CsQZ/zAsmClECtL60L2Sw9dMF/HB41oqyqX
xYEy/peh0nE0uDX2pApvxZhhoaY5fvcb6z5Cl+8CAwEAAaAAMA0GCSqGSIb3DQEB
BQUAA4IBAQB68B0ntX6x49K0j06E6su10OOTzTKVUdXpekl19xDNVAEzuVeaoNGF
5dPCFN3ep8tgnIbewlPi7STGTzTgMItus5JCUlTNPINDjPE6pwfsbOdt2ss0aT2G
SmBBmmXUgRJPguyTiqvnK/TPZCWsV73dm+dqHfyf5pb4D71I6wF7uBfvqcFkB6u7
YsuPbso8R6yxaijlUmzP00xm2eFUdc33Igj1e4/2E8b0B2KixXMpJSFp4go2q4g+
gSMz0cLAr2mT7N0t4Yj1yjvaIQDNnDWAS02CQIwZ8tbkBk9xbsCxanao+7oj7iM4
sGfq+EYK96Px/cFQVB6s/W2+A1TIdHgi
-----END CERTIFICATE REQUEST-----";

    /// `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:secp256k1`.
    const SECP256K1: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIHJMHECAQAwEjEQMA4GA1UEAwwHa29ibGl0ejBWMBAGByqGSM49AgEGBSuBBAAK
A0IABEhZNQ4l3iUXIGE6QWIhIgPUvFGLBab2QsgidwJyecCIdQwIC53YXIBcRib6
wRYCezAO2D/eVgtBSK1DMktW+jagADAKBggqhkjOPQQDAgNIADBFAiA0bJFafNJN
DZ5aKP/TMhNg+s7xuWgd2c67DEI4sovKWQIhAKsofWrawynFuGJwCplmLikecdKi
pxE9q8ah8dC965Y9
-----END CERTIFICATE REQUEST-----";

    fn request(algorithm: &'static rcgen::SignatureAlgorithm) -> (KeyPair, rcgen::CertificateSigningRequest) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        (key, csr)
    }

    #[test]
    fn each_accepted_kind_of_key_comes_through_unchanged() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
            &rcgen::PKCS_RSA_SHA512,
        ] {
            let (key, csr) = request(algorithm);
            for bytes in [csr.der().to_vec(), csr.pem().unwrap().into_bytes()] {
                let read = RequestedKey::read(&bytes).unwrap();
                assert_eq!(
                    read.subject_public_key_info(),
                    key.subject_public_key_info(),
                    "{algorithm:?}"
                );
            }
        }
    }

    #[test]
    fn our_own_requests_are_accepted_and_ask_for_nothing() {
        let made = new_key_and_csr().unwrap();
        assert!(RequestedKey::read(made.csr_pem.as_bytes()).is_ok());
        let key = KeyPair::from_pem(&made.key_pem).unwrap();
        assert!(key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256));
        assert!(
            !format!("{made:?}").contains("PRIVATE"),
            "a key never shows in debug output"
        );
        let der = CertificateSigningRequestDer::from_pem_slice(made.csr_pem.as_bytes()).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert!(request.certification_request_info.attributes().is_empty());
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
    }

    #[test]
    fn weak_and_unknown_keys_are_refused() {
        assert!(matches!(RequestedKey::read(RSA_1024.as_bytes()), Err(CsrError::Key)));
        assert!(matches!(RequestedKey::read(SECP256K1.as_bytes()), Err(CsrError::Key)));
        let (_, p521) = request(&rcgen::PKCS_ECDSA_P521_SHA512);
        assert!(matches!(RequestedKey::read(p521.der()), Err(CsrError::Key)));
    }

    #[test]
    fn requests_that_prove_nothing_are_refused() {
        assert!(matches!(
            RequestedKey::read(RSA_2048_SHA1.as_bytes()),
            Err(CsrError::Signature)
        ));
        let (_, csr) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let mut damaged = csr.der().to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(matches!(RequestedKey::read(&damaged), Err(CsrError::Signature)));
    }

    #[test]
    fn a_key_that_somebody_else_holds_is_refused() {
        let (_, honest) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (victim, _) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (honest_der, own) = (
            honest.der().to_vec(),
            X509CertificationRequest::from_der(honest.der()).unwrap().1,
        );
        let own_spki = own.certification_request_info.subject_pki.raw;
        let start = honest_der
            .windows(own_spki.len())
            .position(|window| window == own_spki)
            .unwrap();
        let mut stolen = honest_der.clone();
        stolen[start..start + own_spki.len()].copy_from_slice(&victim.subject_public_key_info());
        assert!(matches!(RequestedKey::read(&stolen), Err(CsrError::Signature)));
    }

    #[test]
    fn garbage_and_excess_are_refused() {
        let (_, csr) = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let pem = csr.pem().unwrap();
        for bytes in [
            &b""[..],
            b"garbage",
            b"-----BEGIN CERTIFICATE REQUEST-----",
            b"-----BEGIN CERTIFICATE REQUEST-----\n!!!\n-----END CERTIFICATE REQUEST-----\n",
            b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
            pem.repeat(2).as_bytes(),
            &[&csr.der()[..], &[0]].concat(),
            &csr.der()[..csr.der().len() - 1],
        ] {
            assert!(
                matches!(RequestedKey::read(bytes), Err(CsrError::Malformed)),
                "{}",
                bytes.escape_ascii()
            );
        }
        for len in [CSR_BYTES_MAX + 1, 1024 * 1024] {
            assert!(matches!(RequestedKey::read(&vec![b'-'; len]), Err(CsrError::TooLarge)));
        }
        assert!(matches!(
            RequestedKey::read(&vec![b'-'; CSR_BYTES_MAX]),
            Err(CsrError::Malformed)
        ));
    }

    #[test]
    fn a_damaged_request_is_refused_or_still_yields_its_own_key() {
        let (key, csr) = request(&rcgen::PKCS_ED25519);
        let (_, parsed) = X509CertificationRequest::from_der(csr.der()).unwrap();
        // What the signature covers follows the header of the outer sequence.
        let signed = 3..3 + parsed.certification_request_info.raw.len();
        for (position, bit) in (0..csr.der().len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut damaged = csr.der().to_vec();
            damaged[position] ^= 1 << bit;
            if let Ok(read) = RequestedKey::read(&damaged) {
                assert_eq!(
                    read.subject_public_key_info(),
                    key.subject_public_key_info(),
                    "bit {bit} of {position}"
                );
                // Only the framing around it is not signed, and the parser shrugs at some tags there.
                assert!(!signed.contains(&position), "bit {bit} of {position}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(RequestedKey::read(&bytes).is_err());
        }

        #[test]
        fn arbitrary_text_in_pem_never_panics(body in ".{0,200}") {
            let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
            prop_assert!(RequestedKey::read(pem.as_bytes()).is_err());
        }
    }
}
