//! Generates examples from templates.
//!
//! Every language and sense gets the same number of examples, and within them every template has
//! its turn. A free prompt therefore weighs as much as a template with a thousand variants.
//! Requests get polite frames, pairs of requests are joined (the later stage of the work wins: a
//! picture that is edited and then animated is a video), descriptions get style words, and all
//! examples get typing errors.

use crate::local::sense::{Regime, Sense};
use crate::local::train::corpus::{Corpus, Language, Template};
use crate::local::train::noise::disturb;
use crate::local::train::random::Random;

/// A prompt, its sense, and the open media.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    pub(crate) prompt: String,
    pub(crate) sense: Sense,
    pub(crate) regime: Regime,
}

/// An example for the training of the encoder.
#[derive(Debug, Clone)]
pub struct TextExample {
    /// The words.
    pub prompt: String,
    /// The number of the language, in the order of the corpus files.
    pub language: usize,
    /// The sense of the words.
    pub sense: Sense,
    /// The open media: 0 nothing, 1 references only, 2 an image, 3 a video.
    pub regime: usize,
}

/// Generates `each` examples per language and sense for the training of the encoder, and a fifth as
/// many of long templates.
pub fn examples(corpus: &Corpus, each: usize, seed: u64) -> Vec<TextExample> {
    let mut all = Vec::new();
    for (number, language) in corpus.languages.iter().enumerate() {
        let mut random = Random::new(seed);
        let mut examples = generate_in(language, each, |_| true, &mut random);
        examples.extend(generate_in(language, each / 5, |template| template.long, &mut random));
        all.extend(examples.into_iter().map(|Example { prompt, sense, regime }| TextExample {
            prompt,
            language: number,
            sense,
            regime: regime as usize,
        }));
    }
    all
}

/// How often each sense meets each regime, in hundredths, in the order of the regimes.
const fn regimes(sense: Sense) -> [u8; Regime::COUNT] {
    match sense {
        Sense::Picture => [50, 12, 25, 13],
        Sense::Edit => [5, 15, 45, 35],
        Sense::Add => [10, 15, 45, 30],
        Sense::Video | Sense::VideoSound => [50, 12, 20, 18],
        Sense::Animate => [15, 20, 55, 10],
        Sense::Sound => [10, 15, 50, 25],
        Sense::Timing => [5, 5, 15, 75],
    }
}

/// Generates `each` examples per language and sense.
pub(crate) fn generate(corpus: &Corpus, each: usize, seed: u64) -> Vec<Example> {
    let mut random = Random::new(seed);
    let all = |language| generate_in(language, each, |_| true, &mut random);
    corpus.languages.iter().flat_map(all).collect()
}

/// Generates `each` examples per sense of one language, from the templates that are `chosen`.
fn generate_in(
    language: &Language,
    each: usize,
    chosen: impl Fn(&Template) -> bool,
    random: &mut Random,
) -> Vec<Example> {
    let mut examples = Vec::new();
    for sense in Sense::ALL {
        let of = |template: &&Template| template.sense == sense && chosen(template);
        let templates: Vec<&Template> = language.templates.iter().filter(of).collect();
        for turn in 0..each {
            let Some(template) = templates.get(turn % templates.len().max(1)) else { break };
            examples.push(example(language, template, random));
        }
    }
    examples
}

