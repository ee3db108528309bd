//! A profile: the directory with an agent's key, its certificate, the hub's authority and where the hub is. Owns its files and
//! the order in which they are replaced, so that a crash at any moment leaves a usable pair of key and certificate. Refuses
//! to talk to a hub.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::pki;

const CERTIFICATE_FILE: &str = "cert.pem";
const KEY_FILE: &str = "key.pem";
const AUTHORITY_FILE: &str = "ca.pem";
const SETTINGS_FILE: &str = "profile.toml";
/// A renewed pair on its way: see [`Profile::replace_pair`].
const NEXT_CERTIFICATE_FILE: &str = "cert.pem.next";
const NEXT_KEY_FILE: &str = "key.pem.next";

/// `profile.toml`. Fields of a later version are ignored, so that a profile survives a downgrade.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// The hub's address: `https://HOST:PORT`.
    pub hub: String,
    /// Id of the member.
    pub member: String,
    /// Its name, for people.
    #[serde(default)]
    pub member_name: String,
    /// Name of the agent.
    pub agent: String,
}

/// An agent's credentials.
pub struct Profile {
    dir: PathBuf,
    /// Where the hub is, and who the agent is.
    pub settings: Settings,
    /// The agent's certificate chain, leaf first.
    pub certificate_pem: String,
    /// The agent's private key. It is shown to nobody: there is no `Debug` of a profile.
    pub key_pem: String,
    /// The authority that the hub's certificate is verified against.
    pub authority_pem: String,
}

impl Profile {
    /// Reads the profile in `dir`, after completing a renewal that a crash cut short.
    pub fn load(dir: &Path) -> Result<Profile, Failure> {
        finish_renewal(dir)
            .map_err(|error| Failure::of(format!("cannot finish a renewal in {}", dir.display()), error))?;
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path)
                .map_err(|error| Failure::of(format!("cannot read profile file {}", path.display()), error))
        };
        let settings = toml::from_str(&read(SETTINGS_FILE)?).map_err(|error| {
            Failure::of(
                format!("{} cannot be understood", dir.join(SETTINGS_FILE).display()),
                error,
            )
        })?;
        Ok(Profile {
            dir: dir.to_owned(),
            settings,
            certificate_pem: read(CERTIFICATE_FILE)?,
            key_pem: read(KEY_FILE)?,
            authority_pem: read(AUTHORITY_FILE)?,
        })
    }

    /// A profile that will lie in `dir`.
    pub fn new(dir: &Path, settings: Settings, pair: Pair, authority_pem: String) -> Profile {
        Profile {
            dir: dir.to_owned(),
            settings,
            certificate_pem: pair.certificate_pem,
            key_pem: pair.key_pem,
            authority_pem,
        }
    }

    /// Writes the profile as a whole or not at all: into a directory beside, which then takes the name. What is there already
    /// is never replaced.
    pub fn create(&self) -> Result<(), Failure> {
        check_free(&self.dir)?;
        let failed = |error: io::Error| Failure::of(format!("cannot write the profile {}", self.dir.display()), error);
        let parent = parent_of(&self.dir);
        fs::create_dir_all(parent).map_err(failed)?;
        let staging = tempfile_beside(&self.dir);
        let written = self.write_into(&staging).and_then(|()| fs::rename(&staging, &self.dir));
        if let Err(error) = written {
            // Best effort: the first error is the one to report, and what is left is private.
            let _ = fs::remove_dir_all(&staging);
            return Err(failed(error));
        }
        sync_dir(parent).map_err(failed)
    }

    /// Replaces key and certificate. The order makes each crash harmless: `key.pem.next`, `cert.pem.next`, then the rename of
    /// the key, then that of the certificate. A lone next key, or both, were never in use and are dropped by the next load;
    /// a lone next certificate means that its key is already in place, and the load completes the move.
    pub fn replace_pair(&self, pair: &Pair) -> Result<(), Failure> {
        let replace = || {
            pki::write_private(&self.dir.join(NEXT_KEY_FILE), pair.key_pem.as_bytes())?;
            pki::write_private(&self.dir.join(NEXT_CERTIFICATE_FILE), pair.certificate_pem.as_bytes())?;
            fs::rename(self.dir.join(NEXT_KEY_FILE), self.dir.join(KEY_FILE))?;
            sync_dir(&self.dir)?;
            finish_renewal(&self.dir)
        };
        replace().map_err(|error| {
            Failure::of(
                format!("cannot replace the credentials in {}", self.dir.display()),
                error,
            )
        })
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// When its certificate is valid.
    pub fn validity(&self) -> Result<Validity, Failure> {
        Validity::of_pem(&self.certificate_pem)
            .map_err(|reason| Failure::of(self.dir.join(CERTIFICATE_FILE).display(), reason))
    }

    /// What is wrong with the rights of the key's file, if others can read it.
    pub fn exposure(&self) -> Option<String> {
        let path = self.dir.join(KEY_FILE);
        let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| format!("others can read {} (mode {mode:03o}): chmod 600 it", path.display()))
    }

    fn write_into(&self, staging: &Path) -> io::Result<()> {
        let settings = toml::to_string(&self.settings).map_err(io::Error::other)?;
        fs::create_dir(staging)?;
        fs::set_permissions(staging, fs::Permissions::from_mode(0o700))?;
        for (name, text) in [
            (KEY_FILE, &self.key_pem),
            (CERTIFICATE_FILE, &self.certificate_pem),
            (AUTHORITY_FILE, &self.authority_pem),
            (SETTINGS_FILE, &settings),
        ] {
            pki::write_private(&staging.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Refuses a directory that holds something: checked before a token is spent, and again when the profile is written.
pub fn check_free(dir: &Path) -> Result<(), Failure> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Failure::Failed(format!(
            "{} is not empty: a profile is never replaced",
            dir.display()
        ))),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::of(dir.display(), error)),
    }
}

