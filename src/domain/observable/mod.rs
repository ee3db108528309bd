//! Observables: typed canonical values (rule N). Placeholder until the real room is merged.
#![allow(missing_docs)]
use super::id::ObservableId;
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Domain,
    Url,
    Ipv4,
    Ipv6,
    Ipv4Network,
    Ipv6Network,
    Asn,
    Email,
    Phone,
    Account,
    Page,
    Group,
    Channel,
    Post,
    Hashtag,
    AdAccount,
    AndroidApp,
    IosApp,
    BrowserExtension,
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Pdq,
    Tlsh,
    Text,
    Narrative,
    TrackerId,
    CryptoWallet,
    CertificateFingerprint,
    FaviconHash,
    Aggregate,
}
impl Kind {
    pub const ALL: &[Kind] = &[
        Kind::Domain,
        Kind::Url,
        Kind::Ipv4,
        Kind::Ipv6,
        Kind::Ipv4Network,
        Kind::Ipv6Network,
        Kind::Asn,
        Kind::Email,
        Kind::Phone,
        Kind::Account,
        Kind::Page,
        Kind::Group,
        Kind::Channel,
        Kind::Post,
        Kind::Hashtag,
        Kind::AdAccount,
        Kind::AndroidApp,
        Kind::IosApp,
        Kind::BrowserExtension,
        Kind::Md5,
        Kind::Sha1,
        Kind::Sha256,
        Kind::Sha512,
        Kind::Pdq,
        Kind::Tlsh,
        Kind::Text,
        Kind::Narrative,
        Kind::TrackerId,
        Kind::CryptoWallet,
        Kind::CertificateFingerprint,
        Kind::FaviconHash,
        Kind::Aggregate,
    ];
    pub fn name(self) -> &'static str {
        "kind"
    }
    pub fn from_name(_name: &str) -> Option<Kind> {
        None
    }
}
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Observable {
    kind: Kind,
    value: Box<str>,
}
#[derive(Debug)]
pub enum Invalid {
    Empty,
}
impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("empty")
    }
}
impl Observable {
    pub fn parse(raw: &str) -> Result<Observable, Invalid> {
        Self::parse_as(Kind::Domain, raw)
    }
    pub fn parse_as(kind: Kind, raw: &str) -> Result<Observable, Invalid> {
        Ok(Observable {
            kind,
            value: raw.into(),
        })
    }
    pub fn from_canonical(kind: Kind, value: &str) -> Result<Observable, Invalid> {
        Self::parse_as(kind, value)
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn value(&self) -> &str {
        &self.value
    }
    pub fn id(&self) -> ObservableId {
        ObservableId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, self.value.as_bytes()))
    }
    pub fn host(&self) -> Option<&str> {
        None
    }
    pub fn parents(&self) -> Vec<Observable> {
        Vec::new()
    }
    pub fn account(&self) -> Option<Observable> {
        None
    }
}
