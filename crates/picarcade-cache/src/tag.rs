//! Tags, which mark values that are removed together.

/// The name of a tag as 64 bits of its BLAKE3 hash. Two names that collide are invalidated
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(u64);

impl Tag {
    /// Returns the tag with this name.
    pub fn new(name: &str) -> Self {
        let hash = blake3::hash(name.as_bytes());
        Self(hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    /// Returns the number that stands for the tag in the second level.
    pub fn id(self) -> u64 {
        self.0
    }

    /// Returns the tag of a number from the second level.
    pub fn from_id(id: u64) -> Self {
        Self(id)
    }
}
