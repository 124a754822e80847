//! What threads share: the lock of a stripe or mailbox, and the atomics of waiters and watchers.
//!
//! Ordinary builds have `parking_lot`'s lock and the standard library's atomics under these names.
//! With `--cfg shuttle` (`cargo xtask interleavings`) they are shuttle's, behind the same
//! functions: it runs a test's threads one at a time and decides at every access who goes on, so
//! that thousands of interleavings are tried and any deadlock is seen.

#[cfg(not(shuttle))]
pub use parking_lot::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

#[cfg(shuttle)]
pub use explored::{AtomicBool, AtomicU32, AtomicU64, Mutex, MutexGuard};

#[cfg(shuttle)]
mod explored {
    pub use shuttle::sync::MutexGuard;
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

    /// `parking_lot`'s lock, as far as it is used: nothing is ever poisoned.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// An open lock.
        pub fn new(guarded: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(guarded))
        }

        /// Waits until the lock is open.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            // Invariant: a test ends at its first panic.
            self.0.lock().expect("no thread has panicked")
        }

        /// Takes the lock if it is open.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        /// Waits for the lock. There is no time under shuttle, so nobody's patience ends.
        pub fn try_lock_for(&self, _: std::time::Duration) -> Option<MutexGuard<'_, T>> {
            Some(self.lock())
        }
    }
}
