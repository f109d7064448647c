//! The reasons why an answer cannot be used.

/// Why an answer cannot be used. The local classifier answers instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unusable {
    /// It is not JSON, or not the object that was asked for.
    Malformed,
    /// The type is none of the twelve.
    UnknownType,
    /// The AI refused.
    Refusal,
    /// The answer ends before it is complete.
    Truncated,
    /// There is no answer in the response.
    Missing,
    /// The response is larger than an answer can be.
    TooLarge,
}

impl Unusable {
    /// A word for it, such as `malformed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown_type",
            Self::Refusal => "refusal",
            Self::Truncated => "truncated",
            Self::Missing => "missing",
            Self::TooLarge => "too_large",
        }
    }
}
