//! A decoded request in its two halves: what the engine needs and what the answer needs.

use smallvec::SmallVec;

use crate::{ModelSignature, Tensor};

/// The sizes of a request's variable dimensions, the batch dimension left out.
///
/// Requests of one model may share a batch when their keys are equal; a model of fixed shapes has
/// the empty key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShapeKey(SmallVec<[usize; 4]>);

/// What goes to the engine: checked against the model's signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    inputs: Vec<Tensor>,
    outputs: SmallVec<[usize; 4]>,
    rows: usize,
    size_bytes: usize,
    key: ShapeKey,
}

impl Work {
    /// Work of inputs in the signature's order, each of which fits its spec and has `rows` rows.
    pub(super) fn new(
        signature: &ModelSignature,
        inputs: Vec<Tensor>,
        outputs: SmallVec<[usize; 4]>,
        rows: usize,
    ) -> Self {
        let size_bytes = inputs.iter().map(|input| input.data().len()).sum();
        let key = shape_key(signature, &inputs);
        Self {
            inputs,
            outputs,
            rows,
            size_bytes,
            key,
        }
    }

    /// The inputs, in the signature's order.
    #[must_use]
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Which of the signature's outputs the client wants, in its order.
    #[must_use]
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The rows; always one for a model without a batch dimension.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes of all inputs.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Which other work may share a batch with this.
    #[must_use]
    pub fn key(&self) -> &ShapeKey {
        &self.key
    }
}

/// How tensor data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As `raw_input_contents` and `raw_output_contents`.
    Raw,
    /// As `InferTensorContents`.
    Typed,
}

/// What the handler keeps for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's own id, returned as it came.
    pub id: String,
    /// The style of the request, which the answer has too.
    pub style: Style,
}

fn shape_key(signature: &ModelSignature, inputs: &[Tensor]) -> ShapeKey {
    if !signature.is_batched() {
        return ShapeKey::default();
    }
    let specs = signature.inputs().iter().zip(inputs);
    ShapeKey(
        specs
            .flat_map(|(spec, tensor)| spec.shape.iter().zip(tensor.shape().dims()).skip(1))
            .filter(|(spec, _)| **spec < 0)
            .map(|(_, dim)| *dim)
            .collect(),
    )
}
