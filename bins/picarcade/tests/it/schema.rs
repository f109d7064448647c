//! The part of JSON Schema that the description of the API uses: whether a value matches, and
//! matching values.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Words of every kind: letters of many scripts, blanks, quotes, and characters with a meaning in
/// some format.
const LETTERS: &[char] = &[
    'a', 'Z', '7', ' ', '-', '_', '.', '"', '\'', '\\', '/', '<', '&', '%', '$', '{', 'é', 'ß', 'ж', '夕',
    'ع', '🦊',
];

/// The document that references point into.
#[derive(Clone, Copy)]
pub struct Schemas<'a>(pub &'a Value);

impl<'a> Schemas<'a> {
    pub fn resolved(self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).expect(reference),
            None => schema,
        }
    }

    /// Returns whether the value matches, or where it does not. Patterns and formats are not
    /// checked.
    pub fn check(self, schema: &'a Value, value: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[word].as_array() {
                let fitting = choices.iter().filter(|choice| self.check(choice, value).is_ok()).count();
                if fitting == 0 || (word == "oneOf" && fitting > 1) {
                    return Err(format!("{value} fits {fitting} of {word}"));
                }
            }
        }
        if schema["not"].is_object() && self.check(&schema["not"], value).is_ok() {
            return Err(format!("{value} is what must not be"));
        }
        if let Some(only) = schema.get("const").filter(|only| *only != value) {
            return Err(format!("{value} is not {only}"));
        }
        if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
            return Err(format!("{value} is none of {words:?}"));
        }
        check_type(&schema["type"], value)?;
        match value {
            Value::Number(number) => {
                let number = number.as_f64().unwrap();
                let low = schema["minimum"].as_f64().is_some_and(|least| number < least);
                let high = schema["maximum"].as_f64().is_some_and(|most| number > most);
                if low || high { Err(format!("{number} is out of range")) } else { Ok(()) }
            }
            Value::String(text) => within(schema, "Length", text.chars().count()),
            Value::Array(items) => {
                within(schema, "Items", items.len())?;
                let each = &schema["items"];
                items.iter().filter(|_| !each.is_null()).try_for_each(|item| self.check(each, item))
            }
            Value::Object(fields) => self.check_fields(schema, fields),
            _ => Ok(()),
        }
    }

    fn check_fields(self, schema: &'a Value, fields: &Map<String, Value>) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            if !fields.contains_key(name) {
                return Err(format!("/{name} is missing"));
            }
        }
        for (name, value) in fields {
            match schema["properties"].get(name) {
                Some(property) => self.check(property, value).map_err(|error| format!("/{name}: {error}"))?,
                None => match &schema["additionalProperties"] {
                    Value::Bool(false) => return Err(format!("/{name} is not described")),
                    more if more.is_object() => self.check(more, value)?,
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// Returns a matching value.
    pub fn make(self, random: &mut Rng, schema: &'a Value) -> Value {
        let resolved = self.resolved(schema);
        // Some conditions relate fields to each other; a value that violates them is discarded.
        for _ in 0..100 {
            let value = self.make_once(random, resolved);
            if self.check(resolved, &value).is_ok() {
                return value;
            }
        }
        panic!("nothing fits {resolved}");
    }

    fn make_once(self, random: &mut Rng, schema: &'a Value) -> Value {
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[word].as_array() {
                let choice = random.usize(..choices.len());
                return self.make(random, &choices[choice]);
            }
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(words) = schema["enum"].as_array() {
            return random.choice(words).unwrap().clone();
        }
        let bound = |word: &str, default: u64| schema[word].as_u64().unwrap_or(default);
        let kind = match &schema["type"] {
            Value::Array(kinds) => random.choice(kinds).unwrap(),
            kind => kind,
        };
        match kind.as_str().unwrap_or("any") {
            "null" => Value::Null,
            "boolean" => json!(random.bool()),
            "integer" => json!(random.u64(bound("minimum", 0)..=bound("maximum", 1000))),
            "number" => json!(random.f64() * schema["maximum"].as_f64().unwrap_or(1000.0)),
            "string" if schema["format"] == "uri" => {
                json!(format!("https://cdn.example/{}.png", random.u32(..)))
            }
            "string" => {
                let most = bound("maxLength", 40).min(if random.u8(..) < 16 { 2000 } else { 40 });
                let length = random.u64(bound("minLength", 0)..=most);
                // Identifiers are limited in bytes, and must have a visible character.
                let letters: String = (1..length.min(60)).map(|_| random.choice(LETTERS).unwrap()).collect();
                json!(if length > 0 { format!("x{letters}") } else { letters })
            }
            "array" => {
                let length = random.u64(bound("minItems", 0)..=bound("minItems", 0) + 2);
                (0..length).map(|_| self.make(random, &schema["items"])).collect()
            }
            "object" => {
                let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
                let mut fields = Map::new();
                for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                    if required.contains(&&json!(name)) || random.bool() {
                        fields.insert(name.clone(), self.make(random, property));
                    }
                }
                if schema["additionalProperties"] != false && random.u8(..) < 64 {
                    fields.insert(format!("more-{}", random.u16(..)), anything(random, 2));
                }
                Value::Object(fields)
            }
            _ => anything(random, 3),
        }
    }
}

fn check_type(expected: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    };
    let fits = match expected {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("{value} is no {expected}")) }
}

fn within(schema: &Value, what: &str, length: usize) -> Result<(), String> {
    let low = schema[format!("min{what}")].as_u64().is_some_and(|least| (length as u64) < least);
    let high = schema[format!("max{what}")].as_u64().is_some_and(|most| length as u64 > most);
    if low || high { Err(format!("{length} is out of the bounds of its {what}")) } else { Ok(()) }
}

/// Returns an arbitrary JSON value.
pub fn anything(random: &mut Rng, depth: u32) -> Value {
    match random.u8(..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => json!(random.f64() * 1e300),
        4 => json!(""),
        5 => json!(random.choice(LETTERS).unwrap().to_string().repeat(random.usize(..50))),
        6 => (0..random.usize(..4)).map(|_| anything(random, depth - 1)).collect(),
        _ => {
            let name = |random: &mut Rng| random.choice(LETTERS).unwrap().to_string();
            (0..random.usize(..4))
                .map(|_| (name(random), anything(random, depth - 1)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}
