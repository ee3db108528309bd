//! Creates a hub: its authority, secrets, log, and the first admin's profile.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::config;
use crate::domain::agent::AgentName;
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::member::{MemberKind, Name, Role};
use crate::domain::violation::Violation;
use crate::log::entry::{CertificateIssued, Entry, Event};
use crate::log::{AppendError, CloseError, CreateError, Log, Options};
use crate::pki::{
    Authority, AuthorityError, CsrError, Issued, KeyAndCsr, TrustDomain, create_private, new_key_and_csr,
};

use super::dir::HubDir;
use super::{ServeError, now};

/// What a new hub is made with.
pub struct InitRequest {
    /// Its directory, which must be missing or empty.
    pub dir: PathBuf,
    /// Its name, also that of the operating member.
    pub name: String,
    /// Names and addresses that members reach it by, besides the loopback ones.
    pub hosts: Vec<String>,
}

/// A new hub.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// Its directory.
    pub dir: PathBuf,
    /// The first admin's profile.
    pub admin_profile: PathBuf,
    /// The operating member.
    pub member: MemberId,
    /// The trust domain of its certificates.
    pub trust_domain: String,
}

/// Why there is no new hub.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory has something in it.
    #[error("{} is not empty: a hub is only created in a new or empty directory", .0.display())]
    Exists(PathBuf),
    /// A value is wrong.
    #[error(transparent)]
    Value(#[from] Violation),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Keys could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The admin's certificate could not be made.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The server's certificate could not be made.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The log could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The first entries could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be closed.
    #[error(transparent)]
    Close(#[from] CloseError),
}

/// Creates a hub. The log comes last: a directory in which `serve` finds a log is whole.
pub fn init(request: &InitRequest) -> Result<Initialised, InitError> {
    let name = Name::parse("name", &request.name)?;
    let trust_domain = trust_domain(&name)?;
    let dir = HubDir::new(&request.dir);
    create_empty(&request.dir)?;
    for folder in [dir.ca(), dir.tls(), dir.secret(), dir.admin()] {
        create_private_dir(&folder).map_err(|source| InitError::File { path: folder, source })?;
    }
    let at = now();
    let authority = Authority::create(&dir.ca(), &trust_domain, name.as_str(), at)?;
    let hosts = hosts(&request.hosts);
    dir.write_server_certificate(&authority, &hosts, at)?;
    write_secret(&dir)?;
    let member = MemberId(Uuid::now_v7());
    let agent = first_agent();
    let keys = new_key_and_csr()?;
    let lifetime = config::CERTIFICATE_LIFETIME_SECS_DEFAULT;
    let issued = authority.issue_agent(keys.csr_pem.as_bytes(), member, &agent, at, lifetime)?;
    write_config(&dir, &hosts)?;
    write_profile(&dir, &authority, &keys, &issued, (member, &name, &agent))?;
    write_log(&dir, at, &name, &trust_domain, (member, &agent, &issued))?;
    Ok(Initialised {
        dir: request.dir.clone(),
        admin_profile: dir.admin(),
        member,
        trust_domain: trust_domain.to_string(),
    })
}

fn create_empty(path: &Path) -> Result<(), InitError> {
    let failed = |source| InitError::File {
        path: path.to_owned(),
        source,
    };
    match path.is_dir() {
        true => {}
        false => create_private_dir(path).map_err(failed)?,
    }
    match std::fs::read_dir(path).map_err(failed)?.next() {
        // The log is for the hub alone: other users of the machine are none of its members.
        None => std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed),
        Some(_) => Err(InitError::Exists(path.to_owned())),
    }
}

fn create_private_dir(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The trust domain is made from the hub's name; it names the hub in certificates and is never looked up.
fn trust_domain(name: &Name) -> Result<TrustDomain, Violation> {
    let word: String = name
        .as_str()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let word = word.trim_matches('-');
    let word = if word.is_empty() { "hub" } else { word };
    format!("{word}.clearinghouse")
        .parse()
        .map_err(|error| Violation::new("name", format!("{error}")))
}

fn hosts(named: &[String]) -> Vec<String> {
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut hosts = named.to_vec();
    hosts.extend(loopback.into_iter().filter(|host| !named.contains(host)));
    hosts
}

fn first_agent() -> AgentName {
    // Within the alphabet of agents' names.
    "admin".parse().expect("a valid name")
}

fn write_secret(dir: &HubDir) -> Result<(), InitError> {
    let mut key = [0; crate::hub::CURSOR_KEY_LEN];
    let path = dir.cursor_key_file();
    aws_lc_rs::rand::fill(&mut key).map_err(|_| InitError::File {
        path: path.clone(),
        source: std::io::Error::other("the system gives no random bytes"),
    })?;
    create_private(&path, &key).map_err(|source| InitError::File { path, source })
}

fn write_config(dir: &HubDir, hosts: &[String]) -> Result<(), InitError> {
    let list = hosts
        .iter()
        .map(|host| format!("{host:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!(
        "# The hub's configuration; docs/operations.md has every key.\n\
         listen = \"{}\"\n\
         # Plain HTTP on loopback: /metrics, /healthz, /readyz.\n\
         # metrics_listen = \"127.0.0.1:9464\"\n\
         # In the server's certificate.\n\
         hosts = [{list}]\n",
        config::LISTEN_DEFAULT
    );
    let path = dir.config();
    std::fs::write(&path, text).map_err(|source| InitError::File { path, source })
}

fn write_profile(
    dir: &HubDir,
    authority: &Authority,
    keys: &KeyAndCsr,
    issued: &Issued,
    (member, name, agent): (MemberId, &Name, &AgentName),
) -> Result<(), InitError> {
    let text = format!(
        "hub = \"https://{}\"\nmember = \"{member}\"\nmember_name = {:?}\nagent = \"{agent}\"\n",
        config::LISTEN_DEFAULT,
        name.as_str()
    );
    let files = [
        ("key.pem", &keys.key_pem),
        ("cert.pem", &issued.pem),
        ("profile.toml", &text),
    ];
    let write = |file: &str, text: &str| {
        let path = dir.admin().join(file);
        create_private(&path, text.as_bytes()).map_err(|source| InitError::File { path, source })
    };
    files.into_iter().try_for_each(|(file, text)| write(file, text))?;
    write("ca.pem", authority.ca_pem())
}

fn write_log(
    dir: &HubDir,
    at: Timestamp,
    name: &Name,
    trust_domain: &TrustDomain,
    (member, agent, issued): (MemberId, &AgentName, &Issued),
) -> Result<(), InitError> {
    let certificate = CertificateIssued {
        member,
        agent: agent.clone(),
        roles: [Role::Admin].into_iter().collect(),
        serial: issued.serial.as_bytes().to_vec(),
        not_before: issued.not_before,
        not_after: issued.not_after,
        public_key_sha256: issued.spki_sha256,
        invitation: None,
        certificate: issued.der.clone(),
    };
    let events = [
        Event::HubCreated {
            name: name.to_string(),
            trust_domain: trust_domain.to_string(),
        },
        Event::MemberAdmitted {
            member,
            name: name.clone(),
            kind: MemberKind::Research,
        },
        Event::CertificateIssued(Box::new(certificate)),
    ];
    let entries: Vec<_> = events
        .into_iter()
        .map(|event| Entry { at, actor: None, event }.encode())
        .collect();
    let mut log = Log::create(&dir.log(), Options::default())?;
    log.append(&entries)?;
    Ok(log.close()?)
}
