//! The synchronization primitives of the files with atomics. These files import them by
//! `super::sync`, so that the model checker can compile the same files with its own primitives (see
//! `races`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::Mutex;
