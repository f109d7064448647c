//! Parses TOML into a checked catalogue.
//!
//! Parsing has two steps. The structure is read first and stops at the first error. The meaning is
//! checked next, and every error is reported with its line.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::model::{Inputs, Model, Offer, Preference};
use crate::problem::Problem;
use crate::prompt_type::PromptType;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    models: Vec<FileModel>,
    #[serde(default)]
    preferences: Vec<FilePreference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModel {
    name: Spanned<String>,
    provider: Spanned<String>,
    inputs: Inputs,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    offers: Vec<FileOffer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOffer {
    prompt_type: Spanned<String>,
    cost_micros: u64,
    time_seconds: u32,
    #[serde(default)]
    fallbacks: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePreference {
    prompt_types: Vec<Spanned<String>>,
    #[serde(default)]
    min_references: usize,
    #[serde(default)]
    audio: Option<bool>,
    model: Spanned<String>,
}

pub(super) fn catalogue(toml: &str) -> Result<(Vec<Model>, Vec<Preference>), Vec<Problem>> {
    let file: File = toml::from_str(toml).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        // A message of the parser may have several lines; a problem has one.
        vec![Problem::error(
            line_of(toml, &at),
            column_of(toml, &at),
            error.message().lines().collect::<Vec<_>>().join(" "),
        )]
    })?;
    let mut reader = Reader { toml, problems: Vec::new() };
    let mut models = Vec::with_capacity(file.models.len());
    for model in &file.models {
        models.push(reader.model(model, &models));
    }
    for model in &file.models {
        reader.fallbacks(model, &models);
    }
    let preferences =
        file.preferences.iter().map(|preference| reader.preference(preference, &models)).collect();
    for prompt_type in PromptType::ALL {
        if !models.iter().any(|model| model.types.contains(&prompt_type)) {
            let end = toml.lines().count() as u64 + 1;
            reader.problems.push(Problem::error(end, "prompt_type", format!("no model makes {prompt_type}")));
        }
    }
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok((models, preferences)) } else { Err(problems) }
}

struct Reader<'a> {
    toml: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: &Spanned<String>, column: &'static str, message: String) {
        self.problems.push(Problem::error(line_of(self.toml, &at.span()), column, message));
    }

    fn prompt_type(&mut self, word: &Spanned<String>, column: &'static str) -> Option<PromptType> {
        let prompt_type = word.get_ref().parse();
        if let Err(error) = &prompt_type {
            self.problem(word, column, format!("{error}"));
        }
        prompt_type.ok()
    }

    fn model(&mut self, file: &FileModel, earlier: &[Model]) -> Model {
        let (name, provider) = (file.name.get_ref(), file.provider.get_ref());
        if name.trim().is_empty() {
            self.problem(&file.name, "name", "the name is empty".to_owned());
        }
        if earlier.iter().any(|model| model.name == *name) {
            self.problem(&file.name, "name", format!("duplicate model {name:?}"));
        }
        // The provider becomes the name of a circuit breaker and a metric label, so its characters
        // are restricted.
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if provider.is_empty() || !provider.bytes().all(is_plain) {
            let message = format!("provider {provider:?} may have lower-case letters, digits, _ and - only");
            self.problem(&file.provider, "provider", message);
        }
        if file.offers.is_empty() {
            self.problem(&file.name, "offers", format!("model {name:?} makes nothing"));
        }
        let mut offers: Vec<Offer> = Vec::with_capacity(file.offers.len());
        for offer in &file.offers {
            let Some(prompt_type) = self.prompt_type(&offer.prompt_type, "prompt_type") else { continue };
            if offers.iter().any(|earlier| earlier.prompt_type == prompt_type) {
                self.problem(
                    &offer.prompt_type,
                    "prompt_type",
                    format!("{name:?} offers {prompt_type} twice"),
                );
            }
            offers.push(Offer {
                prompt_type,
                cost_micros: offer.cost_micros,
                time_seconds: offer.time_seconds,
                fallbacks: offer.fallbacks.iter().map(|fallback| fallback.get_ref().clone()).collect(),
            });
        }
        Model {
            name: name.clone(),
            provider: provider.clone(),
            types: offers.iter().map(|offer| offer.prompt_type).collect(),
            estimated_cost_micros: offers.first().map_or(0, |offer| offer.cost_micros),
            estimated_time_seconds: offers.first().map_or(0, |offer| offer.time_seconds),
            parameters: file.parameters.clone(),
            inputs: file.inputs.clone(),
            offers,
        }
    }

    fn fallbacks(&mut self, file: &FileModel, models: &[Model]) {
        for offer in &file.offers {
            let Ok(prompt_type) = offer.prompt_type.get_ref().parse() else { continue };
            for (index, fallback) in offer.fallbacks.iter().enumerate() {
                let name = fallback.get_ref();
                if name == file.name.get_ref() {
                    self.problem(fallback, "fallbacks", format!("{name:?} falls back to itself"));
                }
                if offer.fallbacks.iter().take(index).any(|earlier| earlier.get_ref() == name) {
                    self.problem(fallback, "fallbacks", format!("{name:?} is named twice"));
                }
                self.makes(fallback, "fallbacks", prompt_type, models);
            }
        }
    }

    fn preference(&mut self, file: &FilePreference, models: &[Model]) -> Preference {
        let mut prompt_types = Vec::with_capacity(file.prompt_types.len());
        for word in &file.prompt_types {
            if let Some(prompt_type) = self.prompt_type(word, "prompt_types") {
                prompt_types.push(prompt_type);
            }
        }
        for prompt_type in &prompt_types {
            self.makes(&file.model, "model", *prompt_type, models);
        }
        Preference {
            prompt_types,
            min_references: file.min_references,
            audio: file.audio,
            model: file.model.get_ref().clone(),
        }
    }

    /// Checks that a named model exists and makes the type that it is named for.
    fn makes(
        &mut self,
        at: &Spanned<String>,
        column: &'static str,
        prompt_type: PromptType,
        models: &[Model],
    ) {
        let name = at.get_ref();
        match models.iter().find(|model| model.name == *name) {
            None => self.problem(at, column, format!("unknown model {name:?}")),
            Some(model) if !model.types.contains(&prompt_type) => {
                self.problem(at, column, format!("model {name:?} does not make {prompt_type}"));
            }
            Some(_) => {}
        }
    }
}

