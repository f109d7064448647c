//! The invalidation of many values at once, without a search.
//!
//! An invalidation of a tag or of the whole cache searches nothing. Instead, the cache counts its
//! invalidations. Every value stores the count when its load began, and every invalidated tag
//! stores the count of its invalidation. A value is valid if none of its tags was invalidated after
//! its load began. The same rule covers a load that is under way during an invalidation and a value
//! from before it.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::RwLock;

use crate::{key::KeyHash, tag::Tag};

/// The maximum number of tags. Beyond it, all earlier values with tags count as invalidated.
const MAX_TAGS: usize = 65_536;

/// The invalidations of one cache.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    count: AtomicU64,
    /// Values born before this are invalid.
    cleared: AtomicU64,
    /// Values born before this must be verified with the second level.
    suspect: AtomicU64,
    /// The last invalidation of a tag. Values born after it need no lookup in the map.
    last_tag: AtomicU64,
    tags: RwLock<Tags>,
}

#[derive(Debug, Default)]
struct Tags {
    invalidated: HashMap<Tag, u64, KeyHash>,
    /// Values with tags born before this are invalid, because the map was full.
    floor: u64,
}

/// The verdict about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// An invalidation may have been missed: verify the value with the second level.
    Suspect,
    Invalidated,
}

impl Invalidations {
    /// Returns the current count. Call it before the load of a value begins.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn standing(&self, born: u64, tags: Option<&[Tag]>) -> Standing {
        if born < self.cleared.load(Ordering::Acquire) {
            return Standing::Invalidated;
        }
        if let Some(tags) = tags
            && born < self.last_tag.load(Ordering::Acquire)
        {
            let table = self.tags.read();
            let hit = |tag: &Tag| table.invalidated.get(tag).is_some_and(|at| born < *at);
            if born < table.floor || tags.iter().any(hit) {
                return Standing::Invalidated;
            }
        }
        if born < self.suspect.load(Ordering::Acquire) { Standing::Suspect } else { Standing::Good }
    }

    /// Invalidates all values so far.
    pub(crate) fn clear(&self) {
        self.raise(&self.cleared);
    }

    /// Requires verification of all values so far.
    pub(crate) fn suspect(&self) {
        self.raise(&self.suspect);
    }

    /// Invalidates all values so far with this tag.
    pub(crate) fn invalidate(&self, tag: Tag) {
        let mut table = self.tags.write();
        let at = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if table.invalidated.len() >= MAX_TAGS && !table.invalidated.contains_key(&tag) {
            table.invalidated = HashMap::default();
            table.floor = at;
        }
        table.invalidated.insert(tag, at);
        self.last_tag.fetch_max(at, Ordering::AcqRel);
    }

    fn raise(&self, bound: &AtomicU64) {
        let at = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        bound.fetch_max(at, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{Invalidations, Standing};
    use crate::tag::Tag;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Store(Vec<u8>),
        Invalidate(u8),
        Clear,
        Suspect,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => proptest::collection::vec(0_u8..6, 0..4).prop_map(Step::Store),
            4 => (0_u8..6).prop_map(Step::Invalidate),
            1 => Just(Step::Clear),
            1 => Just(Step::Suspect),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// Compares with a model that visits all values at every invalidation.
        #[test]
        fn agrees_with_a_model_that_visits_all_values(steps in steps()) {
            let invalidations = Invalidations::default();
            let tag = |n: u8| Tag::new(&n.to_string());
            let mut values: Vec<(u64, Vec<u8>, Standing)> = Vec::new();
            for step in steps {
                match step {
                    Step::Store(tags) => values.push((invalidations.count(), tags, Standing::Good)),
                    Step::Invalidate(n) => {
                        invalidations.invalidate(tag(n));
                        for (_, tags, standing) in &mut values {
                            if tags.contains(&n) { *standing = Standing::Invalidated; }
                        }
                    }
                    Step::Clear => {
                        invalidations.clear();
                        for (_, _, standing) in &mut values { *standing = Standing::Invalidated; }
                    }
                    Step::Suspect => {
                        invalidations.suspect();
                        for (_, _, standing) in &mut values {
                            if *standing == Standing::Good { *standing = Standing::Suspect; }
                        }
                    }
                }
                for (born, tags, standing) in &values {
                    let tags: Vec<Tag> = tags.iter().map(|n| tag(*n)).collect();
                    let tags = (!tags.is_empty()).then_some(tags.as_slice());
                    prop_assert_eq!(invalidations.standing(*born, tags), *standing);
                }
            }
        }
    }

    #[test]
    fn a_full_table_invalidates_more_instead_of_growing() {
        let invalidations = Invalidations::default();
        let born = invalidations.count();
        for n in 0..=super::MAX_TAGS as u64 {
            invalidations.invalidate(Tag::from_id(n));
        }
        assert_eq!(invalidations.standing(born, Some(&[Tag::from_id(0)])), Standing::Invalidated);
        assert_eq!(invalidations.standing(born, None), Standing::Good);
        assert!(invalidations.tags.read().invalidated.len() <= super::MAX_TAGS);
    }
}
