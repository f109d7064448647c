//! What the application knows about the media of a request.
//!
//! Facts are stated by the caller and never guessed from the words. "Make it blue" means an edit if
//! an image is open and a new picture otherwise, and no classifier can see the difference. Facts
//! and [`Goal`](crate::Goal) decide the prompt type. There are only sixteen combinations, so
//! everything that depends on them alone can be computed before the first request. Nothing here can
//! fail.

use serde::{Deserialize, Serialize};

/// Four yes-or-no statements about the media of a request.
///
/// Missing fields deserialize as `false`.
///
/// ```
/// use picarcade_intent::Facts;
///
/// let facts = Facts { active_image: true, ..Facts::default() };
/// assert!(!facts.references());
/// assert_eq!(facts.bits(), 0b0001);
/// assert_eq!(Facts::all().count(), 16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(description = "Four yes-or-no statements about the media of a request.")
)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, named as on the wire")]
pub struct Facts {
    /// A working image is open.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub active_image: bool,
    /// A working video is open.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub active_video: bool,
    /// The user uploaded one or more images with this request.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub uploaded_image: bool,
    /// The prompt names stored references (`@blonde_hair`) or found images.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub referenced_image: bool,
}

impl Facts {
    /// The number of different facts: the exclusive upper bound of [`bits`](Self::bits).
    pub const COUNT: usize = 16;

    /// Returns whether there is any reference image: an upload or a stored reference.
    pub const fn references(self) -> bool {
        self.uploaded_image || self.referenced_image
    }

    /// Returns the facts as four bits, in `0..16`: bit 0 is `active_image`, bit 1 `active_video`,
    /// bit 2 `uploaded_image` and bit 3 `referenced_image`.
    pub const fn bits(self) -> u8 {
        self.active_image as u8
            | (self.active_video as u8) << 1
            | (self.uploaded_image as u8) << 2
            | (self.referenced_image as u8) << 3
    }

    /// Returns the facts for a value of [`bits`](Self::bits); higher bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        Self {
            active_image: bits & 1 != 0,
            active_video: bits & 2 != 0,
            uploaded_image: bits & 4 != 0,
            referenced_image: bits & 8 != 0,
        }
    }

    /// Returns all sixteen combinations, in the order of [`bits`](Self::bits).
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_number_every_combination_once() {
        for (expected, facts) in Facts::all().enumerate() {
            assert_eq!(usize::from(facts.bits()), expected);
            assert_eq!(Facts::from_bits(facts.bits()), facts);
        }
    }

    #[test]
    fn missing_fields_are_false() {
        let facts: Facts = serde_json::from_str(r#"{"active_video": true}"#).unwrap();
        assert_eq!(facts, Facts { active_video: true, ..Facts::default() });
    }
}
