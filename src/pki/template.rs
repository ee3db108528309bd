//! What the certificates that we issue say. Three kinds of leaf and one root, each spelled out in full; nothing in them
//! comes from a peer but names that the hub's types have checked. This file signs nothing.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber,
};
use rustls::pki_types::ServerName;

use super::authority::AuthorityError;
use super::certificate::Serial;
use super::identity::{Identity, TrustDomain};
use super::validity::Validity;
use crate::domain::id::Timestamp;

/// The longest name of a hub, in characters: what an X.509 organisation name may hold (RFC 5280, appendix A.1).
pub(super) const NAME_CHARS_MAX: usize = 64;

/// The most names and addresses that one server certificate covers.
pub(super) const HOSTS_MAX: usize = 64;

/// How long the root lives: ten years with their leap days.
pub(super) const ROOT_LIFETIME_SECS: u32 = 3_652 * 86_400;

/// What distinguishes one end-entity certificate of ours from another.
pub(super) struct Leaf {
    organisation: String,
    common_name: String,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
}

impl Leaf {
    /// The hub's own, for the given names and addresses.
    pub(super) fn server(trust_domain: &TrustDomain, hosts: &[String]) -> Result<Leaf, AuthorityError> {
        if hosts.is_empty() || hosts.len() > HOSTS_MAX {
            return Err(AuthorityError::HostCount);
        }
        Ok(Leaf {
            organisation: trust_domain.to_string(),
            common_name: "clearinghouse hub".to_owned(),
            names: hosts.iter().map(|host| host_name(host)).collect::<Result<_, _>>()?,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        })
    }

    /// An agent's or an invitation's, for client authentication and nothing else.
    pub(super) fn client(trust_domain: &TrustDomain, identity: &Identity) -> Result<Leaf, AuthorityError> {
        let (organisation, common_name) = match identity {
            Identity::Agent { member, agent } => (member.to_string(), agent.to_string()),
            Identity::Invitation(id) => ("invitation".to_owned(), id.to_string()),
        };
        let uri = identity.to_uri(trust_domain);
        let names = vec![SanType::URI(uri.try_into()?)];
        Ok(Leaf {
            organisation,
            common_name,
            names,
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        })
    }

    /// The certificate's contents, but for its key and signature.
    pub(super) fn params(self, validity: Validity, serial: Serial) -> CertificateParams {
        let mut params = CertificateParams::default();
        validity.write(&mut params);
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.distinguished_name = subject(&self.organisation, &self.common_name);
        params.subject_alt_names = self.names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

/// The root's contents. It signs end entities directly: no authority can stand below it.
pub(super) fn root_params(
    trust_domain: &TrustDomain,
    name: &str,
    now: Timestamp,
) -> Result<CertificateParams, AuthorityError> {
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

/// 126 random bits: serial numbers neither repeat nor show how many certificates there are.
pub(super) fn new_serial() -> Result<Serial, AuthorityError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthorityError::Random)?;
    // The top bit is the sign; the next one is set so that the length, and so the hex form, is always the same.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Serial::from_bytes(&bytes).ok_or(AuthorityError::Random)
}

/// Only for people who read certificates; the hub itself reads the alternative name alone.
fn subject(organisation: &str, common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, organisation);
    subject.push(DnType::CommonName, common_name);
    subject
}

/// A DNS name or an IP address; no wildcards, so that a certificate never covers a host that nobody named.
fn host_name(host: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    match ServerName::try_from(host) {
        Ok(ServerName::DnsName(name)) => Ok(SanType::DnsName(name.as_ref().to_ascii_lowercase().try_into()?)),
        _ => Err(AuthorityError::Host { host: host.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_long_and_never_repeat() {
        let serials: std::collections::HashSet<_> = (0..1_000).map(|_| new_serial().unwrap()).collect();
        assert_eq!(serials.len(), 1_000);
        assert!(serials.iter().all(|serial| serial.to_string().len() == 32));
    }

    #[test]
    fn hosts_are_names_or_addresses_and_bounded() {
        let trust_domain = "hub.example".parse().unwrap();
        let server = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
            Leaf::server(&trust_domain, &hosts).map(|leaf| leaf.names)
        };
        let names = server(&["Hub.Example", "127.0.0.1", "::1"]).unwrap();
        assert_eq!(names[0], SanType::DnsName("hub.example".try_into().unwrap()));
        assert!(matches!(
            names[1..],
            [SanType::IpAddress(IpAddr::V4(_)), SanType::IpAddress(IpAddr::V6(_))]
        ));
        for bad in [
            "",
            "*.example",
            "a b",
            "https://hub.example",
            "hub.example:443",
            "hub/x",
            "bücher.example",
            "[::1]",
        ] {
            assert!(matches!(server(&[bad]), Err(AuthorityError::Host { .. })), "{bad:?}");
        }
        assert!(matches!(server(&[]), Err(AuthorityError::HostCount)));
        assert!(server(&["a"; HOSTS_MAX]).is_ok());
        assert!(matches!(server(&["a"; HOSTS_MAX + 1]), Err(AuthorityError::HostCount)));
    }

    #[test]
    fn the_longest_identity_fits_its_certificate() {
        let trust_domain = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(8)]
            .join(".")
            .parse()
            .unwrap();
        let member = "0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap();
        let identity = Identity::Agent {
            member,
            agent: "x".repeat(63).parse().unwrap(),
        };
        let leaf = Leaf::client(&trust_domain, &identity).unwrap();
        let [SanType::URI(uri)] = leaf.names.as_slice() else {
            panic!("one URI")
        };
        assert_eq!(Identity::from_uri(&trust_domain, uri.as_str()), Ok(identity));
    }
}
