//! Text as both databases take it.

use std::borrow::Cow;

/// The text without NUL characters: PostgreSQL cannot store them, and no user means them.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nul_goes() {
        assert!(matches!(clean("a\u{1}\u{feff}é"), Cow::Borrowed("a\u{1}\u{feff}é")));
        assert_eq!(clean("\0a\0\0b\0"), "ab");
    }
}
