//! Cursors: where a subscriber stands in a feed, sealed. A cursor shows nothing of the log's positions (all have the same length
//! and look random), cannot be forged, and opens only for the member and the filter that it was made for.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;

use crate::domain::id::{MemberId, RunId};

use super::digest::Digest;

/// Length of the sealing key, in bytes.
pub const KEY_LEN: usize = 32;

/// First byte of the plain text; another layout takes another number. Version 1 knew passes of one phase only; it is still read,
/// and its pass goes on as it began. Version 2 named no run of the hub.
const VERSION: u8 = 3;
const VERSION_WITHOUT_RUN: u8 = 2;
const VERSION_OF_ONE_PHASE: u8 = 1;

/// Plain text: version, three ordinals of 4 bytes, a digest of 24 bytes, a byte of flags, and the run.
const PLAIN_LEN_WITHOUT_RUN: usize = 1 + 3 * 4 + 24 + 1;
const PLAIN_LEN: usize = PLAIN_LEN_WITHOUT_RUN + 8;

/// Flags of the last byte.
const AGAIN: u8 = 1;
const OWED: u8 = 2;
const UPSERTS: u8 = 4;
const BOTH: u8 = 8;

/// What a pass sends at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// What is no longer visible at `goal`.
    #[default]
    Removals,
    /// What is visible at `goal`; all removals are sent.
    Upserts,
    /// Either, as it comes.
    Both,
}

/// Where a feed stands. See `feed` for what the three ordinals mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Position {
    /// The mirror equals what was visible at this ordinal, but for what the present pass has already sent.
    pub base: u32,
    /// The present phase of the pass has dealt with the touches before this one.
    pub scanned: u32,
    /// The present pass ends here.
    pub goal: u32,
    /// The digest of what was visible at `base`, with what the touches before `scanned` have changed in it up to `goal`.
    pub digest: Digest,
    /// The present pass also sends what was visible at `base` and is: the pass before left some of it out.
    pub again: bool,
    /// The present pass left out what the member lost the right to for a while: the next one sends everything again.
    pub owed: bool,
    /// What the pass sends at present.
    pub phase: Phase,
    /// The run of the hub that `goal` belongs to. Where the log names another for it, the position is one of a continuation that
    /// was lost, as after a restore, and means nothing here.
    pub run: RunId,
}

impl Position {
    /// Whether no pass is under way.
    pub fn is_settled(&self) -> bool {
        self.base == self.goal && self.scanned == self.goal
    }

    /// All removals of changes before this ordinal have been applied by whoever has applied the cursor: what it holds was visible
    /// then, but for what a later batch brought.
    pub fn proven(&self) -> u32 {
        match self.phase {
            Phase::Upserts => self.goal,
            Phase::Removals | Phase::Both => self.base,
        }
    }
}

/// What a cursor is bound to, besides the hub's key.
#[derive(Clone, Copy)]
pub(super) struct Binding([u8; 48]);

impl Binding {
    /// Binds to a member and to a filter's canonical bytes (with a word before them that says what they are).
    pub fn new(member: MemberId, filter: &[u8]) -> Binding {
        let mut bound = [0; 48];
        bound[..16].copy_from_slice(member.0.as_bytes());
        bound[16..].copy_from_slice(digest(&SHA256, filter).as_ref());
        Binding(bound)
    }
}

/// Seals and opens cursors.
pub(super) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Sealer {
    /// From the hub's secret.
    pub fn new(key: &[u8; KEY_LEN]) -> Sealer {
        // A key of the algorithm's own length is always accepted.
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the length of AES-256");
        Sealer {
            key: LessSafeKey::new(key),
            random: SystemRandom::new(),
        }
    }

    /// The cursor at `position`.
    pub fn seal(&self, position: &Position, binding: &Binding) -> Bytes {
        let mut sealed = Vec::with_capacity(NONCE_LEN + PLAIN_LEN + AES_256_GCM.tag_len());
        let mut nonce = [0; NONCE_LEN];
        // The system's randomness does not fail once it has been seeded.
        self.random.fill(&mut nonce).expect("the system gives random bytes");
        let mut text = encode(position);
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce_value, Aad::from(binding.0), &mut text)
            // Only a text of many gigabytes could fail.
            .expect("a short text can be sealed");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed.into()
    }

    /// The position in a cursor; none if it is not one of ours for this binding.
    pub fn open(&self, cursor: &[u8], binding: &Binding) -> Option<Position> {
        let (nonce, text) = cursor.split_at_checked(NONCE_LEN)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(binding.0), &mut text).ok()?;
        decode(plain)
    }
}

fn encode(position: &Position) -> Vec<u8> {
    let Position {
        base,
        scanned,
        goal,
        digest,
        again,
        owed,
        phase,
        run,
    } = position;
    let mut plain = Vec::with_capacity(PLAIN_LEN + AES_256_GCM.tag_len());
    plain.push(VERSION);
    for ordinal in [base, scanned, goal] {
        plain.extend_from_slice(&ordinal.to_be_bytes());
    }
    plain.extend_from_slice(&digest.count.to_be_bytes());
    plain.extend_from_slice(&digest.sum.to_be_bytes());
    let phase = match phase {
        Phase::Removals => 0,
        Phase::Upserts => UPSERTS,
        Phase::Both => BOTH,
    };
    plain.push((u8::from(*again) * AGAIN) | (u8::from(*owed) * OWED) | phase);
    plain.extend_from_slice(&run.0.to_be_bytes());
    plain
}

