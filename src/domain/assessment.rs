//! Assessments: other members' reactions to an indicator.

use super::id::{IndicatorId, MemberId, Timestamp};
use super::indicator::{Code, Text};
use super::member::{MemberKind, Standing, Viewer};
use super::violation::Violation;

/// What a member holds of somebody else's indicator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AssessmentVerdict {
    /// Holds it to be right.
    Confirms,
    /// Holds it to be wrong: it is contested, which is not a retraction.
    Disputes,
    /// Took measures on its own platform.
    Acted,
    /// Published a fact check.
    Checked,
}

impl AssessmentVerdict {
    /// All verdicts, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [AssessmentVerdict; 4] = [
        AssessmentVerdict::Confirms,
        AssessmentVerdict::Disputes,
        AssessmentVerdict::Acted,
        AssessmentVerdict::Checked,
    ];

    /// The lower-case word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            AssessmentVerdict::Confirms => "confirms",
            AssessmentVerdict::Disputes => "disputes",
            AssessmentVerdict::Acted => "acted",
            AssessmentVerdict::Checked => "checked",
        }
    }
}

/// A published fact check, as in schema.org's ClaimReview.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimReview {
    url: Text<2048>,
    rating: Text<200>,
    language: Code,
    claim: Text<1000>,
}

impl ClaimReview {
    /// Checks the parts: a web address, a rating, a language; the claim may be empty.
    pub fn new(url: &str, rating: &str, language: &str, claim: &str) -> Result<ClaimReview, Violation> {
        let web = ["https://", "http://"]
            .iter()
            .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !web || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Violation::new(
                "url",
                "must be an http or https address without white space",
            ));
        }
        if rating.trim().is_empty() {
            return Err(Violation::new("rating", "must not be empty"));
        }
        Ok(ClaimReview {
            url: Text::parse("url", url)?,
            rating: Text::parse("rating", rating)?,
            language: Code::language("language", language)?,
            claim: Text::parse("claim", claim)?,
        })
    }

    /// Where the check is published.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// In the checker's words.
    pub fn rating(&self) -> &str {
        self.rating.as_str()
    }

    /// Of the check.
    pub fn language(&self) -> Code {
        self.language
    }

    /// What was checked; may be empty.
    pub fn claim(&self) -> &str {
        self.claim.as_str()
    }
}

/// One member's reaction to an indicator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assessment {
    /// What it speaks of.
    pub indicator: IndicatorId,
    /// Who assesses.
    pub member: MemberId,
    /// What kind of organisation that is.
    pub member_kind: MemberKind,
    /// What it holds.
    pub verdict: AssessmentVerdict,
    /// Whether it saw the activity itself.
    pub independent: bool,
    /// Free text.
    pub note: Text<4096>,
    /// Given exactly where the verdict is `Checked`.
    pub claim_review: Option<ClaimReview>,
    /// Whether government members may see it.
    pub government_release: bool,
    /// When the hub accepted it.
    pub made_at: Timestamp,
}

impl Assessment {
    /// Checks what its fields must hold together.
    pub fn check(&self) -> Result<(), Violation> {
        match (self.verdict, &self.claim_review) {
            (AssessmentVerdict::Checked, None) => Err(Violation::new("claim_review", "must be given for a fact check")),
            (AssessmentVerdict::Checked, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(Violation::new("claim_review", "is for the verdict CHECKED only")),
        }
    }

    /// Whether `viewer`, who sees the indicator, sees this assessment too: a government member sees no other member's assessment
    /// without that member's consent on this item, unless that member is a government itself.
    pub fn is_visible_to(&self, viewer: &Viewer) -> bool {
        viewer.standing == Standing::Active
            && (viewer.member == self.member
                || viewer.kind != MemberKind::Government
                || self.member_kind == MemberKind::Government
                || self.government_release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn assessment(verdict: AssessmentVerdict, kind: MemberKind, released: bool) -> Assessment {
        Assessment {
            indicator: IndicatorId(Uuid::from_u128(1)),
            member: MemberId(Uuid::from_u128(2)),
            member_kind: kind,
            verdict,
            independent: false,
            note: Text::default(),
            claim_review: None,
            government_release: released,
            made_at: Timestamp(0),
        }
    }

    #[test]
    fn government_sees_an_assessment_by_consent_only() {
        let viewer = |kind| Viewer {
            member: MemberId(Uuid::from_u128(9)),
            kind,
            standing: Standing::Active,
            groups: Vec::new(),
        };
        use MemberKind::{Government, Media, Platform, Research};
        for (author, released, reader, visible) in [
            (Platform, false, Government, false),
            (Platform, true, Government, true),
            (Research, false, Government, false),
            (Media, true, Government, true),
            (Government, false, Government, true),
            (Platform, false, Platform, true),
            (Government, false, Platform, true),
        ] {
            let assessment = assessment(AssessmentVerdict::Acted, author, released);
            assert_eq!(
                assessment.is_visible_to(&viewer(reader)),
                visible,
                "{author:?} {released} {reader:?}"
            );
        }
    }

    #[test]
    fn fact_check_carries_its_review_and_nothing_else_does() {
        let review = ClaimReview::new("https://check.example.org/1", "False", "en", "").unwrap();
        for verdict in AssessmentVerdict::ALL {
            let without = assessment(verdict, MemberKind::Media, false);
            let with = Assessment {
                claim_review: Some(review.clone()),
                ..without.clone()
            };
            assert_eq!(without.check().is_ok(), verdict != AssessmentVerdict::Checked);
            assert_eq!(with.check().is_ok(), verdict == AssessmentVerdict::Checked);
        }
    }

    #[test]
    fn review_needs_a_web_address_a_rating_and_a_language() {
        assert!(ClaimReview::new("https://a.example/x", "Mostly false", "de", "claim").is_ok());
        for (url, rating, language) in [
            ("javascript:alert(1)", "False", "en"),
            ("https://", "False", "en"),
            ("https://a.example/ x", "False", "en"),
            ("https://a.example/x", " ", "en"),
            ("https://a.example/x", "False", "english"),
        ] {
            assert!(
                ClaimReview::new(url, rating, language, "").is_err(),
                "{url} {rating:?} {language}"
            );
        }
    }
}
