//! Policy: who may see an indicator. A pure, total function; the decision is a proof, not a bool. [`Release`] can be made here
//! only, and everything that hands out an indicator hands out a `Release`, so no door can skip the decision.

use super::handling::{Handling, Tlp};
use super::id::MemberId;
use super::indicator::{Indicator, State};
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

impl<'a> Subject<'a> {
    /// What policy looks at in `indicator`, which stands at `state`.
    pub fn of(indicator: &'a Indicator, state: State) -> Subject<'a> {
        Subject {
            publisher: indicator.publisher,
            publisher_kind: indicator.publisher_kind,
            state,
            handling: &indicator.content.handling,
        }
    }
}

/// The proof that a viewer may see `body`. Its fields are private, so whoever did not ask policy has none:
///
/// ```compile_fail,E0451
/// use clearinghouse::domain::policy::Release;
///
/// let forged = Release { body: "indicator", own: true, exportable: true };
/// ```
///
/// Nor does a proof for one body become one for another:
///
/// ```compile_fail,E0616
/// # use clearinghouse::domain::policy::Release;
/// fn swap(mut release: Release<&'static str>) -> Release<&'static str> {
///     release.body = "another indicator";
///     release
/// }
/// ```
///
/// Policy is the one way:
///
/// ```
/// # use clearinghouse::domain::handling::{Audience, Handling, Tlp};
/// # use clearinghouse::domain::id::MemberId;
/// # use clearinghouse::domain::indicator::State;
/// # use clearinghouse::domain::member::{MemberKind, Standing, Viewer};
/// # use clearinghouse::domain::policy::{Subject, evaluate};
/// let (viewer, publisher) = ("018f2e5c-0000-7000-8000-000000000001", "018f2e5c-0000-7000-8000-000000000002");
/// let handling = Handling::new(Tlp::Green, Audience::default())?;
/// let viewer = Viewer {
///     member: viewer.parse::<MemberId>()?,
///     kind: MemberKind::Media,
///     standing: Standing::Active,
///     groups: vec![],
/// };
/// let subject = Subject {
///     publisher: publisher.parse::<MemberId>()?,
///     publisher_kind: MemberKind::Platform,
///     state: State::Active,
///     handling: &handling,
/// };
/// let release = evaluate(&viewer, &subject, "indicator").expect("TLP:GREEN is for all members");
/// assert_eq!(*release.body(), "indicator");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Release<B> {
    body: B,
    own: bool,
    exportable: bool,
}

impl<B> Release<B> {
    /// What may be seen.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// The same release of what is made of the body.
    pub fn map<C>(self, make: impl FnOnce(B) -> C) -> Release<C> {
        Release {
            body: make(self.body),
            own: self.own,
            exportable: self.exportable,
        }
    }

    /// Whether the viewer is the owner, who also sees the audience.
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Whether it may leave through TAXII, a console export or a bulk export: TLP:RED never does, not even to its owner, since
    /// what comes out there is passed on in one piece.
    pub fn is_exportable(&self) -> bool {
        self.exportable
    }
}

/// Releases `body`, which `subject` describes, to `viewer`; or gives nothing, which looks the same as "does not exist".
pub fn evaluate<B>(viewer: &Viewer, subject: &Subject<'_>, body: B) -> Option<Release<B>> {
    if viewer.standing != Standing::Active || subject.state == State::Erased {
        return None;
    }
    let own = viewer.member == subject.publisher;
    let exportable = subject.handling.tlp() != Tlp::Red;
    let may_see = own || (in_time_and_audience(viewer, subject) && government_lane(viewer, subject));
    may_see.then_some(Release { body, own, exportable })
}

/// Releases `body`, which holds what all of `subjects` describe: each as its owner sees it, where so said, or as others do. Nothing
/// where the viewer may not see one of them, or sees it in the other way. So what was made for one viewer is released to another whom
/// policy treats alike.
pub fn evaluate_all<'a, B>(
    viewer: &Viewer,
    subjects: impl IntoIterator<Item = (Subject<'a>, bool)>,
    body: B,
) -> Option<Release<B>> {
    if viewer.standing != Standing::Active {
        return None;
    }
    let (mut own, mut exportable) = (true, true);
    for (subject, as_owner) in subjects {
        let release = evaluate(viewer, &subject, ()).filter(|release| release.own == as_owner)?;
        own &= release.own;
        exportable &= release.exportable;
    }
    Some(Release { body, own, exportable })
}

fn in_time_and_audience(viewer: &Viewer, subject: &Subject<'_>) -> bool {
    match subject.state {
        State::Retracted | State::Expired | State::Erased => false,
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
