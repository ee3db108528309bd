//! Policy: who may see an indicator. A pure, total function; the decision is a proof, not a bool. [`Release`] can be made here
//! only, and everything that hands out an indicator hands out a `Release`, so no door can skip the decision.

use super::handling::{Handling, Tlp};
use super::id::MemberId;
use super::indicator::State;
use super::member::{MemberKind, Standing, Viewer};

/// What policy looks at in an indicator.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its owner.
    pub publisher: MemberId,
    /// The owner's kind.
    pub publisher_kind: MemberKind,
    /// Where it stands in its life.
    pub state: State,
    /// What the owner stated.
    pub handling: &'a Handling,
}

/// The proof that a viewer may see `body`.
#[derive(Clone, Debug)]
pub struct Release<B> {
    body: B,
    own: bool,
}

impl<B> Release<B> {
    /// What may be seen.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// Whether the viewer is the owner, who also sees the audience.
    pub fn is_own(&self) -> bool {
        self.own
    }
}

/// Releases `body`, which `subject` describes, to `viewer`; or gives nothing, which looks the same as "does not exist".
pub fn evaluate<B>(viewer: &Viewer, subject: &Subject<'_>, body: B) -> Option<Release<B>> {
    if viewer.standing != Standing::Active {
        return None;
    }
    if viewer.member == subject.publisher {
        return Some(Release { body, own: true });
    }
    (in_time_and_audience(viewer, subject) && government_lane(viewer, subject)).then_some(Release { body, own: false })
}

fn in_time_and_audience(viewer: &Viewer, subject: &Subject<'_>) -> bool {
    match subject.state {
        State::Retracted | State::Expired => false,
        // The embargo's own list stands for the audience until it ends.
        State::Embargoed => {
            let embargo = subject.handling.embargo.as_ref();
            embargo.is_some_and(|embargo| embargo.members().binary_search(&viewer.member).is_ok())
        }
        State::Active => in_audience(viewer, subject.handling),
    }
}

fn in_audience(viewer: &Viewer, handling: &Handling) -> bool {
    let audience = handling.audience();
    if audience.is_empty() {
        return matches!(handling.tlp(), Tlp::Clear | Tlp::Green);
    }
    let named = audience.members().binary_search(&viewer.member).is_ok();
    // RED never opens to a group, whatever the handling was built from.
    let by_group = handling.tlp() != Tlp::Red
        && audience
            .groups()
            .iter()
            .any(|group| viewer.groups.binary_search(group).is_ok());
    named || by_group
}

/// A government sees a non-government member's indicator only where it is CLEAR or was released to governments.
fn government_lane(viewer: &Viewer, subject: &Subject<'_>) -> bool {
    viewer.kind != MemberKind::Government
        || subject.publisher_kind == MemberKind::Government
        || subject.handling.tlp() == Tlp::Clear
        || subject.handling.government_release
}
