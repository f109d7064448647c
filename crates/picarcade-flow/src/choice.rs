//! Values that are chosen by a word, in settings and in routes.

use thiserror::Error;

/// A text that is none of the words of a type. The error lists the words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be {0}")]
pub struct UnknownChoice(String);

/// Returns the value with this word.
pub(crate) fn find<T: Copy, const N: usize>(
    all: [T; N],
    as_str: impl Fn(T) -> &'static str,
    word: &str,
) -> Result<T, UnknownChoice> {
    let found = all.into_iter().find(|value| as_str(*value) == word);
    found.ok_or_else(|| UnknownChoice(list(&all.map(as_str))))
}

/// Returns the words as a list: `a, b or c`.
fn list(words: &[&str]) -> String {
    match words {
        [first @ .., before, last] if !first.is_empty() => {
            format!("{}, {before} or {last}", first.join(", "))
        }
        _ => words.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use crate::{CostAction, Mode, Override};

    #[test]
    fn words_are_the_inverse_of_values() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for action in CostAction::ALL {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        for order in Override::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
            assert_eq!(serde_json::to_value(order).unwrap(), order.as_str());
        }
    }

    #[test]
    fn an_unknown_word_gets_the_list_of_the_known_ones() {
        let error = "Local".parse::<Mode>().unwrap_err();
        assert_eq!(error.to_string(), "must be llm_first, cascade or local");
        assert_eq!("".parse::<CostAction>().unwrap_err().to_string(), "must be degrade or reject");
    }
}
