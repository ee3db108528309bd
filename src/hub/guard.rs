//! The guard against a slip: taking back a large share of what a member shares must be meant. A real publisher once dropped 97 % of
//! a list by mistake. What was taken back within a window of log time counts as one, so that many small requests do not slip past.

use crate::domain::handling::Handling;
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::State;
use crate::domain::member::Standing;
use crate::domain::policy::{self, Subject};
use crate::domain::violation::Violation;

use super::error::HubError;
use super::recall::RecallRules;
use super::views::Views;
use super::views::indicators::RecordIndex;
use super::writing::Staged;

/// Refuses to take back `count` more of a member's indicators without a second confirmation, where that is a large share of what it
/// shares. What is accepted is counted, also for those who stage after.
pub(super) fn check_share(
    views: &Views,
    staged: &mut Staged,
    rules: &RecallRules,
    (member, now): (MemberId, Timestamp),
    count: usize,
    confirmed: bool,
) -> Result<(), HubError> {
    let window = now.plus_secs(-i64::from(rules.large_window_secs));
    let just_staged = staged.recalled.entry(member).or_default();
    let recent = views.recalls.count_after(member, window);
    let taken = recent.recalled + (*just_staged + count) as u64;
    // Those retracted in the window are no longer active, but they were shared when it began.
    let shared = views.indicators.active_of(member) + recent.retracted;
    let is_small = taken <= u64::from(rules.large_floor) || taken as f64 <= shared as f64 * rules.large_share;
    if !is_small && !confirmed {
        let reason = format!(
            "must be set: this makes {taken} of {shared} indicators taken back within {} seconds",
            rules.large_window_secs
        );
        return Err(Violation::new("confirm_large", reason).into());
    }
    *just_staged += count;
    Ok(())
}

/// Whether another handling would take an indicator from a member that sees it now.
pub(super) fn tightens(views: &Views, index: RecordIndex, handling: &Handling) -> bool {
    let version = views.indicators.record(index).current;
    let before = views.indicators.subject(version);
    let after = Subject {
        state: match handling.embargo {
            Some(_) => State::Embargoed,
            None => State::Active,
        },
        handling,
        ..before
    };
    let viewers = views.roster.members().map(|member| member.viewer());
    let mut others = viewers.filter(|viewer| viewer.member != before.publisher && viewer.standing == Standing::Active);
    others
        .any(|viewer| policy::evaluate(viewer, &before, ()).is_some() && policy::evaluate(viewer, &after, ()).is_none())
}
