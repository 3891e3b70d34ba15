//! What a model takes and gives: its tensors and whether their first dimension is the batch.
//!
//! An engine makes one when it loads a model; decoding, batching and metadata read it.

use std::{num::NonZeroUsize, sync::Arc};

use thiserror::Error;

use crate::tensor::{DType, MAX_RANK, Shape, Tensor, TensorError};

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, unique among the inputs or outputs.
    pub name: Arc<str>,
    /// Its datatype.
    pub dtype: DType,
    /// Its dimensions; -1 stands for a dimension of variable size.
    pub shape: Vec<i64>,
}

impl TensorSpec {
    /// A spec of these parts.
    #[must_use]
    pub fn new(name: &str, dtype: DType, shape: &[i64]) -> Self {
        Self {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
        }
    }

    /// Whether a tensor of this shape fits: the same rank, and equal where the size is fixed.
    #[must_use]
    pub fn accepts(&self, shape: &Shape) -> bool {
        let fits = |(&spec, &dim): (&i64, &usize)| spec < 0 || usize::try_from(spec) == Ok(dim);
        self.shape.len() == shape.rank() && self.shape.iter().zip(shape.dims()).all(fits)
    }

    /// The elements that a request may bring, when sizes are fixed: `rows` times the other
    /// dimensions, or all dimensions when there are no rows.
    fn most_elements(&self, rows: Option<usize>) -> Option<usize> {
        let dims = &self.shape[usize::from(rows.is_some())..];
        let fixed = dims.iter().map(|&dim| usize::try_from(dim).ok());
        fixed
            .chain(rows.map(Some))
            .try_fold(1_usize, |product, dim| product.checked_mul(dim?))
    }
}

/// The signature of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSignature {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    max_rows: Option<NonZeroUsize>,
}

/// Why tensors are no signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Two inputs or two outputs of one name.
    #[error("the model has two tensors named '{0}'")]
    Duplicate(Arc<str>),
    /// A dimension below -1 or a shape that is too large.
    #[error("tensor '{0}' has the impossible shape {1:?}")]
    Shape(Arc<str>, Vec<i64>),
    /// Nothing to answer with.
    #[error("the model has no outputs")]
    NoOutputs,
}

impl ModelSignature {
    /// A signature of these tensors, in the engine's order.
    ///
    /// The model takes batches of up to `max_rows` rows when the first dimension of every input and
    /// output is variable, else (or without inputs) each request is run alone.
    ///
    /// # Errors
    /// When names repeat, a shape is impossible or there is no output.
    pub fn new(
        inputs: Vec<TensorSpec>,
        outputs: Vec<TensorSpec>,
        max_rows: NonZeroUsize,
    ) -> Result<Self, SignatureError> {
        if outputs.is_empty() {
            return Err(SignatureError::NoOutputs);
        }
        check(&inputs)?;
        check(&outputs)?;
        let mut all = inputs.iter().chain(&outputs);
        let batched = !inputs.is_empty() && all.all(|spec| spec.shape.first() == Some(&-1));
        Ok(Self {
            inputs,
            outputs,
            max_rows: batched.then_some(max_rows),
        })
    }

    /// The same model with each request run alone: for one whose first dimension is no batch after
    /// all, which only the engine can find out.
    #[must_use]
    pub fn without_batching(self) -> Self {
        Self {
            max_rows: None,
            ..self
        }
    }

    /// The inputs, in the order in which engines get them.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// The outputs, in the order in which engines give them.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// The most rows of a batch and of a request; `None` when the first dimension is no batch.
    #[must_use]
    pub fn max_rows(&self) -> Option<NonZeroUsize> {
        self.max_rows
    }

    /// Whether requests may be put together by rows.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        self.max_rows.is_some()
    }

    /// The most bytes of tensor data in a request, raw or typed; `None` when sizes vary.
    #[must_use]
    pub fn widest_request(&self) -> Option<usize> {
        let rows = self.max_rows.map(NonZeroUsize::get);
        self.inputs.iter().try_fold(0_usize, |sum, spec| {
            let width = spec.dtype.widest_on_the_wire()?;
            sum.checked_add(spec.most_elements(rows)?.checked_mul(width)?)
        })
    }

    /// The outputs of a batch without rows: what a request of zero rows is answered with.
    ///
    /// A variable dimension is zero too, because nothing determines it.
    ///
    /// # Errors
    /// Never for a batched model, whose shapes were checked when the signature was made.
    pub fn empty_outputs(&self) -> Result<Vec<Tensor>, TensorError> {
        let empty = |spec: &TensorSpec| {
            let dims: Vec<usize> = spec
                .shape
                .iter()
                .map(|&dim| usize::try_from(dim).unwrap_or(0))
                .collect();
            let shape = Shape::new(&dims).unwrap_or_default();
            Tensor::new(
                Arc::clone(&spec.name),
                spec.dtype,
                shape,
                bytes::Bytes::new(),
            )
        };
        self.outputs.iter().map(empty).collect()
    }
}

