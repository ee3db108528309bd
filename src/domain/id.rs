//! Newtypes for everything that is counted or named: no bare integer or UUID crosses a room's door.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map($name)
            }
        }
    };
}

uuid_newtype! {
    /// A member organisation. UUIDv7, given by the hub at admission.
    MemberId
}
uuid_newtype! {
    /// A sharing group. UUIDv7, given by the hub at creation.
    GroupId
}
uuid_newtype! {
    /// One member's published opinion of an observable. UUIDv7, given by the hub at publication.
    IndicatorId
}
uuid_newtype! {
    /// A typed canonical value. UUIDv5 of `(kind, value)`, the same on every hub.
    ObservableId
}

impl ObservableId {
    /// Stands for what was erased, and is the id of nothing.
    pub const ERASED: ObservableId = ObservableId(Uuid::nil());
}

uuid_newtype! {
    /// A one-time right to enrol one agent. UUIDv7.
    InvitationId
}
uuid_newtype! {
    /// A change of membership that waits for a second admin. UUIDv7.
    ChangeId
}

/// The position of an entry in the log, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of the hub: from a start to the next one that follows in the log. Random, so that two hubs which went on from one backup
/// are told apart. The default stands for all that was before runs were written down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RunId(pub u64);

/// Microseconds since 1970-01-01T00:00:00Z, UTC, leap seconds ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `seconds` after this one (before it, if negative), held at the ends of the range.
    pub fn plus_secs(self, seconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}