fn example(language: &Language, template: &Template, random: &mut Random) -> Example {
    let mut sense = template.sense;
    let mut prompt = read(language, template, random);
    if template.bare || matches!(sense, Sense::Picture | Sense::Video | Sense::VideoSound) {
        if random.chance(0.2) {
            for _ in 0..=random.below(3) {
                prompt.push_str(", ");
                language.write_slot("style", random, &mut prompt);
            }
        }
    } else if random.chance(0.15) {
        if random.chance(0.4) {
            let request = std::mem::replace(&mut prompt, slot(language, "first", random));
            append(&mut prompt, &request);
        }
        for _ in 0..=random.below(3) / 2 {
            let same = random.chance(0.45);
            let later = |other: &&Template| {
                !other.bare && joined(sense, other.sense).is_some_and(|joint| (joint == sense) == same)
            };
            let others: Vec<&Template> = language.templates.iter().filter(later).collect();
            let Some(other) = random.choose(&others) else { break };
            append(&mut prompt, &slot(language, "then", random));
            append(&mut prompt, &read(language, other, random));
            sense = joined(sense, other.sense).unwrap_or(sense);
        }
    }
    if !template.bare {
        if random.chance(0.2) {
            let request = std::mem::replace(&mut prompt, slot(language, "pre", random));
            append(&mut prompt, &request);
        }
        if random.chance(0.15) {
            append(&mut prompt, &slot(language, "post", random));
        }
    }
    // A few bare words describe a picture if nothing is open, and change the open media otherwise.
    let fragment = sense == Sense::Picture && template.bare && is_short(&prompt);
    let regime = match regime(sense, random) {
        Regime::Image | Regime::Video if fragment => Regime::Nothing,
        regime => regime,
    };
    Example { prompt: disturb(&prompt, random), sense, regime }
}

/// Returns whether a prompt has at most about three words.
fn is_short(prompt: &str) -> bool {
    prompt.split_whitespace().count() <= 3
        && prompt.chars().count() <= if prompt.is_ascii() { 24 } else { 18 }
}

fn read(language: &Language, template: &Template, random: &mut Random) -> String {
    let mut prompt = String::new();
    template.pattern.write(language, random, &mut prompt);
    prompt
}

fn slot(language: &Language, name: &str, random: &mut Random) -> String {
    let mut text = String::new();
    language.write_slot(name, random, &mut text);
    text
}

/// Appends text to text, as separate words if the script separates words.
fn append(text: &mut String, next: &str) {
    let (Some(before), Some(after)) = (text.chars().next_back(), next.chars().next()) else {
        return text.push_str(next);
    };
    let touches = |c: char| c.is_whitespace() || is_unspaced(c);
    if !(touches(before) || touches(after) || matches!(after, ',' | '.' | ';' | ':' | '!' | '?')) {
        text.push(' ');
    }
    text.push_str(next);
}

/// Returns whether the language uses no spaces, as Chinese and Japanese.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

/// Returns the sense of two requests in a row, if it is unambiguous.
const fn joined(first: Sense, second: Sense) -> Option<Sense> {
    Some(match (first, second) {
        (Sense::Edit, Sense::Edit) => Sense::Edit,
        (Sense::Edit | Sense::Add, Sense::Animate) => Sense::Animate,
        (Sense::Edit | Sense::Add | Sense::Animate, Sense::Sound) => Sense::Sound,
        (Sense::Timing, Sense::Timing | Sense::Edit) => Sense::Timing,
        (Sense::Add, Sense::Add) => Sense::Add,
        (Sense::Animate, Sense::Animate) => Sense::Animate,
        (Sense::Sound, Sense::Sound | Sense::Animate) => Sense::Sound,
        _ => return None,
    })
}

fn regime(sense: Sense, random: &mut Random) -> Regime {
    let mut left = random.below(100) as u8;
    let all = [Regime::Nothing, Regime::References, Regime::Image, Regime::Video];
    for (regime, share) in all.into_iter().zip(regimes(sense)) {
        match left.checked_sub(share) {
            Some(rest) => left = rest,
            None => return regime,
        }
    }
    Regime::Nothing
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn frames_are_words_of_their_own() {
        for (before, after, whole) in [
            ("could you", "remove it", "could you remove it"),
            ("remove it", ", please", "remove it, please"),
            ("hocam ", "sil", "hocam sil"),
            ("请", "把天空变亮", "请把天空变亮"),
            ("", "sky", "sky"),
        ] {
            let mut text = before.to_owned();
            append(&mut text, after);
            assert_eq!(text, whole);
        }
    }
}