fn check(specs: &[TensorSpec]) -> Result<(), SignatureError> {
    for (index, spec) in specs.iter().enumerate() {
        if specs[..index].iter().any(|other| other.name == spec.name) {
            return Err(SignatureError::Duplicate(Arc::clone(&spec.name)));
        }
        let variable_is_one: Vec<i64> = spec
            .shape
            .iter()
            .map(|&dim| if dim == -1 { 1 } else { dim })
            .collect();
        if spec.shape.len() > MAX_RANK || Shape::from_wire(&variable_is_one).is_err() {
            return Err(SignatureError::Shape(
                Arc::clone(&spec.name),
                spec.shape.clone(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(input: &[i64], output: &[i64]) -> Result<ModelSignature, SignatureError> {
        let rows = NonZeroUsize::new(8).unwrap();
        let inputs = vec![TensorSpec::new("x", DType::Fp32, input)];
        ModelSignature::new(
            inputs,
            vec![TensorSpec::new("y", DType::Int64, output)],
            rows,
        )
    }

    #[test]
    fn a_batch_needs_a_variable_first_dimension_everywhere() {
        let table: [(&[i64], &[i64], bool); 5] = [
            (&[-1, 4], &[-1], true),
            (&[-1, -1], &[-1, 3], true),
            (&[1, 4], &[-1], false),
            (&[-1, 4], &[10], false),
            (&[], &[-1], false),
        ];
        for (input, output, batched) in table {
            let signature = signature(input, output).unwrap();
            assert_eq!(signature.is_batched(), batched, "{input:?} {output:?}");
            assert_eq!(signature.max_rows().is_some(), batched);
        }
    }

    #[test]
    fn batching_can_be_taken_away() {
        let signature = signature(&[-1, 4], &[-1]).unwrap().without_batching();
        assert!(!signature.is_batched());
        assert_eq!(signature.inputs()[0].shape, [-1, 4]);
    }

    #[test]
    fn refuses_impossible_signatures() {
        assert!(
            matches!(signature(&[-2], &[-1]), Err(SignatureError::Shape(name, _)) if &*name == "x")
        );
        assert!(signature(&[-1], &[-1, i64::MAX, i64::MAX]).is_err());
        let rows = NonZeroUsize::MIN;
        assert_eq!(
            ModelSignature::new(vec![], vec![], rows),
            Err(SignatureError::NoOutputs)
        );
        let twice = vec![TensorSpec::new("y", DType::Bool, &[]); 2];
        let error = ModelSignature::new(vec![], twice, rows).unwrap_err();
        assert_eq!(error.to_string(), "the model has two tensors named 'y'");
    }

    #[test]
    fn accepts_shapes_by_rank_and_fixed_sizes() {
        let spec = TensorSpec::new("x", DType::Fp32, &[-1, 4]);
        for (dims, fits) in [
            (&[3_usize, 4] as &[_], true),
            (&[0, 4], true),
            (&[3, 5], false),
        ] {
            assert_eq!(spec.accepts(&Shape::new(dims).unwrap()), fits, "{dims:?}");
        }
        assert!(!spec.accepts(&Shape::new(&[3]).unwrap()));
    }

    #[test]
    fn sums_the_widest_request() {
        let widest = |inputs: &[(DType, &[i64])], output: &[i64]| {
            let spec = |(dtype, shape): &(DType, &[i64])| {
                TensorSpec::new(&format!("{dtype}"), *dtype, shape)
            };
            let inputs = inputs.iter().map(spec).collect();
            let outputs = vec![TensorSpec::new("y", DType::Fp32, output)];
            let rows = NonZeroUsize::new(8).unwrap();
            ModelSignature::new(inputs, outputs, rows)
                .unwrap()
                .widest_request()
        };
        let image: (DType, &[i64]) = (DType::Fp32, &[-1, 28, 28]);
        assert_eq!(
            widest(&[image, (DType::Int8, &[-1, 3])], &[-1]),
            Some(8 * (28 * 28 * 4 + 30))
        );
        assert_eq!(widest(&[(DType::Fp32, &[2, 3])], &[2]), Some(24));
        assert_eq!(widest(&[(DType::Fp32, &[])], &[]), Some(4));
        assert_eq!(widest(&[image], &[2]), None);
        assert_eq!(widest(&[(DType::Fp32, &[-1, -1])], &[-1]), None);
        assert_eq!(widest(&[(DType::Bytes, &[-1])], &[-1]), None);
    }

    #[test]
    fn answers_no_rows_with_no_rows() {
        let outputs = signature(&[-1], &[-1, 3, -1])
            .unwrap()
            .empty_outputs()
            .unwrap();
        assert_eq!(outputs[0].shape().dims(), [0, 3, 0]);
        assert!(outputs[0].data().is_empty());
    }
}
