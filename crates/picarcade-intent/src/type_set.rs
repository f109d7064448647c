//! A set of prompt types in two bytes.
//!
//! Every request needs its feasible types, so the set is a plain number: copying, comparing and
//! membership cost nothing.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::prompt_type::PromptType;

/// A set of [`PromptType`]s. It iterates in declaration order and serializes as a list of names.
///
/// ```
/// use picarcade_intent::{PromptType, TypeSet};
///
/// let set: TypeSet = [PromptType::NewVideo, PromptType::NewImage].into_iter().collect();
/// assert_eq!(set.len(), 2);
/// assert!(set.contains(PromptType::NewImage));
/// assert_eq!(set.single(), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TypeSet(u16);

impl TypeSet {
    /// The set of all twelve.
    pub const ALL: Self = Self((1 << PromptType::COUNT) - 1);

    /// Adds a type.
    pub const fn insert(&mut self, prompt_type: PromptType) {
        self.0 |= 1 << prompt_type as u16;
    }

    /// Returns whether a type is in the set.
    pub const fn contains(self, prompt_type: PromptType) -> bool {
        self.0 & (1 << prompt_type as u16) != 0
    }

    /// Returns the number of types in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the only type in the set, if there is exactly one.
    pub fn single(self) -> Option<PromptType> {
        let mut types = self.iter();
        types.next().filter(|_| types.next().is_none())
    }

    /// Returns the types in the set, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = PromptType> {
        PromptType::ALL.into_iter().filter(move |&prompt_type| self.contains(prompt_type))
    }
}

impl FromIterator<PromptType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = PromptType>>(types: I) -> Self {
        let mut set = Self::default();
        types.into_iter().for_each(|prompt_type| set.insert(prompt_type));
        set
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for TypeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_set(types in proptest::collection::vec(0..PromptType::COUNT, 0..20)) {
            let types: Vec<PromptType> = types.into_iter().map(|index| PromptType::ALL[index]).collect();
            let model: BTreeSet<PromptType> = types.iter().copied().collect();
            let set: TypeSet = types.into_iter().collect();
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(set.single(), if model.len() == 1 { model.first().copied() } else { None });
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(serde_json::to_value(set).unwrap(), serde_json::to_value(&model).unwrap());
        }
    }
}
