//! What a provider says about its model without a paid call.

#[cfg(feature = "providers")]
use super::{error::ProviderError, http::Response};

/// What a provider says about its model without a paid call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelStatus {
    /// The provider accepts the key and has the model.
    Available,
    /// The provider accepts the key and does not have the model.
    Missing,
    /// The provider answers, but not about models. Many compatible servers do not list theirs, and
    /// then nothing is known about the key either.
    Unknown,
}

#[cfg(feature = "providers")]
impl ModelStatus {
    /// Reads a response to a request for this model or for a list of models. `refused` reads any
    /// other response.
    pub(super) fn of(
        response: &Response,
        model: &str,
        refused: impl FnOnce(&Response) -> ProviderError,
    ) -> Result<Self, ProviderError> {
        let listed = response.body["data"].as_array();
        Ok(match (response.status, listed) {
            (200, Some(models)) if models.iter().any(|listed| listed["id"] == model) => Self::Available,
            (200, Some(_)) => Self::Missing,
            // One model: Anthropic says its id and Replicate its name.
            (200, None) if response.body["id"].is_string() || response.body["name"].is_string() => {
                Self::Available
            }
            // Anthropic and Replicate describe a model that they do not have. A server without the
            // route says less.
            (404, _)
                if response.text("/error/type") == Some("not_found_error")
                    || response.body["status"] == 404 =>
            {
                Self::Missing
            }
            (200 | 404 | 405, _) => Self::Unknown,
            _ => return Err(refused(response)),
        })
    }
}
