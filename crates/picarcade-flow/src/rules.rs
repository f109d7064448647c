//! The matrix and the catalogue in force, which are replaced together.
//!
//! Their hashes are part of the cache keys, so an answer under older rules is never served under
//! newer ones.

use std::sync::Arc;

use picarcade_intent::{Catalogue, Classifier, Matrix};

/// A consistent set of decision matrix, model catalogue and the classifier over them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The decision matrix, from a goal and the facts to a type.
    pub matrix: Arc<Matrix>,
    /// The models, their prices and fallbacks.
    pub catalogue: Arc<Catalogue>,
    pub(crate) classifier: Arc<Classifier>,
}

impl Rules {
    /// Creates a set of this matrix and this catalogue.
    pub fn new(matrix: Arc<Matrix>, catalogue: Arc<Catalogue>) -> Self {
        let classifier = Classifier::new(Arc::clone(&matrix)).with_catalogue(Arc::clone(&catalogue));
        Self { matrix, catalogue, classifier: Arc::new(classifier) }
    }

    /// Adds the encoder as the second stage of the local classifier. The service asks it on the
    /// threads of [`FlowBuilder::worker_pool`](crate::FlowBuilder::worker_pool).
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_encoder(self, encoder: Arc<picarcade_intent::local::Encoder>) -> Self {
        let classifier = Classifier::clone(&self.classifier).with_encoder(encoder);
        Self { classifier: Arc::new(classifier), ..self }
    }

    /// Returns the classifier over this matrix, with the prices of this catalogue.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Returns the embedded set.
    pub fn embedded() -> Self {
        Self::new(Matrix::embedded(), Catalogue::embedded())
    }
}
