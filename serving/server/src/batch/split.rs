//! The outputs of a batch as one answer per request.
//!
//! The worker calls it after a run. Large answers are slices of the engine's output, so nothing is
//! copied; small ones get memory of their own, so that one slow reader does not keep the output of
//! a whole batch alive.

use aimodel_wire::{EngineFailure, ModelSignature, Tensor, oip::Work};

use crate::engine::{EngineError, Outputs};

/// Below this many bytes an answer is copied.
const COPY_BELOW: usize = 16 << 10;

/// The requested outputs of each request, in the order of the requests.
///
/// # Errors
/// When the outputs are not those of the signature or do not have the batch's rows: the engine is
/// wrong, and no request of the batch can be answered.
pub fn split(
    outputs: &Outputs,
    signature: &ModelSignature,
    works: &[&Work],
) -> Result<Vec<Vec<Tensor>>, EngineError> {
    check(outputs, signature, works)?;
    if let [work] = works {
        return Ok(vec![
            work.outputs()
                .iter()
                .map(|&index| outputs[index].clone())
                .collect(),
        ]);
    }
    let mut end = 0;
    let answer = |work: &&Work| {
        let start = end;
        end += work.rows();
        let cut = |&index: &usize| cut(&outputs[index], start, end);
        work.outputs().iter().map(cut).collect()
    };
    works.iter().map(answer).collect()
}

fn cut(output: &Tensor, start: usize, end: usize) -> Result<Tensor, EngineError> {
    let part = output
        .slice_rows(start..end)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(if part.data().len() < COPY_BELOW {
        part.detached()
    } else {
        part
    })
}

fn check(
    outputs: &Outputs,
    signature: &ModelSignature,
    works: &[&Work],
) -> Result<(), EngineError> {
    let specs = signature.outputs();
    if outputs.len() != specs.len() {
        return Err(wrong(format!(
            "{} outputs for {}",
            outputs.len(),
            specs.len()
        )));
    }
    if !signature.is_batched() && works.len() != 1 {
        return Err(wrong(format!(
            "{} requests in one run without a batch",
            works.len()
        )));
    }
    let rows: usize = works.iter().map(|work| work.rows()).sum();
    for (output, spec) in outputs.iter().zip(specs) {
        let (name, dtype) = (output.name(), output.dtype());
        if (name, dtype) != (&spec.name, spec.dtype) {
            let expected = format!("'{}' of {}", spec.name, spec.dtype);
            return Err(wrong(format!(
                "output '{name}' of {dtype} in the place of {expected}"
            )));
        }
        if signature.is_batched() && output.rows() != Some(rows) {
            let shape = output.shape();
            return Err(wrong(format!(
                "output '{name}' of shape {shape} for {rows} rows"
            )));
        }
    }
    Ok(())
}

fn wrong(what: impl AsRef<str>) -> EngineError {
    let message = format!("the engine gave {}", what.as_ref());
    EngineError::new(EngineFailure::Internal, message)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
