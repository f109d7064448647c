//! The errors that people make while typing: swapped letters, lost punctuation, lost words.
//!
//! Training on clean text alone would make the model rely on spellings that users do not keep.

use crate::local::train::random::Random;

/// Returns the prompt as a hurried person might have typed it.
pub(crate) fn disturb(prompt: &str, random: &mut Random) -> String {
    let mut text = prompt.to_owned();
    if random.chance(0.25) {
        text = text
            .chars()
            .filter(|c| !matches!(c, ',' | '.' | '!' | '?' | '。' | '、' | '，' | '¿' | '¡'))
            .collect();
    }
    if random.chance(0.08) {
        text = without_a_word(&text, random);
    }
    if random.chance(0.3) {
        text = with_unknown_words(&text, random);
    }
    if random.chance(0.15) {
        text = with_typos(&text, random);
    }
    if random.chance(0.1) {
        text.push(*random.choose(&['.', '!', '?', '…']).unwrap_or(&'.'));
    }
    text
}

fn without_a_word(text: &str, random: &mut Random) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    if words.len() < 5 {
        return text.to_owned();
    }
    let lost = random.below(words.len());
    let kept = words.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, word)| *word);
    kept.collect::<Vec<_>>().join(" ")
}

/// Replaces one word in five with a word that no corpus contains. The frame of a request must then
/// carry the meaning, as for a user who names something unknown.
fn with_unknown_words(text: &str, random: &mut Random) -> String {
    let words = text.split(' ').map(|word| {
        if !random.chance(0.2) || word.contains('@') {
            return word.to_owned();
        }
        let mut letters: Vec<char> = word.chars().collect();
        if letters.len() > 3 && letters.iter().all(char::is_ascii) {
            let unknown = |_| char::from(b'a' + random.below(26) as u8);
            return letters.iter().map(unknown).collect();
        }
        // In other scripts, the same letters in another order are equally unknown.
        random.shuffle(&mut letters);
        letters.into_iter().collect()
    });
    words.collect::<Vec<_>>().join(" ")
}

/// About one error in twelve letters: swapped, lost, doubled or replaced.
fn with_typos(text: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=chars.len() / 14 {
        let at = random.below(chars.len());
        let Some(&c) = chars.get(at) else { continue };
        if !c.is_alphabetic() || chars.len() < 8 {
            continue;
        }
        match random.below(4) {
            0 if at + 1 < chars.len() => chars.swap(at, at + 1),
            1 => {
                chars.remove(at);
            }
            2 => chars.insert(at, c),
            _ if c.is_ascii() => {
                let letter = b'a' + random.below(26) as u8;
                if let Some(slot) = chars.get_mut(at) {
                    *slot = char::from(letter);
                }
            }
            _ => {}
        }
    }
    chars.into_iter().collect()
}