/// A key and the certificate on it.
pub struct Pair {
    /// The private key.
    pub key_pem: String,
    /// The chain, leaf first.
    pub certificate_pem: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// Its first moment.
    pub not_before: Timestamp,
    /// Its last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// Of the first certificate in a chain.
    pub fn of_pem(chain: &str) -> Result<Validity, String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).map_err(|_| "holds no PEM certificate")?;
        let certificate = pem.parse_x509().map_err(|_| "holds no readable X.509 certificate")?;
        let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| "has a date out of range".to_owned());
        Ok(Validity {
            not_before: moment(certificate.validity().not_before.timestamp())?,
            not_after: moment(certificate.validity().not_after.timestamp())?,
        })
    }

    /// Whether less than a third of its life is left: time to renew.
    pub fn is_ending(&self, now: Timestamp) -> bool {
        let life = self.not_after.as_second() - self.not_before.as_second();
        (self.not_after.as_second() - now.as_second()).saturating_mul(3) < life
    }
}

/// Brings a renewal to its end: see [`Profile::replace_pair`].
fn finish_renewal(dir: &Path) -> io::Result<()> {
    let (next_key, next_certificate) = (dir.join(NEXT_KEY_FILE), dir.join(NEXT_CERTIFICATE_FILE));
    match (next_key.try_exists()?, next_certificate.try_exists()?) {
        (false, false) => return Ok(()),
        (false, true) => fs::rename(next_certificate, dir.join(CERTIFICATE_FILE))?,
        // The key goes last: a crash between the two removals must not leave what looks like a renewal to complete.
        (true, true) => {
            fs::remove_file(next_certificate)?;
            sync_dir(dir)?;
            fs::remove_file(next_key)?;
        }
        (true, false) => fs::remove_file(next_key)?,
    }
    sync_dir(dir)
}

