//! One agent and the certificates that are accepted of it. Whose agent it is, and whether that member takes part, is the roster's.

use crate::domain::id::Timestamp;
use crate::domain::member::Roles;
use crate::log::entry::{Actor, CertificateIssued};

/// One agent.
#[derive(Clone)]
pub struct AgentRecord {
    /// What it may do.
    pub roles: Roles,
    /// Certificates that are accepted, oldest first; none once revoked.
    pub certificates: Vec<CertificateIssued>,
    /// The serial of the newest certificate, also after revocation.
    pub newest_serial: Vec<u8>,
    /// The end of the newest certificate.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Whether the revocation was its own.
    pub revoked_itself: bool,
    /// Whose vote its vote is, where it is an admin; none: its own.
    ///
    /// Whoever approves an invitation is handed the token, and could enrol with it. So that one stolen key never makes two votes, an
    /// admin whose invitation was approved votes with the approver.
    pub votes_with: Option<Actor>,
}

impl AgentRecord {
    /// An agent with its first certificate.
    pub fn new(issued: &CertificateIssued) -> AgentRecord {
        AgentRecord {
            roles: issued.roles,
            certificates: vec![issued.clone()],
            newest_serial: issued.serial.clone(),
            expires_at: issued.not_after,
            revoked_at: None,
            revoked_itself: false,
            votes_with: None,
        }
    }

    /// One more certificate, also for one that was revoked: then it was invited anew.
    pub fn certify(&mut self, issued: &CertificateIssued) {
        self.roles = issued.roles;
        self.revoked_at = None;
        self.revoked_itself = false;
        self.newest_serial.clone_from(&issued.serial);
        self.expires_at = issued.not_after;
        // Certificates that have ended by the start of this one can never be accepted again.
        self.certificates.retain(|held| held.not_after > issued.not_before);
        self.certificates.push(issued.clone());
    }

    /// Ends all certificates but the one with that serial number. It need not have been the newest.
    pub fn end_certificates_but(&mut self, kept: &[u8]) {
        self.certificates.retain(|held| held.serial == kept);
        if let Some(kept) = self.certificates.last() {
            self.newest_serial.clone_from(&kept.serial);
            self.expires_at = kept.not_after;
        }
    }

    /// Ends all certificates.
    pub fn revoke(&mut self, at: Timestamp, itself: bool) {
        self.certificates.clear();
        self.revoked_at = Some(at);
        self.revoked_itself = itself;
    }
}
