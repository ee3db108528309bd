//! Clocks that a test sets. The hub takes its clock as a plain function, so each clock is a numbered slot with a function of its
//! own; tests that run side by side do not move each other's time.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use clearinghouse::domain::id::Timestamp;

/// Most clocks at once in one test program.
const CLOCKS_MAX: usize = 16;

static TIMES: [AtomicI64; CLOCKS_MAX] = [const { AtomicI64::new(0) }; CLOCKS_MAX];
static TAKEN: [AtomicBool; CLOCKS_MAX] = [const { AtomicBool::new(false) }; CLOCKS_MAX];

/// A clock that stands still unless told.
pub struct Clock {
    slot: usize,
}

impl Clock {
    /// Where every clock starts: 2026-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp(1_767_225_600_000_000);

    /// Takes a free slot.
    pub fn new() -> Clock {
        let slot = TAKEN.iter().position(|taken| !taken.swap(true, Ordering::AcqRel));
        let slot = slot.expect("fewer than 16 hubs at once");
        TIMES[slot].store(Clock::START.0, Ordering::Release);
        Clock { slot }
    }

    pub fn now(&self) -> Timestamp {
        self.function()()
    }

    pub fn pass_secs(&self, seconds: i64) {
        TIMES[self.slot].fetch_add(seconds * 1_000_000, Ordering::AcqRel);
    }

    /// What the hub is given.
    pub fn function(&self) -> fn() -> Timestamp {
        FUNCTIONS[self.slot]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        TAKEN[self.slot].store(false, Ordering::Release);
    }
}

fn read<const SLOT: usize>() -> Timestamp {
    Timestamp(TIMES[SLOT].load(Ordering::Acquire))
}

const FUNCTIONS: [fn() -> Timestamp; CLOCKS_MAX] = [
    read::<0>, read::<1>, read::<2>, read::<3>, read::<4>, read::<5>, read::<6>, read::<7>, read::<8>, read::<9>,
    read::<10>, read::<11>, read::<12>, read::<13>, read::<14>, read::<15>,
];
