//! The product of rows of numbers with a matrix.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// A matrix and a bias: the weights of a layer that maps rows of inputs to rows of outputs.
pub(super) struct Dense {
    /// One row per input, because the product is fastest in this order.
    weights: Array2<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// Creates a layer from one row of small integers per output, and the scale of each row.
    pub(super) fn new(rows: &[u8], scales: &[f32], bias: Vec<f32>, inputs: usize) -> Self {
        let mut weights = Array2::zeros((inputs, scales.len()));
        for ((mut column, row), scale) in
            weights.columns_mut().into_iter().zip(rows.chunks_exact(inputs)).zip(scales)
        {
            for (weight, byte) in column.iter_mut().zip(row) {
                *weight = f32::from(byte.cast_signed()) * scale;
            }
        }
        Self { weights, bias }
    }

    /// Computes the outputs of each row of inputs. Both slices hold the same number of rows.
    pub(super) fn apply(&self, inputs: &[f32], outputs: &mut [f32]) {
        let (columns, width) = self.weights.dim();
        for row in outputs.chunks_exact_mut(width) {
            row.copy_from_slice(&self.bias);
        }
        let rows = inputs.len() / columns;
        if let Ok(inputs) = ArrayView2::from_shape((rows, columns), inputs)
            && let Ok(mut outputs) = ArrayViewMut2::from_shape((rows, width), outputs)
        {
            general_mat_mul(1.0, &inputs, &self.weights, 1.0, &mut outputs);
        }
    }
}
