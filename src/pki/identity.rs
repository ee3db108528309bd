//! Who a certificate speaks for, and how that is spelled: one SPIFFE URI with exactly one accepted spelling. Anything
//! that would need decoding, folding or cleaning up is refused, so that two spellings can never be one agent.

use std::fmt;
use std::str::FromStr;

use crate::domain::agent::{AgentName, BadAgentName};
use crate::domain::id::{InvitationId, MemberId};

/// The longest trust domain, in characters. (SPIFFE allows 255; with the longest path, ours stay below 400.)
pub const TRUST_DOMAIN_CHARS_MAX: usize = 200;

/// The longest label between two dots of a trust domain, as in DNS (RFC 1035).
const LABEL_CHARS_MAX: usize = 63;

/// No identity is longer than this, in bytes: scheme, trust domain, two UUID-sized parts and a name.
const URI_BYTES_MAX: usize = 400;

/// The name under which a hub's identities live, such as `clearinghouse.example`: lower-case DNS labels. It is a name,
/// not an address: nothing is ever resolved.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The trust domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI of the trust domain itself, which its authority's own certificate carries.
    pub fn to_uri(&self) -> String {
        format!("spiffe://{}", self.0)
    }

    /// Reads back what [`TrustDomain::to_uri`] wrote: no path, no trailing slash.
    pub fn from_uri(uri: &str) -> Result<TrustDomain, BadTrustDomain> {
        uri.strip_prefix("spiffe://").ok_or(BadTrustDomain::Uri)?.parse()
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = BadTrustDomain;

    fn from_str(text: &str) -> Result<Self, BadTrustDomain> {
        if text.is_empty() {
            return Err(BadTrustDomain::Empty);
        }
        if text.len() > TRUST_DOMAIN_CHARS_MAX {
            return Err(BadTrustDomain::TooLong);
        }
        if !text.split('.').all(is_label) {
            return Err(BadTrustDomain::Label);
        }
        Ok(TrustDomain(text.to_owned()))
    }
}

/// Why a text is no trust domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTrustDomain {
    /// Nothing was given.
    #[error("trust domain: is empty")]
    Empty,
    /// More than [`TRUST_DOMAIN_CHARS_MAX`].
    #[error("trust domain: is longer than {TRUST_DOMAIN_CHARS_MAX} characters")]
    TooLong,
    /// A label is empty, too long, begins or ends with a hyphen, or holds something else than `a-z0-9-`.
    #[error("trust domain: must be DNS labels of a-z 0-9 and inner hyphens, at most 63 characters each, dots between")]
    Label,
    /// An authority's certificate does not carry `spiffe://<trust domain>`.
    #[error("trust domain: the authority's certificate does not name one")]
    Uri,
}

/// What a verified certificate says that its holder is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Identity {
    /// An agent of a member: `spiffe://<trust domain>/member/<member id>/agent/<name>`.
    Agent {
        /// The member.
        member: MemberId,
        /// The agent's name within it.
        agent: AgentName,
    },
    /// Whoever holds an invitation, which lets it enrol and nothing else: `spiffe://<trust domain>/invitation/<id>`.
    Invitation(InvitationId),
}

impl Identity {
    /// The one spelling of this identity under `trust_domain`.
    pub fn to_uri(&self, trust_domain: &TrustDomain) -> String {
        match self {
            Identity::Agent { member, agent } => format!("spiffe://{trust_domain}/member/{member}/agent/{agent}"),
            Identity::Invitation(id) => format!("spiffe://{trust_domain}/invitation/{id}"),
        }
    }

    /// Reads the one spelling. Case, percent-encoding, empty or further segments, ports, queries and fragments are all
    /// refused rather than interpreted.
    pub fn from_uri(trust_domain: &TrustDomain, uri: &str) -> Result<Identity, BadIdentity> {
        if uri.len() > URI_BYTES_MAX {
            return Err(BadIdentity::TooLong);
        }
        let rest = uri.strip_prefix("spiffe://").ok_or(BadIdentity::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(BadIdentity::Path)?;
        if domain != trust_domain.as_str() {
            return Err(BadIdentity::TrustDomain);
        }
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["member", member, "agent", agent] => Ok(Identity::Agent {
                member: canonical_id(member)?,
                agent: agent.parse()?,
            }),
            ["invitation", id] => Ok(Identity::Invitation(canonical_id(id)?)),
            _ => Err(BadIdentity::Path),
        }
    }
}

/// Why a URI is no identity of this hub. The URI is not repeated, since a peer wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadIdentity {
    /// More than any identity can have.
    #[error("identity: is longer than {URI_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin with `spiffe://`, in lower case.
    #[error("identity: is not a spiffe:// URI")]
    Scheme,
    /// It belongs to another trust domain (or spells ours otherwise).
    #[error("identity: belongs to another trust domain")]
    TrustDomain,
    /// The path is neither that of an agent nor that of an invitation.
    #[error("identity: the path is neither /member/ID/agent/NAME nor /invitation/ID")]
    Path,
    /// The member or invitation is not a UUID in its canonical lower-case form.
    #[error("identity: the id is not a UUID in canonical form")]
    Id,
    /// The agent's name breaks the rules of names.
    #[error("identity: {0}")]
    Agent(#[from] BadAgentName),
}

