//! Lossless floats in JSON.
//!
//! JSON has no NaN and no infinity. `serde_json` writes `null` for them and cannot read it back as
//! a number. A value that the database will reject must survive the spool unchanged, so that the
//! dead-letter file shows it. Non-finite numbers are therefore words: `"NaN"`, `"inf"`, `"-inf"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Float {
    Finite(f64),
    Word(String),
}

impl From<f64> for Float {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Finite(value) } else { Self::Word(value.to_string()) }
    }
}

impl Float {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(value) => Ok(value),
            Self::Word(word) => word.parse().map_err(E::custom),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    Float::from(*value).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Float::deserialize(from)?.value()
}

/// The serialization of `Option<f64>`.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Float, Serialize, Serializer};

    #[allow(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Float::from).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<Float>::deserialize(from)?.map(Float::value).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Row {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super::option")]
        maybe: Option<f64>,
    }

    #[test]
    fn every_kind_of_number_survives() {
        for (one, maybe) in [
            (1.5, None),
            (f64::NAN, Some(0.1)),
            (f64::INFINITY, Some(f64::NEG_INFINITY)),
            (-0.0, Some(f64::NAN)),
        ] {
            let json = serde_json::to_string(&Row { one, maybe }).unwrap();
            let back: Row = serde_json::from_str(&json).unwrap();
            assert_eq!(back.one.to_bits(), one.to_bits(), "{json}");
            assert_eq!(back.maybe.map(f64::to_bits), maybe.map(f64::to_bits), "{json}");
        }
    }
}
