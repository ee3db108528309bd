//! How long a certificate stands. Certificates count whole seconds up to the year 9999; this file brings the hub's
//! microseconds into that form and refuses what does not fit, so that the encoder below is never given a date that it
//! would panic on.

use std::time::Duration;

use rcgen::{CertificateParams, date_time_ymd};

use crate::domain::id::Timestamp;

/// Certificates begin this long before they were made, so that a peer whose clock runs a little behind accepts them.
pub const CLOCK_SKEW_SECS: i64 = 300;

/// No certificate but the authority's own lives longer than this: 398 days, the ceiling that TLS clients commonly set.
pub const LIFETIME_MAX_SECS: u32 = 398 * 86_400;

/// 9999-12-31T23:59:59Z: the last moment a certificate can name (RFC 5280, 4.1.2.5).
const LAST_SECOND: i64 = 253_402_300_799;

/// The span in which a certificate is valid, both ends included, in whole seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    not_before_secs: u64,
    not_after_secs: u64,
}

impl Validity {
    /// From shortly before `now` until `lifetime_secs` after it. `None` if no certificate could say so.
    pub(super) fn lasting(now: Timestamp, lifetime_secs: u32) -> Option<Validity> {
        let now_secs = now.0.div_euclid(1_000_000);
        let not_after = now_secs.checked_add(i64::from(lifetime_secs))?;
        if lifetime_secs == 0 || now_secs < 0 || not_after > LAST_SECOND {
            return None;
        }
        Some(Validity {
            not_before_secs: u64::try_from(now_secs.saturating_sub(CLOCK_SKEW_SECS)).unwrap_or(0),
            not_after_secs: u64::try_from(not_after).ok()?,
        })
    }

    /// The same span, but not past `end`: a certificate that outlives its authority would fail at a moment that
    /// nobody watches. `None` if it would have to begin after that.
    pub(super) fn ending_by(self, end: Timestamp) -> Option<Validity> {
        let end_secs = u64::try_from(end.0.div_euclid(1_000_000)).ok()?;
        (self.not_before_secs < end_secs).then_some(Validity {
            not_after_secs: self.not_after_secs.min(end_secs),
            ..self
        })
    }

    pub(super) fn not_before(self) -> Timestamp {
        timestamp(self.not_before_secs)
    }

    pub(super) fn not_after(self) -> Timestamp {
        timestamp(self.not_after_secs)
    }

    pub(super) fn write(self, params: &mut CertificateParams) {
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(self.not_before_secs);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(self.not_after_secs);
    }
}

/// Both ends lie between 0 and [`LAST_SECOND`], so the microseconds fit an `i64` by a factor of thirty.
fn timestamp(secs: u64) -> Timestamp {
    Timestamp(i64::try_from(secs).unwrap_or(LAST_SECOND).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_999_999);

    #[test]
    fn seconds_are_whole_and_the_start_allows_for_slow_clocks() {
        let validity = Validity::lasting(NOW, 60).unwrap();
        assert_eq!(validity.not_before(), Timestamp((1_700_000_000 - 300) * 1_000_000));
        assert_eq!(validity.not_after(), Timestamp(1_700_000_060 * 1_000_000));
    }

    #[test]
    fn dates_that_no_certificate_can_name_are_refused() {
        for now in [i64::MIN, -1, i64::MAX, LAST_SECOND * 1_000_000] {
            assert_eq!(Validity::lasting(Timestamp(now), 60), None, "{now}");
        }
        assert_eq!(Validity::lasting(NOW, 0), None);
        assert!(Validity::lasting(Timestamp(0), 1).is_some());
        assert!(Validity::lasting(Timestamp((LAST_SECOND - 1) * 1_000_000), 1).is_some());
    }

    #[test]
    fn nothing_outlives_its_authority() {
        let validity = Validity::lasting(NOW, 1_000).unwrap();
        assert_eq!(validity.ending_by(NOW.plus_secs(2_000)), Some(validity));
        assert_eq!(
            validity.ending_by(NOW.plus_secs(10)).unwrap().not_after(),
            Timestamp(1_700_000_010 * 1_000_000)
        );
        assert_eq!(validity.ending_by(NOW.plus_secs(-CLOCK_SKEW_SECS)), None);
    }
}
