//! What went wrong between this program and the hub, in words that say what to do. TLS 1.3 shows a refused client certificate
//! late and as a broken connection: the reason is dug out here. Refuses to connect or to retry.

use std::error::Error;
use std::fmt::Write as _;

use jiff::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::output::plain;
use super::profile::Validity;
use super::time;

/// What is known of the connection that a call went over.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The hub's address.
    pub address: String,
    /// When the own certificate is valid, if it can be read.
    pub validity: Option<Validity>,
}

impl Circumstances {
    /// Explains why no connection came about.
    pub fn of_connecting(&self, error: &dyn Error) -> String {
        let chain = chain_text(error);
        match self.refusal(&chain) {
            Some(reason) => reason,
            None => format!("cannot reach the hub at {}: {}", self.address, last_cause(error)),
        }
    }

    /// Explains why a call failed.
    pub fn of_call(&self, status: &Status) -> String {
        let violations = violations(status);
        if !violations.is_empty() {
            return violations;
        }
        let chain = chain_text(status);
        tracing::debug!(?status, chain, "a call failed");
        if let Some(reason) = self.refusal(&chain) {
            return reason;
        }
        if chain.contains("ConnectError") {
            return self.of_connecting(status);
        }
        let message = plain(status.message());
        match status.code() {
            Code::Unauthenticated => format!("the hub does not accept this agent: {message}; ask an admin of the hub"),
            Code::PermissionDenied => format!("not permitted: {message}"),
            Code::NotFound => format!("not found, or not visible to you: {message}"),
            Code::Unimplemented => format!("this hub does not offer that call ({message}); it may run another version"),
            Code::Unavailable | Code::Unknown | Code::Cancelled if status.source().is_some() => format!(
                "the connection to {} broke ({}). If this goes on although the hub runs, it may be refusing this certificate: revoked, \
                 or of another hub",
                self.address,
                status.source().map(last_cause).unwrap_or_default()
            ),
            Code::DeadlineExceeded | Code::Cancelled => format!("the hub at {} did not answer in time", self.address),
            Code::ResourceExhausted | Code::Unavailable if retry_after_ms(status).is_some() => {
                let seconds = retry_after_ms(status).unwrap_or_default().div_ceil(1_000);
                format!("{message}: try again in {seconds} s")
            }
            _ if message.is_empty() => status.code().description().to_owned(),
            _ => message,
        }
    }

    /// A refusal of one certificate or the other, read from the whole chain of causes.
    fn refusal(&self, chain: &str) -> Option<String> {
        let chain = chain.to_lowercase().replace([' ', '_'], "");
        let has = |words: &[&str]| words.iter().any(|word| chain.contains(word));
        if has(&["invalidpeercertificate"]) {
            return Some(self.hub_refused(&chain));
        }
        let is_alert = has(&["receivedfatalalert"]);
        let own = self.validity.map(|validity| (validity, Timestamp::now()));
        match own {
            Some((validity, now)) if validity.not_after < now && (is_alert || has(BROKEN)) => Some(format!(
                "this agent's certificate ended {}: ask an admin for a new invitation and enrol again",
                time::distance(now, validity.not_after)
            )),
            Some((validity, now)) if validity.not_before > now && (is_alert || has(BROKEN)) => Some(format!(
                "this agent's certificate is valid only from {}: check this machine's clock",
                validity.not_before
            )),
            _ if !is_alert => None,
            _ if has(&["certificaterevoked"]) => Some(
                "the hub refused this agent's certificate: it was revoked. Ask an admin for a new invitation"
                    .to_owned(),
            ),
            _ if has(&["certificateexpired"]) => {
                Some("the hub refused this agent's certificate as expired: check the clocks, or enrol again".to_owned())
            }
            _ if has(&["unknownca", "decrypterror", "badcertificate", "certificateunknown"]) => Some(format!(
                "the hub at {} refused this agent's certificate: it is not of that hub's authority. Is the address that of the hub \
                 that issued this profile?",
                self.address
            )),
            _ => Some(format!(
                "the hub at {} refused the TLS connection; is this profile of that hub?",
                self.address
            )),
        }
    }

    fn hub_refused(&self, chain: &str) -> String {
        let address = &self.address;
        if chain.contains("notvalidforname") {
            return format!(
                "the hub's certificate does not name the host in {address}: use a name that was given to `init --host`, or add this one \
                 there"
            );
        }
        if chain.contains("expired") {
            return format!("the hub's own certificate at {address} has expired: tell its operator");
        }
        format!(
            "what answers at {address} is not this profile's hub: its certificate is not of the authority in ca.pem"
        )
    }
}

/// How a connection looks that the other side dropped during or right after the handshake.
const BROKEN: &[&str] = &[
    "brokenpipe",
    "connectionreset",
    "closedconnection",
    "closenotify",
    "transporterror",
    "connectionclosed",
];

