//! The one-time token with which an agent enrols. It carries a client certificate and its key, so that TLS asks
//! everybody for a certificate, newcomers too, and the hub has no door without one.
//!
//! As text it is one line: `chi1.`, then the base64url form (RFC 4648, section 5, no padding) of two PEM sections, the
//! certificate and the private key. A foreign client unpacks it with any base64 library.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::pem::{PemObject, SectionKind};

use super::certificate::{self, BadCertificate, Serial};
use super::issue::Issued;
use crate::domain::id::Timestamp;

/// The longest token, in characters. Ours have about 1,400.
pub const TOKEN_CHARS_MAX: usize = 8 * 1024;

/// The form and its version.
const PREFIX: &str = "chi1.";

/// An invitation's certificate and private key. `Display` shows the secret, since handing it over is its purpose;
/// `Debug` does not. It must never be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationToken {
    certificate_pem: String,
    key_pem: String,
    serial: Serial,
    not_after: Timestamp,
}

impl InvitationToken {
    pub(super) fn new(issued: &Issued, key: &KeyPair) -> InvitationToken {
        InvitationToken {
            certificate_pem: issued.pem.clone(),
            key_pem: key.serialize_pem(),
            serial: issued.serial,
            not_after: issued.not_after,
        }
    }

    /// The client certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, PKCS #8 PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The serial number of the certificate.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// The last moment at which the token can be used.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

impl fmt::Display for InvitationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pem = format!("{}{}", self.certificate_pem, self.key_pem);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(pem))
    }
}

impl fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvitationToken")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("secret", &"[redacted]")
            .finish()
    }
}

impl FromStr for InvitationToken {
    type Err = TokenError;

    /// Reads a token, with or without the line end of the file that it came in. Checks that it is whole: one
    /// certificate, one key, and the key is the certificate's. Whether the hub still honours it, the hub says.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::TooLong);
        }
        let body = text.trim_ascii().strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let pem = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Base64)?;
        let (certificate_der, key_der) = sections(&pem)?;
        let certificate = certificate::parse(&certificate_der)?;
        let key = KeyPair::try_from(key_der.as_slice()).map_err(|_| TokenError::Contents)?;
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(TokenError::Contents);
        }
        Ok(InvitationToken {
            certificate_pem: certificate_pem(&pem)?,
            key_pem: key.serialize_pem(),
            serial: certificate::serial_of(&certificate)?,
            not_after: certificate::not_after_of(&certificate)?,
        })
    }
}

/// Why a text is no token. None of these repeats any of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// More than [`TOKEN_CHARS_MAX`].
    #[error("token: is longer than {TOKEN_CHARS_MAX} characters")]
    TooLong,
    /// Not ours, or of a later version.
    #[error("token: does not begin with {PREFIX:?}")]
    Prefix,
    /// Cut, wrapped or altered.
    #[error("token: is not base64url without padding; was it cut or wrapped?")]
    Base64,
    /// Not one certificate and its own private key.
    #[error("token: does not hold one certificate and its private key; was it cut or altered?")]
    Contents,
    /// The certificate in it is not well-formed.
    #[error("token: {0}")]
    Certificate(#[from] BadCertificate),
}

/// The certificate and the private key, DER, and nothing else.
fn sections(pem: &[u8]) -> Result<(Vec<u8>, Vec<u8>), TokenError> {
    let mut found = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    match (found.next(), found.next(), found.next()) {
        (Some(Ok((SectionKind::Certificate, certificate))), Some(Ok((SectionKind::PrivateKey, key))), None) => {
            Ok((certificate, key))
        }
        _ => Err(TokenError::Contents),
    }
}

