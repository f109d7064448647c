//! What the local classifier reads of a prompt.

use crate::brief::without_refusals;
use crate::injection;
use crate::prompt::Prompt;

/// Returns the normalized text without instructions to this service and without what a brief
/// refuses.
pub(crate) fn words(prompt: &Prompt) -> String {
    without_refusals(&injection::without_injections(&prompt.normalized())).into_owned()
}
