//! Feedback on a decision: what the type should have been.
//!
//! Feedback is stored and counted, and changes nothing else: no dollars, no breaker, no cache and
//! no later decision. An operator exports it as labeled examples.
//!
//! A generation has one row of feedback, the last one that was given, so a repeated request changes
//! nothing and a changed mind replaces what was said before.

use picarcade_intent::{Facts, PromptType};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{FieldProblem, FlowError};
use crate::events;
use crate::service::FlowService;
use crate::validate::MAX_COMMENT_CHARS;

/// Feedback, as in the HTTP body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "What the type of a generation should have been."))]
pub struct Feedback {
    /// The type that would have been right. It may be the one that was decided.
    pub right_type: PromptType,
    /// The words of the user about it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::comment))]
    pub comment: Option<String>,
}

/// The answer to feedback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedbackRecorded {
    /// Always `recorded`.
    #[cfg_attr(feature = "openapi", schema(schema_with = recorded))]
    pub status: &'static str,
    /// The id of the generation.
    pub generation_id: String,
    /// Whether the decided type was the right one.
    pub agrees: bool,
}

#[cfg(feature = "openapi")]
fn recorded() -> utoipa::openapi::Object {
    crate::openapi::words(["recorded"])
}

impl FlowService {
    /// Records what the type of a generation of this caller should have been.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::NotFound`] for a generation that is unknown or of another user,
    /// [`FlowError::Invalid`] for an empty or too long comment and for a type that the media of the
    /// request do not allow, and [`FlowError::Unavailable`] while the log of generations does not
    /// answer.
    pub async fn record_feedback(
        &self,
        generation_id: &str,
        caller: &Caller,
        feedback: Feedback,
    ) -> Result<FeedbackRecorded, FlowError> {
        check_comment(&feedback)?;
        let id = Uuid::parse_str(generation_id).map_err(|_| FlowError::NotFound)?;
        let generations = &self.inner.generations;
        let generation = match generations.find(generation_id) {
            Some(generation) => generation,
            None => self.inner.look_ups.find(generation_id, caller.authority).await?,
        };
        if generation.user_id != caller.user {
            return Err(FlowError::NotFound);
        }
        if let Some(facts) = generation.facts {
            self.check_type(feedback.right_type, facts)?;
        }
        let agrees = feedback.right_type == generation.prompt_type;
        // Of a generation, only the first feedback is counted: a counter cannot take one back.
        let is_first = generations.claim_feedback(generation_id);
        #[cfg(feature = "metrics")]
        if is_first {
            crate::metrics::count_feedback(generation.source, generation.prompt_type, agrees);
        }
        tracing::debug!(generation = generation_id, agrees, is_first, "feedback recorded");
        let comment = feedback.comment.as_deref().map(str::trim);
        self.inner.recorder.record(events::feedback(id, &generation, feedback.right_type, comment));
        Ok(FeedbackRecorded { status: "recorded", generation_id: generation_id.to_owned(), agrees })
    }

    /// Checks that the media of the request allow a type under the rules in force.
    fn check_type(&self, right_type: PromptType, facts: Facts) -> Result<(), FlowError> {
        let feasible = self.inner.rules.load().classifier().feasible(facts);
        if feasible.contains(right_type) {
            return Ok(());
        }
        let names: Vec<_> = feasible.iter().map(PromptType::as_str).collect();
        let detail = format!("must be possible with the media of the request: one of {}", names.join(", "));
        Err(FlowError::Invalid(vec![FieldProblem::new("/right_type", detail)]))
    }
}

fn check_comment(feedback: &Feedback) -> Result<(), FlowError> {
    let length = feedback.comment.as_ref().map(|comment| comment.trim().chars().count());
    let is_valid = length.is_none_or(|length| (1..=MAX_COMMENT_CHARS).contains(&length));
    let detail = || format!("must have 1 to {MAX_COMMENT_CHARS} characters");
    FlowError::unless_valid(
        (!is_valid).then(|| FieldProblem::new("/comment", detail())).into_iter().collect(),
    )
}