/// UUIDs have many spellings (upper case, braces, `urn:`, no hyphens); only the one that we write passes.
fn canonical_id<T: FromStr + fmt::Display>(text: &str) -> Result<T, BadIdentity> {
    let id: T = text.parse().map_err(|_| BadIdentity::Id)?;
    if id.to_string() == text {
        Ok(id)
    } else {
        Err(BadIdentity::Id)
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_CHARS_MAX).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190b8a2-7c3e-7def-8a12-3456789abcde";

    fn domain() -> TrustDomain {
        "hub.example".parse().unwrap()
    }

    #[test]
    fn trust_domains_are_lower_case_dns_names() {
        for good in ["hub.example", "a", "x-1.y", "a.".repeat(99).trim_end_matches('.')] {
            let parsed: TrustDomain = good.parse().unwrap();
            assert_eq!(TrustDomain::from_uri(&parsed.to_uri()), Ok(parsed));
        }
        let long_label = "a".repeat(64);
        let long = ["a".repeat(50), "b".repeat(50), "c".repeat(50), "d".repeat(48)].join(".");
        for (bad, reason) in [
            ("", BadTrustDomain::Empty),
            (long.as_str(), BadTrustDomain::TooLong),
            (long_label.as_str(), BadTrustDomain::Label),
            ("Hub.example", BadTrustDomain::Label),
            ("hub.example.", BadTrustDomain::Label),
            (".hub", BadTrustDomain::Label),
            ("a..b", BadTrustDomain::Label),
            ("-a.b", BadTrustDomain::Label),
            ("a-.b", BadTrustDomain::Label),
            ("a_b", BadTrustDomain::Label),
            ("a/b", BadTrustDomain::Label),
            ("a:443", BadTrustDomain::Label),
            ("a@b", BadTrustDomain::Label),
            ("bücher.example", BadTrustDomain::Label),
        ] {
            assert_eq!(bad.parse::<TrustDomain>(), Err(reason), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_has_one_spelling_and_round_trips() {
        let agent = Identity::Agent {
            member: ID.parse().unwrap(),
            agent: "feed.reader-1".parse().unwrap(),
        };
        let invitation = Identity::Invitation(ID.parse().unwrap());
        for identity in [agent, invitation] {
            assert_eq!(Identity::from_uri(&domain(), &identity.to_uri(&domain())), Ok(identity));
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        use BadIdentity as Bad;
        let too_long = format!("spiffe://hub.example/member/{ID}/agent/{}", "a".repeat(400));
        let cases: &[(&str, Bad)] = &[
            ("", Bad::Scheme),
            ("https://hub.example/member/ID/agent/a", Bad::Scheme),
            ("SPIFFE://hub.example/member/ID/agent/a", Bad::Scheme),
            (" spiffe://hub.example/member/ID/agent/a", Bad::Scheme),
            ("spiffe:/hub.example/member/ID/agent/a", Bad::Scheme),
            ("spiffe://hub.example", Bad::Path),
            ("spiffe:///member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://other.example/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://hub.example.evil/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://HUB.example/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://hub.example:443/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://x@hub.example/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://hub%2eexample/member/ID/agent/a", Bad::TrustDomain),
            ("spiffe://hub.example/", Bad::Path),
            ("spiffe://hub.example//member/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/member/ID/agent/a/", Bad::Path),
            ("spiffe://hub.example/member/ID/agent/a/b", Bad::Path),
            ("spiffe://hub.example/member/ID/agent", Bad::Path),
            ("spiffe://hub.example/member//ID/agent/a", Bad::Path),
            ("spiffe://hub.example/x/../member/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/./member/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/member/ID/../ID/agent/a", Bad::Path),
            ("spiffe://hub.example/Member/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/%6dember/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/member%2fID/agent/a", Bad::Path),
            ("spiffe://hub.example/invitation/ID/agent/a", Bad::Path),
            ("spiffe://hub.example/invitation/ID/", Bad::Path),
            ("spiffe://hub.example/member/../agent/a", Bad::Id),
            ("spiffe://hub.example/member/{ID}/agent/a", Bad::Id),
            ("spiffe://hub.example/member/urn:uuid:ID/agent/a", Bad::Id),
            (
                "spiffe://hub.example/member/0190B8A2-7C3E-7DEF-8A12-3456789ABCDE/agent/a",
                Bad::Id,
            ),
            (
                "spiffe://hub.example/member/0190b8a27c3e7def8a123456789abcde/agent/a",
                Bad::Id,
            ),
            ("spiffe://hub.example/invitation/ID?x", Bad::Id),
            ("spiffe://hub.example/invitation/ID#x", Bad::Id),
            ("spiffe://hub.example/member/ID/agent/", Bad::Agent(BadAgentName::Empty)),
            (
                "spiffe://hub.example/member/ID/agent/..",
                Bad::Agent(BadAgentName::FirstCharacter),
            ),
            (
                "spiffe://hub.example/member/ID/agent/Admin",
                Bad::Agent(BadAgentName::FirstCharacter),
            ),
            (
                "spiffe://hub.example/member/ID/agent/a%2e",
                Bad::Agent(BadAgentName::Character { position: 1 }),
            ),
            (
                "spiffe://hub.example/member/ID/agent/a?b",
                Bad::Agent(BadAgentName::Character { position: 1 }),
            ),
            (
                "spiffe://hub.example/member/ID/agent/a\0",
                Bad::Agent(BadAgentName::Character { position: 1 }),
            ),
            (too_long.as_str(), Bad::TooLong),
        ];
        for (template, reason) in cases {
            let uri = template.replace("ID", ID);
            assert_eq!(Identity::from_uri(&domain(), &uri), Err(*reason), "{uri:?}");
        }
    }
}
