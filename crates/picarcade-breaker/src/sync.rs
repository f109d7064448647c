//! The primitives that the files with atomics of ours use. They import them from here by `super::sync`, so that the
//! model checker can compile the very same files against its own (see `races`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use parking_lot::Mutex;
