//! Unknown fields of a request that are nearly a known one.
//!
//! Unknown fields are ignored, so a misspelled one (`active_imgae`) changes the answer without a
//! trace. A field that is one edit away from a known one is therefore reported in the answer. One
//! edit is an insertion, a deletion, a substitution, or a swap of two neighbors (a
//! Damerau-Levenshtein distance of 1).

/// The most warnings of one request.
pub(crate) const MAX_WARNINGS: usize = 8;

/// Adds a warning about an unknown field of the object at `place`, a JSON pointer, if the field is
/// one edit away from a known one.
///
/// The warning repeats the field only if it is printable ASCII, because it ends in logs and on
/// terminals. One edit bounds its length.
pub(crate) fn warn_if_misspelled(warnings: &mut Vec<String>, place: &str, unknown: &str, known: &[&str]) {
    if warnings.len() >= MAX_WARNINGS {
        return;
    }
    let Some(known) = known.iter().find(|known| is_one_edit(unknown, known)) else { return };
    let field = if unknown.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
        format!("the unknown field \"{unknown}\"")
    } else {
        "an unknown field".to_owned()
    };
    let at = if place.is_empty() { String::new() } else { format!(" in {place}") };
    warnings.push(format!("{field}{at} is ignored; it is nearly \"{known}\""));
}

/// Returns whether one edit makes `known`, which is ASCII, out of `text`: an insertion, a deletion,
/// a substitution, or a swap of two neighbors.
pub fn is_one_edit(text: &str, known: &str) -> bool {
    if text.len() > known.len() + char::MAX.len_utf8() {
        return false;
    }
    let same = |(one, other): &(u8, u8)| one == other;
    let prefix = text.bytes().zip(known.bytes()).take_while(same).count();
    // What both texts have in common is ASCII, so it ends between two characters.
    let (text, known) = (text.get(prefix..).unwrap_or_default(), known.get(prefix..).unwrap_or_default());
    let suffix = text.bytes().rev().zip(known.bytes().rev()).take_while(same).count();
    let middle = |text: &str| text.len() - suffix;
    let (text, known) =
        (text.get(..middle(text)).unwrap_or_default(), known.get(..middle(known)).unwrap_or_default());
    match (text.chars().count(), known.len()) {
        (1, 0 | 1) | (0, 1) => true,
        (2, 2) => text.chars().rev().eq(known.chars()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: [&str; 3] = ["prompt", "active_image", "user_id"];

    fn warnings(unknown: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        warn_if_misspelled(&mut warnings, "", unknown, &KNOWN);
        warnings
    }

    #[test]
    fn each_kind_of_edit_is_found() {
        for (unknown, known) in [
            ("active_imgae", "active_image"),
            ("active_imag", "active_image"),
            ("active_imagee", "active_image"),
            ("active-image", "active_image"),
            ("ctive_image", "active_image"),
            ("Prompt", "prompt"),
            ("rpompt", "prompt"),
            ("promptt", "prompt"),
            ("userid", "user_id"),
        ] {
            let expected = format!("the unknown field \"{unknown}\" is ignored; it is nearly \"{known}\"");
            assert_eq!(warnings(unknown), [expected]);
        }
        for other in ["", "p", "activeImage", "tcaive_image", "promtps", "image", "id", "prompt_text"] {
            assert!(warnings(other).is_empty(), "{other}");
        }
        assert!(warnings(&"prompt".repeat(10_000)).is_empty());
    }

    #[test]
    fn a_field_that_is_not_printable_is_not_repeated() {
        for unknown in
            ["\u{440}rompt", "prom\u{1b}t", "prompt\u{202e}", "prompt ", "prom\u{1f436}pt", "prompt\""]
        {
            assert_eq!(
                warnings(unknown),
                ["an unknown field is ignored; it is nearly \"prompt\""],
                "{unknown}"
            );
        }
    }

    /// Compares with the definition: the distance by dynamic programming.
    fn distance(one: &str, other: &str) -> usize {
        let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                table[i][j] = match (i, j) {
                    (0, n) | (n, 0) => n,
                    _ => {
                        let substituted = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                        let mut least = substituted.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                        if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                            least = least.min(table[i - 2][j - 2] + 1);
                        }
                        least
                    }
                };
            }
        }
        table[one.len()][other.len()]
    }

    proptest! {
        #[test]
        fn one_edit_is_a_distance_of_one(text in "[abé]{0,5}", known in "[ab]{0,5}") {
            prop_assert_eq!(is_one_edit(&text, &known), distance(&text, &known) == 1);
        }
    }
}
