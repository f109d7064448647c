//! The matrix and the catalogue in force, which are replaced together.
//!
//! Their hashes, and that of the examples, are part of the cache keys, so an answer under older
//! rules is never served under newer ones.

use std::sync::Arc;

#[cfg(feature = "encoder")]
use picarcade_intent::examples::Examples;
use picarcade_intent::{Catalogue, Classifier, Matrix};

/// A consistent set of decision matrix, model catalogue and the classifier over them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The decision matrix, from a goal and the facts to a type.
    pub matrix: Arc<Matrix>,
    /// The models, their prices and fallbacks.
    pub catalogue: Arc<Catalogue>,
    pub(crate) classifier: Arc<Classifier>,
    #[cfg(feature = "encoder")]
    examples: Option<Arc<Examples>>,
    /// The versions of all that decides about a type.
    decision_version: Arc<str>,
}

impl Rules {
    /// Creates a set of this matrix and this catalogue.
    pub fn new(matrix: Arc<Matrix>, catalogue: Arc<Catalogue>) -> Self {
        let classifier = Classifier::new(Arc::clone(&matrix)).with_catalogue(Arc::clone(&catalogue));
        Self {
            decision_version: matrix.version().into(),
            matrix,
            catalogue,
            classifier: Arc::new(classifier),
            #[cfg(feature = "encoder")]
            examples: None,
        }
    }

    /// Adds the encoder as the second stage of the local classifier. The service asks it on the
    /// threads of [`FlowBuilder::worker_pool`](crate::FlowBuilder::worker_pool).
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_encoder(self, encoder: Arc<picarcade_intent::local::Encoder>) -> Self {
        let classifier = Classifier::clone(&self.classifier).with_encoder(encoder);
        Self { classifier: Arc::new(classifier), ..self }
    }

    /// Replaces the examples, which teach the [encoder](Self::with_encoder) and have no effect
    /// without it.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub fn with_examples(self, examples: Option<Arc<Examples>>) -> Self {
        let classifier = Classifier::clone(&self.classifier).with_examples(examples.clone());
        let decision_version = match &examples {
            Some(examples) => format!("{}+{}", self.matrix.version(), examples.version()).into(),
            None => self.matrix.version().into(),
        };
        Self { classifier: Arc::new(classifier), examples, decision_version, ..self }
    }

    /// Returns the examples in force.
    #[cfg(feature = "encoder")]
    pub fn examples(&self) -> Option<&Arc<Examples>> {
        self.examples.as_ref()
    }

    /// Returns the version of the matrix and the examples, for the keys of cached decisions.
    pub(crate) fn decision_version(&self) -> &str {
        &self.decision_version
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
