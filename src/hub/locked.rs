//! The lock around the views. Everybody waits for it, so nothing is read from the disk while it is held: where assertions are on, as in
//! all tests, whoever is about to wait for the disk says so here, and is stopped if its thread holds the lock.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::views::Views;

thread_local! {
    /// Guards on this thread.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// The views behind their lock.
pub(super) struct LockedViews(RwLock<Views>);

impl LockedViews {
    pub fn new(views: Views) -> LockedViews {
        LockedViews(RwLock::new(views))
    }

    /// The views to be read.
    pub fn read(&self) -> Held<RwLockReadGuard<'_, Views>> {
        // A fold that panicked half-way must not be read: the process ends rather than answer from it.
        Held::new(self.0.read().unwrap_or_else(|_| std::process::abort()))
    }

    /// The views to be changed.
    pub fn write(&self) -> Held<RwLockWriteGuard<'_, Views>> {
        Held::new(self.0.write().unwrap_or_else(|_| std::process::abort()))
    }
}

/// Whoever calls this waits for the disk next.
pub(super) fn about_to_wait() {
    debug_assert!(
        HELD.get() == 0,
        "the disk is waited for while the views are locked: everybody would wait"
    );
}

/// The lock, while it is held.
pub(super) struct Held<Guard>(Guard);

impl<Guard> Held<Guard> {
    fn new(guard: Guard) -> Held<Guard> {
        if cfg!(debug_assertions) {
            HELD.set(HELD.get() + 1);
        }
        Held(guard)
    }
}

impl<Guard> Drop for Held<Guard> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            HELD.set(HELD.get() - 1);
        }
    }
}

impl<Guard: Deref<Target = Views>> Deref for Held<Guard> {
    type Target = Views;

    fn deref(&self) -> &Views {
        &self.0
    }
}

impl<Guard: DerefMut<Target = Views>> DerefMut for Held<Guard> {
    fn deref_mut(&mut self) -> &mut Views {
        &mut self.0
    }
}