/// How long the hub asks to wait before the call is made again, in milliseconds.
pub fn retry_after_ms(status: &Status) -> Option<u64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    u64::try_from(delay.as_millis()).ok()
}

/// Whether the hub refused the cursor itself, so that a snapshot helps.
pub fn refuses_cursor(status: &Status) -> bool {
    status
        .get_details_error_info()
        .is_some_and(|info| info.reason == "CURSOR_REFUSED")
}

/// Whether the same call may succeed later.
pub fn is_transient(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded | Code::Cancelled => true,
        // A connection that dies under a call shows as one of these, with its cause; from the hub they come without.
        Code::Unknown | Code::Internal => status.source().is_some() || is_transport_text(status.message()),
        _ => false,
    }
}

fn is_transport_text(message: &str) -> bool {
    let message = message.to_lowercase();
    ["h2 protocol error", "transport error", "connection", "broken pipe"]
        .iter()
        .any(|text| message.contains(text))
}

/// `google.rpc.BadRequest`, a line for each field.
fn violations(status: &Status) -> String {
    let mut text = String::new();
    for violation in status
        .get_details_bad_request()
        .map(|details| details.field_violations)
        .unwrap_or_default()
    {
        let separator = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{separator}{}: {}",
            plain(&violation.field),
            plain(&violation.description)
        );
    }
    text
}

/// All causes of an error, joined.
fn chain_text(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // `Debug` too: some layers show their cause only there. It is searched, never shown.
        let _ = write!(text, "{error} {error:?} ");
        next = error.source();
    }
    text
}

/// The innermost cause, which is the one that says something.
fn last_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // TLS errors end in the address of a manual, which helps nobody here.
    let text = innermost.to_string();
    let text = text.split(": https://").next().unwrap_or_default();
    let text = text.split(" (os error").next().unwrap_or_default();
    plain(text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn circumstances(not_after: i64) -> Circumstances {
        let at = |second| Timestamp::from_second(second).unwrap();
        Circumstances {
            address: "https://hub.test:7443".into(),
            validity: Some(Validity {
                not_before: at(0),
                not_after: at(not_after),
            }),
        }
    }

    const FUTURE: i64 = 100_000_000_000;

    #[test]
    fn each_violated_field_has_a_line() {
        let details = ErrorDetails::with_bad_request(vec![
            FieldViolation::new("draft.handling.tlp", "must be given"),
            FieldViolation::new("draft.ttps[3]", "must be a DISARM id\u{1b}[2J"),
        ]);
        let status = Status::with_error_details(Code::InvalidArgument, "bad", details);
        let text = circumstances(FUTURE).of_call(&status);
        assert_eq!(
            text,
            "draft.handling.tlp: must be given\ndraft.ttps[3]: must be a DISARM id\\u{1b}[2J"
        );
    }

    #[test]
    fn a_refused_certificate_is_named_as_such() {
        let alert = |description| std::io::Error::other(rustls::Error::AlertReceived(description));
        for (description, expected) in [
            (rustls::AlertDescription::CertificateRevoked, "was revoked"),
            (rustls::AlertDescription::CertificateExpired, "as expired"),
            (rustls::AlertDescription::UnknownCA, "not of that hub's authority"),
            (rustls::AlertDescription::AccessDenied, "refused the TLS connection"),
        ] {
            let text = circumstances(FUTURE).of_connecting(&alert(description));
            assert!(text.contains(expected), "{text}");
            let text = circumstances(FUTURE).of_call(&Status::from_error(Box::new(alert(description))));
            assert!(text.contains(expected), "{text}");
        }
        let text = circumstances(1).of_connecting(&alert(rustls::AlertDescription::BadCertificate));
        assert!(text.contains("this agent's certificate ended"), "{text}");
    }

    /// The alert is often lost: the hub closes, and the next write finds a broken pipe.
    #[test]
    fn an_expired_certificate_is_named_even_when_the_alert_is_lost() {
        let broken = || Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        let text = circumstances(1).of_call(&broken());
        assert!(text.contains("this agent's certificate ended"), "{text}");
        let text = circumstances(FUTURE).of_call(&broken());
        assert!(!text.contains("ended"), "{text}");
    }

    #[test]
    fn a_wrong_hub_is_told_from_a_wrong_agent() {
        let untrusted = |error| std::io::Error::other(rustls::Error::InvalidCertificate(error));
        for (error, expected) in [
            (rustls::CertificateError::UnknownIssuer, "is not this profile's hub"),
            (rustls::CertificateError::Expired, "hub's own certificate"),
            (rustls::CertificateError::NotValidForName, "does not name the host"),
        ] {
            let text = circumstances(FUTURE).of_connecting(&untrusted(error));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn an_absent_hub_is_not_blamed_on_certificates() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let text = circumstances(FUTURE).of_connecting(&refused);
        assert_eq!(
            text,
            "cannot reach the hub at https://hub.test:7443: connection refused"
        );
    }
}
