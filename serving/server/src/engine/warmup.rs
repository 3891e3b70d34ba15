//! Runs of zeros, before the model is called ready and when an engine is suspected to be dead.
//!
//! Called by `process` and `worker`. A first run allocates, compiles and pages in what later runs
//! only use; the last one tells how fast the model is.

use std::time::{Duration, Instant};

use aimodel_wire::{
    DType, EngineFailure, ModelSignature, TensorSpec, oip,
    proto::{ModelInferRequest, model_infer_request::InferInputTensor},
};
use bytes::Bytes;

use super::{Engine, EngineError};
use crate::batch::{Batch, split};

/// Runs `rows` rows of zeros (empty strings); variable dimensions other than the batch are 1.
///
/// # Errors
/// When the engine refuses them, or its outputs are not those of its signature.
pub fn run(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
    rows: usize,
) -> Result<Duration, EngineError> {
    let internal = |message: String| EngineError::new(EngineFailure::Internal, message);
    let rows = if signature.is_batched() { rows } else { 1 };
    let request = zeros(signature.inputs(), rows);
    let (work, _) = oip::decode(request, signature).map_err(|error| internal(error.to_string()))?;
    let started = Instant::now();
    let outputs = engine.run(Batch::new([&work])?)?;
    let taken = started.elapsed();
    split(&outputs, signature, &[&work])?;
    Ok(taken)
}

/// Runs batches of 1, 2 and the most rows and returns the time of a full batch.
///
/// # Errors
/// As `run`.
pub fn warm_up(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
) -> Result<Duration, EngineError> {
    let most = signature.max_rows().map_or(1, std::num::NonZeroUsize::get);
    for rows in [1, 2.min(most), most] {
        run(engine, signature, rows)?;
    }
    run(engine, signature, most)
}

fn zeros(inputs: &[TensorSpec], rows: usize) -> ModelInferRequest {
    let rows = i64::try_from(rows).unwrap_or(1);
    let mut request = ModelInferRequest::default();
    for spec in inputs {
        let mut shape: Vec<i64> = spec.shape.iter().map(|dim| (*dim).max(-1)).collect();
        if let Some(first) = shape.first_mut().filter(|dim| **dim < 0) {
            *first = rows;
        }
        shape
            .iter_mut()
            .filter(|dim| **dim < 0)
            .for_each(|dim| *dim = 1);
        let elements: usize = shape
            .iter()
            .map(|dim| usize::try_from(*dim).unwrap_or(0))
            .product();
        // An empty string is its length, four bytes of zero.
        let size = if spec.dtype == DType::Bytes {
            4
        } else {
            spec.dtype.size().unwrap_or(4)
        };
        request
            .raw_input_contents
            .push(Bytes::from(vec![0; elements * size]));
        request.inputs.push(InferInputTensor {
            name: spec.name.to_string(),
            datatype: spec.dtype.name().to_owned(),
            shape,
            ..Default::default()
        });
    }
    request
}