fn tempfile_beside(dir: &Path) -> PathBuf {
    let name = dir
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    parent_of(dir).join(format!(".{name}.{}.new", std::process::id()))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Without this a rename can be lost in a power cut.
fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(dir: &Path) -> Profile {
        let settings = Settings {
            hub: "https://localhost:1".into(),
            member: "0190b8a2-7c3e-7def-8a12-3456789abcde".into(),
            member_name: "Agora \"Social\"".into(),
            agent: "feed".into(),
        };
        Profile::new(dir, settings, pair("old"), "ca".into())
    }

    fn pair(age: &str) -> Pair {
        Pair {
            key_pem: format!("{age} key"),
            certificate_pem: format!("{age} certificate"),
        }
    }

    fn loaded_pair(dir: &Path) -> (String, String) {
        let profile = Profile::load(dir).unwrap();
        assert!(!dir.join(NEXT_KEY_FILE).exists() && !dir.join(NEXT_CERTIFICATE_FILE).exists());
        (profile.key_pem, profile.certificate_pem)
    }

    fn of(age: &str) -> (String, String) {
        (pair(age).key_pem, pair(age).certificate_pem)
    }

    #[test]
    fn a_profile_is_private_complete_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("deep/profile");
        profile(&dir).create().unwrap();
        let read = Profile::load(&dir).unwrap();
        assert_eq!(read.settings, profile(&dir).settings);
        assert_eq!(read.exposure(), None);
        for name in [KEY_FILE, CERTIFICATE_FILE, AUTHORITY_FILE, SETTINGS_FILE] {
            let mode = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
        assert_eq!(
            fs::read_dir(home.path().join("deep")).unwrap().count(),
            1,
            "no leftovers"
        );
    }

    #[test]
    fn a_profile_never_replaces_anything() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("profile");
        fs::create_dir(&dir).unwrap();
        profile(&dir).create().unwrap();
        let mut other = profile(&dir);
        other.key_pem = "other".into();
        assert!(matches!(other.create(), Err(Failure::Failed(_))));
        assert_eq!(loaded_pair(&dir), of("old"));
    }

    #[test]
    fn an_exposed_key_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("profile");
        profile(&dir).create().unwrap();
        fs::set_permissions(dir.join(KEY_FILE), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Profile::load(&dir).unwrap().exposure().unwrap().contains("640"));
    }

    #[test]
    fn a_crash_at_any_step_of_a_renewal_leaves_a_matching_pair() {
        type Step = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let steps: [Step; 5] = [
            ("before", &[], "old"),
            ("key written", &[(NEXT_KEY_FILE, "new key")], "old"),
            (
                "both written",
                &[(NEXT_KEY_FILE, "new key"), (NEXT_CERTIFICATE_FILE, "new certificate")],
                "old",
            ),
            (
                "key moved",
                &[(KEY_FILE, "new key"), (NEXT_CERTIFICATE_FILE, "new certificate")],
                "new",
            ),
            (
                "both moved",
                &[(KEY_FILE, "new key"), (CERTIFICATE_FILE, "new certificate")],
                "new",
            ),
        ];
        for (step, files, expected) in steps {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("profile");
            profile(&dir).create().unwrap();
            for (name, text) in files {
                fs::write(dir.join(name), text).unwrap();
            }
            assert_eq!(loaded_pair(&dir), of(expected), "{step}");
        }
    }

    #[test]
    fn a_renewal_replaces_both() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("profile");
        profile(&dir).create().unwrap();
        Profile::load(&dir).unwrap().replace_pair(&pair("new")).unwrap();
        assert_eq!(loaded_pair(&dir), of("new"));
    }

    #[test]
    fn the_last_third_of_a_life_is_time_to_renew() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let validity = Validity {
            not_before: at(0),
            not_after: at(300),
        };
        for (second, is_ending) in [(0, false), (200, false), (201, true), (301, true)] {
            assert_eq!(validity.is_ending(at(second)), is_ending, "{second}");
        }
    }
}
