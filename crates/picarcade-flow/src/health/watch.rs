//! The state of the second cache level's connection.

use std::time::Duration;

/// Reports whether the second cache level can be reached, from the state of its connection. Its
/// methods are called on every request and by probes, so they must not make a call.
pub trait RemoteWatch: Send + Sync + std::fmt::Debug {
    /// Returns whether the level can be reached.
    fn is_up(&self) -> bool;
    /// Returns how long its last probe took.
    fn latency(&self) -> Option<Duration>;
    /// Returns the kind of its last error, never its text.
    fn last_error(&self) -> Option<String>;
    /// Returns the cause of its last error as a sentence from a closed set.
    fn cause(&self) -> Option<&'static str> {
        None
    }
    /// Returns whether a backup serves in place of the primary.
    fn is_on_backup(&self) -> bool;
}
