//! `@names` in a prompt.
//!
//! A tag is an `@` followed by letters, digits, `_` or `-`, if the `@` does not follow a letter or
//! a digit. `@blonde_hair` is a tag; the middle of `me@example.com` and a lone `@` are not.
//!
//! Languages without spaces put particles directly after a name and words directly before it. A
//! name that begins in another script therefore ends where Chinese, Japanese or Korean begins
//! (`@hatを` is `hat`), and letters of these scripts may stand directly before the `@`.
//!
//! Tags are compared as written. The facts decide whether a tag means a stored reference.
//!
//! Some names are reserved for media without a stored name: `@working_image`, `@working_video` and
//! `@reference_1` upwards.

use std::collections::HashSet;

use crate::language::scripts::{is_cjk, is_combining};

/// The name of the working image in an enhanced prompt.
pub(crate) const WORKING_IMAGE: &str = "working_image";

/// The name of the working video in an enhanced prompt.
pub(crate) const WORKING_VIDEO: &str = "working_video";

/// The prefix of the names of uploads; their number follows, from 1.
const REFERENCE: &str = "reference_";

/// Returns the names of all tags in a text without the `@`, in order and with repetitions.
pub(crate) fn all(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('@').filter_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        if before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && !is_cjk(c)) {
            return None;
        }
        let rest = text.get(at + 1..)?;
        let begins_cjk = rest.chars().next().is_some_and(is_cjk);
        let end = rest.find(|c| !is_name(c) || (!begins_cjk && is_cjk(c))).unwrap_or(rest.len());
        // A dash at the end belongs to the sentence: "like @anna - but older", "@anna-".
        let name = rest.get(..end)?.trim_end_matches('-');
        name.chars().any(char::is_alphanumeric).then_some(name)
    })
}

/// Returns the distinct names, in order of first appearance.
pub(crate) fn distinct(text: &str) -> Vec<&str> {
    let mut seen = HashSet::new();
    all(text).filter(|name| seen.insert(*name)).collect()
}

/// Returns whether a name is reserved for media without a stored name.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == WORKING_IMAGE || name == WORKING_VIDEO || reference_number(name).is_some()
}

/// Returns the number in `reference_1`, `reference_2`, …; `None` for any other name.
pub(crate) fn reference_number(name: &str) -> Option<usize> {
    let digits = name.strip_prefix(REFERENCE)?;
    let canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| canonical)
}

/// Returns the name of the upload with this number, from 1.
pub(crate) fn reference(number: usize) -> String {
    format!("{REFERENCE}{number}")
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-' || is_combining(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_are_found_where_people_write_them() {
        let cases: [(&str, &[&str]); 13] = [
            ("give her @blonde_hair", &["blonde_hair"]),
            ("@a, @b and @a.", &["a", "b"]),
            ("mail me@example.com", &[]),
            ("a lone @ sign, and @@twice", &["twice"]),
            ("(@anna) \"@bob\"!", &["anna", "bob"]),
            ("like @anna- but older", &["anna"]),
            ("@Анна и @東京", &["Анна", "東京"]),
            ("@हिंदी", &["हिंदी"]),
            ("@Anna @anna", &["Anna", "anna"]),
            ("@___ @--", &[]),
            ("着せて@hat_2を着た", &["hat_2"]),
            ("@모자 씌워줘 @hat을", &["모자", "hat"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(distinct(text), expected, "{text}");
        }
    }

    #[test]
    fn reserved_names_are_exactly_the_generated_ones() {
        assert_eq!(reference_number(&reference(12)), Some(12));
        for name in
            ["reference_", "reference_0", "reference_01", "reference_x", "reference_+1", "references_1"]
        {
            assert!(!is_reserved(name), "{name}");
        }
        assert!(is_reserved(WORKING_IMAGE) && is_reserved(WORKING_VIDEO) && is_reserved("reference_3"));
    }

    proptest! {
        #[test]
        fn every_tag_is_in_the_text(text in "[@a_ \\-é.日]{0,40}") {
            for name in all(&text) {
                let tag = format!("@{name}");
                prop_assert!(text.contains(&tag));
            }
            let count = all(&text).collect::<HashSet<_>>().len();
            prop_assert_eq!(distinct(&text).len(), count);
        }
    }
}