/// The text of the certificate's section, without anything that stands around it.
fn certificate_pem(pem: &[u8]) -> Result<String, TokenError> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::str::from_utf8(pem).map_err(|_| TokenError::Contents)?;
    let start = text.find("-----BEGIN CERTIFICATE-----").ok_or(TokenError::Contents)?;
    let length = text[start..].find(END).ok_or(TokenError::Contents)? + END.len();
    Ok(format!("{}\n", &text[start..start + length]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Identity, peer_certificate};

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn token() -> (Authority, InvitationToken) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), &"hub.example".parse().unwrap(), "Hub", NOW).unwrap();
        let id = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        let token = authority.issue_invitation(id, NOW, 3_600).unwrap();
        (authority, token)
    }

    #[test]
    fn a_token_round_trips_on_one_line_and_a_foreign_client_can_unpack_it() {
        let (authority, token) = token();
        let text = token.to_string();
        assert!(
            text.len() < TOKEN_CHARS_MAX / 2 && !text.contains(char::is_whitespace),
            "{}",
            text.len()
        );
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!("  {text}\r\n").parse(), Ok(token.clone()));

        let pem = URL_SAFE_NO_PAD.decode(text.strip_prefix("chi1.").unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(pem).unwrap(),
            format!("{}{}", token.certificate_pem(), token.key_pem())
        );

        let (der, _) = sections(format!("{}{}", token.certificate_pem(), token.key_pem()).as_bytes()).unwrap();
        let peer = peer_certificate(authority.trust_domain(), &der).unwrap();
        let id = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        assert_eq!(peer.identity, Identity::Invitation(id));
        assert_eq!((peer.serial, peer.not_after), (token.serial(), token.not_after()));
        assert_eq!(token.not_after(), NOW.plus_secs(3_600));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let (_, token) = token();
        let shown = format!("{token:?}");
        let secret = token.key_pem().lines().nth(1).unwrap();
        assert!(
            !shown.contains(secret) && !shown.contains("BEGIN") && !shown.contains("chi1"),
            "{shown}"
        );
    }

    #[test]
    fn cut_altered_and_foreign_tokens_are_refused_with_the_reason() {
        let (_, token) = token();
        let text = token.to_string();
        let pack = |pem: &str| format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(pem));
        let (_, other) = super::tests::token();
        let (certificate, key) = (token.certificate_pem(), token.key_pem());
        let cases = [
            (String::new(), TokenError::Prefix),
            (text.replacen("chi1.", "chi2.", 1), TokenError::Prefix),
            (text.replacen("chi1.", "", 1), TokenError::Prefix),
            (format!("{text}="), TokenError::Base64),
            (format!("{}\n{}", &text[..80], &text[80..]), TokenError::Base64),
            (text.replacen('L', "+", 1), TokenError::Base64),
            (text[..text.len() / 2 / 4 * 4 + 1].to_owned(), TokenError::Contents),
            (PREFIX.to_owned(), TokenError::Contents),
            (pack("nothing"), TokenError::Contents),
            (pack(certificate), TokenError::Contents),
            (pack(key), TokenError::Contents),
            (pack(&format!("{key}{certificate}")), TokenError::Contents),
            (pack(&format!("{certificate}{key}{key}")), TokenError::Contents),
            (pack(&format!("{certificate}{certificate}{key}")), TokenError::Contents),
            (pack(&format!("{certificate}{}", other.key_pem())), TokenError::Contents),
            ("x".repeat(TOKEN_CHARS_MAX + 1), TokenError::TooLong),
        ];
        for (index, (text, reason)) in cases.into_iter().enumerate() {
            assert_eq!(text.parse::<InvitationToken>(), Err(reason), "case {index}");
        }
    }

    #[test]
    fn a_token_damaged_anywhere_never_panics_and_never_yields_another_key() {
        let (_, token) = token();
        let text = token.to_string();
        for position in (0..text.len()).step_by(3) {
            let mut damaged = text.clone().into_bytes();
            damaged[position] = if damaged[position] == b'A' { b'B' } else { b'A' };
            if let Ok(read) = String::from_utf8(damaged).unwrap().parse::<InvitationToken>() {
                // What still parses differs in the certificate alone, whose signature TLS checks.
                let key = |token: &InvitationToken| KeyPair::from_pem(token.key_pem()).unwrap();
                assert_eq!(
                    key(&read).public_key_raw(),
                    key(&token).public_key_raw(),
                    "position {position}"
                );
            }
        }
    }
}