fn line_of(toml: &str, span: &Range<usize>) -> u64 {
    toml.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() as u64 + 1
}

/// Returns the column at which a span begins, counted in characters from 1.
fn column_of(toml: &str, span: &Range<usize>) -> String {
    let before = toml.get(..span.start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (line.chars().count() + 1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::EMBEDDED;

    fn problems(toml: &str) -> Vec<String> {
        catalogue(toml).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_embedded_file_is_valid() {
        let (models, preferences) = catalogue(EMBEDDED).unwrap();
        assert_eq!((models.len(), preferences.len()), (7, 2));
    }

    #[test]
    fn a_file_of_another_structure_is_one_problem() {
        assert!(problems("models = 3")[0].starts_with("line 1, column 10: "));
        assert!(
            problems("[[models]]\nname = \"a\"\nprovider = \"b\"\ncolour = 1")[0]
                .starts_with("line 4, column 1: ")
        );
        assert!(problems("\n\n[[models")[0].starts_with("line 3, column "));
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let toml = r#"
[[models]]
name = "a"
provider = "Run Way"
inputs = { prompt = "prompt" }
[[models.offers]]
prompt_type = "NEW_PICTURE"
cost_micros = 1
time_seconds = 1
[[models]]
name = "a"
provider = "b"
inputs = { prompt = "prompt" }
[[models]]
name = "c"
provider = "b"
inputs = { prompt = "prompt" }
[[models.offers]]
prompt_type = "NEW_IMAGE"
cost_micros = 1
time_seconds = 1
fallbacks = ["c", "zzz"]
[[preferences]]
prompt_types = ["NEW_VIDEO"]
model = "c"
"#;
        let problems = problems(toml);
        let (mistakes, missing) = problems.split_at(7);
        assert_eq!(
            mistakes,
            [
                "line 4, column provider: provider \"Run Way\" may have lower-case letters, digits, _ and - only",
                "line 7, column prompt_type: unknown prompt type \"NEW_PICTURE\"",
                "line 11, column name: duplicate model \"a\"",
                "line 11, column offers: model \"a\" makes nothing",
                "line 22, column fallbacks: \"c\" falls back to itself",
                "line 22, column fallbacks: unknown model \"zzz\"",
                "line 25, column model: model \"c\" does not make NEW_VIDEO",
            ]
        );
        assert_eq!(missing.len(), PromptType::COUNT - 1);
    }
}
