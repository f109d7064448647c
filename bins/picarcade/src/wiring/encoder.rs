//! The encoder of the local classifier, with the weights that the binary contains.

use std::sync::{Arc, LazyLock};

use picarcade_intent::local::Encoder;

const WEIGHTS: &[u8] = include_bytes!("../../data/encoder-1.bin");

/// Returns the version of the encoder's weights; `none` if they are damaged.
pub(crate) fn version() -> String {
    encoder().map_or_else(|| "none".to_owned(), |encoder| encoder.version().to_owned())
}

/// Returns the encoder, which the first call reads. `None` if the weights are damaged: the fast
/// stage then decides alone, and the log says so.
pub(crate) fn encoder() -> Option<Arc<Encoder>> {
    static ENCODER: LazyLock<Option<Arc<Encoder>>> = LazyLock::new(|| match Encoder::parse(WEIGHTS) {
        Ok(encoder) => Some(Arc::new(encoder)),
        Err(error) => {
            tracing::error!(%error, "the embedded encoder cannot be read");
            None
        }
    });
    ENCODER.clone()
}
