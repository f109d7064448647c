//! Which API a path belongs to, and what the three have in common. A base URL may or may not end in `/v1`, as the
//! vendors' own clients differ there; both are understood.

use serde_json::Value;

/// The three APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI chat completions, and all that copy it.
    OpenAi,
    /// Replicate predictions.
    Replicate,
}

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A call that a provider charges for.
    Call(Dialect),
    /// How a Replicate prediction stands.
    Poll(String),
    /// Stop a Replicate prediction.
    Cancel(String),
    /// The path exists, the method does not.
    WrongMethod(Dialect),
    /// Nothing of ours.
    Unknown,
}

impl Route {
    pub(super) fn of(method: &str, path: &str) -> Self {
        let path = path.trim_matches('/');
        let words: Vec<&str> = path.strip_prefix("v1/").unwrap_or(path).split('/').collect();
        let dialect = match words.as_slice() {
            ["messages"] => Dialect::Anthropic,
            ["chat", "completions"] => Dialect::OpenAi,
            ["predictions"] | ["models", _, _, "predictions"] => Dialect::Replicate,
            ["predictions", id] if method == "GET" => return Self::Poll((*id).to_owned()),
            ["predictions", id, "cancel"] if method == "POST" => return Self::Cancel((*id).to_owned()),
            _ => return Self::Unknown,
        };
        if method == "POST" { Self::Call(dialect) } else { Self::WrongMethod(dialect) }
    }

    pub(super) fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Call(dialect) | Self::WrongMethod(dialect) => Some(*dialect),
            Self::Poll(_) | Self::Cancel(_) => Some(Dialect::Replicate),
            Self::Unknown => None,
        }
    }
}

/// A conservative count: four bytes a token, rounded up.
pub(super) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// What the model says in the place of an answer, and how the saying ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// An object.
    Json(Value),
    /// Words.
    Prose(String),
    /// An object, cut off by the token limit.
    Cut(Value),
    /// The model declined.
    Refusal,
}

impl Content {
    /// The text as the model would have written it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Json(value) => value.to_string(),
            Self::Prose(text) => text.clone(),
            Self::Cut(value) => {
                let text = value.to_string();
                text.chars().take(text.chars().count() / 2).collect()
            }
            Self::Refusal => "I can't help with that request.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Route};

    #[test]
    fn paths_with_and_without_version() {
        for prefix in ["", "/v1"] {
            let route = |path: &str| Route::of("POST", &format!("{prefix}{path}"));
            assert_eq!(route("/messages"), Route::Call(Dialect::Anthropic));
            assert_eq!(route("/chat/completions"), Route::Call(Dialect::OpenAi));
            assert_eq!(route("/predictions"), Route::Call(Dialect::Replicate));
            assert_eq!(route("/models/a/b/predictions"), Route::Call(Dialect::Replicate));
            assert_eq!(route("/predictions/x/cancel"), Route::Cancel("x".to_owned()));
        }
        assert_eq!(Route::of("GET", "/v1/predictions/x"), Route::Poll("x".to_owned()));
        assert_eq!(Route::of("GET", "/v1/messages"), Route::WrongMethod(Dialect::Anthropic));
        assert_eq!(Route::of("POST", "/v2/messages"), Route::Unknown);
    }
}