fn decode(plain: &[u8]) -> Option<Position> {
    let (version, rest) = plain.split_first()?;
    let run = match (*version, plain.len()) {
        (VERSION, PLAIN_LEN) => RunId(u64::from_be_bytes(rest.get(37..45)?.try_into().ok()?)),
        (VERSION_WITHOUT_RUN | VERSION_OF_ONE_PHASE, PLAIN_LEN_WITHOUT_RUN) => RunId::default(),
        _ => return None,
    };
    let ordinal = |place: usize| Some(u32::from_be_bytes(rest.get(place * 4..place * 4 + 4)?.try_into().ok()?));
    let (count, sum, flags) = (rest.get(12..20)?, rest.get(20..36)?, rest.get(36)?);
    let phase = match (*version, flags & (UPSERTS | BOTH)) {
        (VERSION_OF_ONE_PHASE, 0) => Phase::Both,
        (VERSION_OF_ONE_PHASE, _) => return None,
        (_, BOTH) => Phase::Both,
        (_, 0) => Phase::Removals,
        (_, UPSERTS) => Phase::Upserts,
        _ => return None,
    };
    Some(Position {
        base: ordinal(0)?,
        scanned: ordinal(1)?,
        goal: ordinal(2)?,
        digest: Digest {
            count: u64::from_be_bytes(count.try_into().ok()?),
            sum: u128::from_be_bytes(sum.try_into().ok()?),
        },
        again: flags & AGAIN != 0,
        owed: flags & OWED != 0,
        phase,
        run,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            base: 1,
            scanned: 2,
            goal: u32::MAX,
            digest: Digest {
                count: 3,
                sum: u128::MAX - 1,
            },
            again: false,
            owed: true,
            phase: Phase::Upserts,
            run: RunId(0x0102_0304_0506_0708),
        }
    }

    #[test]
    fn positions_of_every_phase_come_back_and_so_do_those_of_older_versions() {
        for phase in [Phase::Removals, Phase::Upserts, Phase::Both] {
            let position = Position { phase, ..position() };
            assert_eq!(decode(&encode(&position)), Some(position));
        }
        // Golden: version, base, scanned, goal, count, sum, flags.
        let mut old = vec![
            1, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 3,
        ];
        old.extend([0xff; 15]);
        old.extend([0xfe, 2]);
        let expected = Position {
            phase: Phase::Both,
            run: RunId::default(),
            ..position()
        };
        assert_eq!(decode(&old), Some(expected));
        (old[0], old[37]) = (2, 2 | UPSERTS);
        let expected = Position {
            phase: Phase::Upserts,
            ..expected
        };
        assert_eq!(decode(&old), Some(expected));
        old[0] = 3;
        assert_eq!(decode(&old), None, "this version is longer");
        old.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(decode(&old), Some(position()));
        old[0] = 4;
        assert_eq!(decode(&old), None, "of a version that is not known");
    }

    #[test]
    fn removals_are_proven_once_upserts_begin_and_not_before() {
        let proven = |phase| Position { phase, ..position() }.proven();
        assert_eq!(proven(Phase::Removals), 1);
        assert_eq!(proven(Phase::Both), 1);
        assert_eq!(proven(Phase::Upserts), u32::MAX);
    }

    fn member(n: u128) -> MemberId {
        MemberId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn sealed_cursor_opens_for_its_member_and_filter_only() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        let binding = Binding::new(member(1), b"filter");
        let cursor = sealer.seal(&position(), &binding);
        assert_eq!(sealer.open(&cursor, &binding), Some(position()));
        assert_eq!(sealer.open(&cursor, &Binding::new(member(2), b"filter")), None);
        assert_eq!(sealer.open(&cursor, &Binding::new(member(1), b"other")), None);
        assert_eq!(Sealer::new(&[8; KEY_LEN]).open(&cursor, &binding), None);
    }

    #[test]
    fn every_altered_or_cut_cursor_is_refused() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        let binding = Binding::new(member(1), b"");
        let cursor = sealer.seal(&position(), &binding);
        for place in 0..cursor.len() {
            let mut altered = cursor.to_vec();
            altered[place] ^= 1;
            assert_eq!(sealer.open(&altered, &binding), None, "byte {place}");
            assert_eq!(sealer.open(&cursor[..place], &binding), None, "cut at {place}");
        }
    }

    #[test]
    fn cursors_of_all_positions_have_one_length_and_never_repeat() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        let binding = Binding::new(member(1), b"");
        let (a, b) = (sealer.seal(&position(), &binding), sealer.seal(&position(), &binding));
        let start = sealer.seal(&Position::default(), &binding);
        assert_ne!(a, b);
        assert_eq!(a.len(), start.len());
    }
}
