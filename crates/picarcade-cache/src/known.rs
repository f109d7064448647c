//! What the cache knows of a key, from the lookup to the end of a load.

use crate::entry::Entry;

/// The knowledge about a key with which a load begins.
pub(crate) enum Known<V> {
    /// A value that answers without a load. A load only refreshes it ahead of time.
    Fresh(Entry<V>),
    /// A value that answers only if a load fails or takes long.
    Stale(Entry<V>),
    /// A value that may have been invalidated. It answers only if the second level confirms it.
    Unverified(Entry<V>),
    /// No value.
    Nothing,
}

impl<V> Known<V> {
    /// Returns the value for a caller whose load fails or takes long.
    pub(crate) fn fallback(&self) -> Option<Entry<V>> {
        match self {
            Self::Stale(entry) => Some(entry.clone()),
            Self::Fresh(_) | Self::Unverified(_) | Self::Nothing => None,
        }
    }
}
