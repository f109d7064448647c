//! The matrix and the catalogue that are in force, swapped as one.
//!
//! Their hashes are part of the cache keys, so an answer made under an older set is never served under a newer one.

use std::sync::Arc;

use picarcade_intent::{Catalogue, Classifier, Matrix};

/// One consistent set of decision matrix, model catalogue and the classifier over them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Decides a type from a goal and the facts.
    pub matrix: Arc<Matrix>,
    /// The models, their prices and fallbacks.
    pub catalogue: Arc<Catalogue>,
    pub(crate) classifier: Arc<Classifier>,
}

impl Rules {
    /// A set of this matrix and this catalogue.
    pub fn new(matrix: Arc<Matrix>, catalogue: Arc<Catalogue>) -> Self {
        let classifier = Arc::new(Classifier::new(Arc::clone(&matrix)));
        Self { matrix, catalogue, classifier }
    }

    /// The set that is built in.
    pub fn embedded() -> Self {
        Self::new(Matrix::embedded(), Catalogue::embedded())
    }
}
