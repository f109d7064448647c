//! The message of a provider's error, for the operator: it names the unknown model or the wrong
//! parameter.
//!
//! Providers quote keys, accounts and prompts in their messages, so a message is repeated word by
//! word. A word is left out if it looks like a secret, or if the user wrote it. The usual words of
//! error messages stay even if the prompt has them, unless the message quotes the prompt.

use std::collections::HashSet;

/// The maximum length of a repeated message, in bytes.
const MAX_BYTES: usize = 120;

/// The number of words that are read. The reason comes first, a quoted request last.
const MAX_WORDS: usize = 40;

/// The maximum length of a repeated word. Keys and their hashes are longer.
const MAX_WORD_BYTES: usize = 40;

/// Letters and digits in a row that may be a part of a key, if there are digits among them.
const MIN_KEY_BYTES: usize = 12;

/// The number of words in a row that make a quotation of the prompt.
const QUOTED_WORDS: usize = 3;

/// The length from which a word is compared with the parts of the user's words.
const MIN_PART_BYTES: usize = 5;

/// What is written in the place of words that are left out.
const LEFT_OUT: &str = "...";

/// The usual words of error messages.
const USUAL: &[&str] = &[
    "a",
    "access",
    "an",
    "and",
    "api",
    "are",
    "as",
    "at",
    "authentication",
    "bad",
    "be",
    "call",
    "can",
    "cannot",
    "check",
    "does",
    "error",
    "exceeded",
    "exist",
    "expected",
    "for",
    "format",
    "found",
    "from",
    "has",
    "have",
    "in",
    "incorrect",
    "input",
    "internal",
    "invalid",
    "is",
    "it",
    "key",
    "length",
    "limit",
    "max",
    "maximum",
    "message",
    "messages",
    "missing",
    "model",
    "must",
    "name",
    "no",
    "not",
    "of",
    "on",
    "or",
    "parameter",
    "permission",
    "provided",
    "quota",
    "rate",
    "request",
    "requests",
    "required",
    "response",
    "server",
    "service",
    "supported",
    "temperature",
    "that",
    "the",
    "this",
    "to",
    "token",
    "tokens",
    "too",
    "unknown",
    "unsupported",
    "use",
    "valid",
    "value",
    "with",
    "you",
    "your",
];

/// Returns a message without secrets and without the words of the prompt; empty if it quotes the
/// prompt.
pub(super) fn scrubbed(message: &str, prompt: &str) -> String {
    let (said, written) = (words(message), words(prompt));
    let quotes = |words: &[String]| said.windows(words.len()).any(|window| window == words);
    if written.windows(QUOTED_WORDS).any(quotes) {
        return String::new();
    }
    // A prompt of a word or two can be quoted by usual words alone.
    let usual = if written.len() < QUOTED_WORDS { &[] } else { USUAL };
    let written: HashSet<&str> = written.iter().map(String::as_str).collect();
    let is_private = |word: &String| {
        !usual.contains(&word.as_str())
            && (written.contains(word.as_str()) || written.iter().any(|other| is_part(word, other)))
    };
    let mut text = String::new();
    for word in message.split_whitespace().take(MAX_WORDS) {
        let word = if is_secret(word) || words(word).iter().any(is_private) { LEFT_OUT } else { word };
        if word == LEFT_OUT && text.ends_with(LEFT_OUT) {
            continue;
        }
        if text.len() + 1 + word.len() > MAX_BYTES {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Returns the words of a text in lower case: its letters and digits.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Returns whether one of two words is a part of the other, as when an escape or a cut changed it.
fn is_part(word: &str, other: &str) -> bool {
    let (short, long) = if word.len() < other.len() { (word, other) } else { (other, word) };
    short.len() >= MIN_PART_BYTES && long.contains(short)
}

/// Returns whether a word may be a key, a part of one, or an address. Words in other scripts than
/// that of the API are not known and count as such.
fn is_secret(word: &str) -> bool {
    let is_key = |part: &str| part.len() >= MIN_KEY_BYTES && part.bytes().any(|byte| byte.is_ascii_digit());
    word.len() > MAX_WORD_BYTES
        || !word.bytes().all(|byte| byte.is_ascii_graphic())
        || word.contains(['@', '*'])
        || ["sk-", "sk_", "r8_"].iter().any(|prefix| word.contains(prefix))
        || word.split(|letter: char| !letter.is_ascii_alphanumeric()).any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_usual_message_stays() {
        let prompt = "make the sky purple";
        for (message, expected) in [
            (
                "Invalid model name passed in model=gpt-typo. Call `/v1/models` to view available models",
                "Invalid model name passed in model=gpt-typo. Call `/v1/models` to view available models",
            ),
            ("The model `gpt-9` does not exist", "The model `gpt-9` does not exist"),
            ("Incorrect API key provided: sk-abc***xyz.", "Incorrect API key provided: ..."),
            ("Received API Key = 5f4dcc3b5aa765d61d83, of ann@example.com", "Received API Key = ... of ..."),
            (
                "temperature: 0 is unsupported\nwith this model",
                "temperature: 0 is unsupported with this model",
            ),
        ] {
            assert_eq!(scrubbed(message, prompt), expected);
        }
    }

    #[test]
    fn no_word_of_the_prompt_is_repeated() {
        for (message, prompt, expected) in [
            ("Blocked: 'make the sky purple'", "make the sky purple", ""),
            ("Blocked: purple, skydiver", "make the sky purple", "Blocked: ... skydiver"),
            ("Blocked: purp", "make the sky purple", "Blocked: purp"),
            ("Blocked: \\npurple", "make the sky purple", "Blocked: ..."),
            ("Blocked: the model", "the model", "Blocked: ..."),
            ("Blocked: ciel", "rends le ciel violet", "Blocked: ..."),
            ("Blocked: \u{5929}\u{7a7a}", "\u{628a}\u{5929}\u{7a7a}", "Blocked: ..."),
        ] {
            assert_eq!(scrubbed(message, prompt), expected, "{message}");
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let long = scrubbed(&"word ".repeat(100_000), "a fox");
        assert!(long.len() <= MAX_BYTES && long.starts_with("word word"), "{long}");
        assert_eq!(scrubbed(&"x".repeat(100_000), "a fox"), LEFT_OUT);
        assert_eq!(scrubbed("", ""), "");
    }
}
