//! Words of injections that belong to no language. Those of a language are in its table.

/// Fields of requests and answers.
pub(crate) const FIELDS: [&str; 12] = [
    "prompt_type",
    "enhanced_prompt",
    "model_to_use",
    "fallback_models",
    "model_parameters",
    "estimated_cost",
    "estimated_time",
    "corrected_from",
    "classification_flags",
    "csv_decision",
    "possible_types",
    "classify_request",
];

/// The markers of turns in a conversation with a model, in lower case.
pub(crate) const TURNS: [&str; 8] =
    ["<system", "</system", "<assistant", "</assistant", "<instruction", "<|im_", "[inst]", "<<sys>>"];
