//! The key of an enrolment under way. The hub gives a token's certificate to one key only, so a key that is lost between the
//! hub's answer and the profile wastes the token. It is therefore on disk, private, before the hub is asked, beside the profile
//! to be; the next attempt takes it up again, and a written profile ends it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::pki::{self, KeyAndCsr};

const CSR_BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";

/// The key for the profile that will lie in some directory.
pub struct EnrolmentKey {
    path: PathBuf,
    /// Key and request.
    pub fresh: KeyAndCsr,
}

impl EnrolmentKey {
    /// The key of an attempt that was cut short, or a new one.
    pub fn take_up_or_make(out: &Path) -> Result<EnrolmentKey, Failure> {
        let path = beside(out);
        let failed = |error: io::Error| Failure::of(path.display(), error);
        let fresh = match fs::read_to_string(&path) {
            Ok(text) => split(&text).ok_or_else(|| failed(io::Error::other("is no key of an enrolment: remove it")))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = pki::new_key_and_csr().map_err(|error| Failure::of("cannot make a key", error))?;
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    fs::create_dir_all(parent).map_err(failed)?;
                }
                let text = format!("{}{}", fresh.key_pem, fresh.csr_pem);
                pki::create_private(&path, text.as_bytes()).map_err(failed)?;
                fresh
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(EnrolmentKey { path, fresh })
    }

    /// Ends it: the profile is written.
    pub fn discard(self) {
        // What is left is private, and the next attempt takes it up.
        let _ = fs::remove_file(&self.path);
    }
}

fn split(text: &str) -> Option<KeyAndCsr> {
    let (key_pem, csr_pem) = text.split_at_checked(text.find(CSR_BEGIN)?)?;
    key_pem.contains("PRIVATE KEY").then(|| KeyAndCsr {
        key_pem: key_pem.to_owned(),
        csr_pem: csr_pem.to_owned(),
    })
}

fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    out.with_file_name(format!(".{name}.enrolling.pem"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_attempt_that_was_cut_short_goes_on_with_the_same_key_until_it_ends() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("deep/profile");
        let first = EnrolmentKey::take_up_or_make(&out).unwrap();
        let mode = fs::metadata(&first.path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let second = EnrolmentKey::take_up_or_make(&out).unwrap();
        assert_eq!(first.fresh.key_pem, second.fresh.key_pem);
        assert_eq!(first.fresh.csr_pem, second.fresh.csr_pem);
        second.discard();
        assert_eq!(fs::read_dir(home.path().join("deep")).unwrap().count(), 0);
        let third = EnrolmentKey::take_up_or_make(&out).unwrap();
        assert_ne!(first.fresh.key_pem, third.fresh.key_pem);
    }

    #[test]
    fn a_file_that_was_cut_is_not_taken_for_a_key() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("profile");
        let key = EnrolmentKey::take_up_or_make(&out).unwrap();
        for text in ["", "garbage", CSR_BEGIN, key.fresh.key_pem.as_str()] {
            fs::write(&key.path, text).unwrap();
            assert!(EnrolmentKey::take_up_or_make(&out).is_err(), "{text:?}");
        }
    }
}
