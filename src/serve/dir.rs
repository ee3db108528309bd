//! The directory of a hub: which file is where.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::domain::id::Timestamp;
use crate::hub::CURSOR_KEY_LEN;
use crate::pki::{Authority, KeyAndChain, chain_not_after, server_config, write_private};

use super::ServeError;

/// A server certificate with less than this left is replaced when certificates are read.
const RENEW_SERVER_BEFORE_SECS: i64 = 30 * 86_400;

/// A hub's directory:
///
/// | path | holds |
/// |---|---|
/// | `hub.toml` | the configuration |
/// | `ca/` | the authority's certificate and key |
/// | `tls/` | the server's certificate and key |
/// | `secret/cursor.key` | what seals cursors |
/// | `log/` | the log |
/// | `views/` | what is made from the log, for speed |
/// | `admin/` | the first admin's profile |
pub struct HubDir {
    path: PathBuf,
}

impl HubDir {
    /// The directory at `path`, which may not exist.
    pub fn new(path: &Path) -> HubDir {
        HubDir { path: path.to_owned() }
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join(crate::config::FILE)
    }

    /// The authority.
    pub fn ca(&self) -> PathBuf {
        self.path.join("ca")
    }

    /// The server's certificate and key.
    pub fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// Secrets.
    pub fn secret(&self) -> PathBuf {
        self.path.join("secret")
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// What is made from the log and can be made again.
    pub fn views(&self) -> PathBuf {
        self.path.join("views")
    }

    /// The first admin's profile.
    pub fn admin(&self) -> PathBuf {
        self.path.join("admin")
    }

    pub(super) fn cursor_key_file(&self) -> PathBuf {
        self.secret().join("cursor.key")
    }

    pub(super) fn cursor_key(&self) -> Result<[u8; CURSOR_KEY_LEN], ServeError> {
        let path = self.cursor_key_file();
        let bytes = std::fs::read(&path).map_err(|source| ServeError::File {
            path: path.clone(),
            source,
        })?;
        let wrong_length = || std::io::Error::new(std::io::ErrorKind::InvalidData, "it must hold 32 bytes");
        bytes.try_into().map_err(|_| ServeError::File {
            path,
            source: wrong_length(),
        })
    }

    /// The TLS configuration from the files as they are now, with a new server certificate where the old one is about to end or
    /// missing. Also says when the certificate ends.
    pub(super) fn server_tls(
        &self,
        authority: &Authority,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<(Arc<ServerConfig>, Timestamp), ServeError> {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|source| ServeError::File {
                path: path.clone(),
                source,
            })
        };
        let (chain_path, key_path) = (self.tls().join("server.pem"), self.tls().join("server.key"));
        let held = match (read(chain_path), read(key_path)) {
            (Ok(chain_pem), Ok(key_pem)) => Some(KeyAndChain { chain_pem, key_pem }),
            _ => None,
        };
        let ends = |keys: &KeyAndChain| chain_not_after(&keys.chain_pem).ok();
        let fresh_enough =
            |keys: &KeyAndChain| ends(keys).is_some_and(|end| end > now.plus_secs(RENEW_SERVER_BEFORE_SECS));
        let same_hosts = read(self.tls().join("hosts")).is_ok_and(|held| held == hosts.join("\n"));
        let keys = match held.filter(|keys| same_hosts && fresh_enough(keys)) {
            Some(keys) => keys,
            None => self.write_server_certificate(authority, hosts, now)?,
        };
        let config = server_config(authority.ca_pem(), &keys, None)?;
        Ok((config, ends(&keys).unwrap_or(now)))
    }

    pub(super) fn write_server_certificate(
        &self,
        authority: &Authority,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<KeyAndChain, ServeError> {
        let keys = authority.issue_server(hosts, now)?;
        let write = |name: &str, bytes: &str| {
            let path = self.tls().join(name);
            write_private(&path, bytes.as_bytes()).map_err(|source| ServeError::File { path, source })
        };
        // A crash between the two leaves a pair that does not fit; the next start replaces both, for they do not load.
        write("hosts", &hosts.join("\n"))?;
        write("server.key", &keys.key_pem)?;
        write("server.pem", &keys.chain_pem)?;
        Ok(keys)
    }

    /// Writes the address into the first admin's profile, so that `--listen` with another port needs no edit. Failure is no reason
    /// not to serve: the profile may have been moved to the admin's own machine.
    pub(super) fn tell_admin(&self, bound: SocketAddr) {
        let path = self.admin().join("profile.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return;
        };
        let Ok(mut profile) = text.parse::<toml::Table>() else {
            return;
        };
        let host = match bound.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip => SocketAddr::new(ip, 0).to_string().trim_end_matches(":0").to_owned(),
        };
        let address = format!("https://{host}:{}", bound.port());
        if profile.get("hub").and_then(toml::Value::as_str) == Some(&address) {
            return;
        }
        profile.insert("hub".into(), address.into());
        let written = toml::to_string(&profile).map(|text| write_private(&path, text.as_bytes()));
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(path = %path.display(), "the address could not be written into the admin's profile");
        }
    }
}
