//! First runs: before the model is called ready, and when an engine is suspected to be dead.
//!
//! Called by `load` and `worker`. A first run allocates, compiles and pages in what later runs only
//! use. It also finds out whether rows may share a run at all: exporters declare the first dimension
//! variable in models that insist on one row or that mix the rows, and batching those would fail
//! requests or, worse, answer one client with another's data.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use aimodel_wire::{
    DType, EngineFailure, ModelSignature, Tensor, TensorSpec,
    oip::{self, Work},
    proto::{ModelInferRequest, model_infer_request::InferInputTensor},
};
use bytes::Bytes;

use super::{Engine, EngineError};
use crate::batch::{Batch, split};

/// Sizes tried for variable dimensions other than the batch: a convolution refuses a small one.
const SIZES: [i64; 4] = [1, 8, 64, 224];
/// A guess larger than this is not worth the memory.
const MOST_BYTES: usize = 256 << 20;
/// How far a row's outputs may move with its neighbours: kernels round differently by batch size.
const TOLERANCE: f64 = 1e-3;

/// A size for variable dimensions with which zeros were seen to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe(i64);

/// What was learnt from the first runs.
#[derive(Debug)]
pub struct Warmed {
    /// The engine's signature, without batching where that does not work.
    pub signature: ModelSignature,
    /// How to run zeros again; `None` when the model refuses zeros.
    pub probe: Option<Probe>,
    /// Time of a full batch.
    pub full_batch: Option<Duration>,
}

/// Warms `engine`. A model that refuses zeros is served all the same.
pub fn warm_up(engine: &mut dyn Engine) -> Warmed {
    let signature = engine.signature().clone();
    let varies = |spec: &TensorSpec| spec.shape.iter().skip(1).any(|dim| *dim < 0);
    let sizes = if signature.inputs().iter().any(varies) {
        &SIZES[..]
    } else {
        &SIZES[..1]
    };
    let mut last = None;
    for probe in sizes.iter().map(|size| Probe(*size)) {
        match run(engine, &signature, 1, probe) {
            Ok(_) => return warm_batches(engine, signature, probe),
            Err(error) => last = Some(error),
        }
    }
    tracing::warn!(
        ?last,
        "the model refuses zeros; it is served without having been tried"
    );
    Warmed {
        signature,
        probe: None,
        full_batch: None,
    }
}

fn warm_batches(engine: &mut dyn Engine, signature: ModelSignature, probe: Probe) -> Warmed {
    let Some(most) = signature.max_rows().map(NonZeroUsize::get) else {
        return Warmed {
            signature,
            probe: Some(probe),
            full_batch: None,
        };
    };
    let shared = if most == 1 {
        Ok(())
    } else {
        check_sharing(engine, &signature, probe)
    };
    let full_batch = shared.and_then(|()| run(engine, &signature, most, probe));
    match full_batch {
        Ok(time) => Warmed {
            signature,
            probe: Some(probe),
            full_batch: Some(time),
        },
        Err(error) => {
            tracing::warn!(%error, "the model takes no batches; requests run one by one");
            let signature = signature.without_batching();
            Warmed {
                signature,
                probe: Some(probe),
                full_batch: None,
            }
        }
    }
}

/// Runs `rows` rows of zeros and returns the time.
///
/// # Errors
/// When the engine refuses them, or its outputs are not those of its signature.
pub fn run(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
    rows: usize,
    probe: Probe,
) -> Result<Duration, EngineError> {
    let work = constant(signature, rows, probe, Filling::Zeros)?;
    let started = Instant::now();
    run_together(engine, signature, &[&work])?;
    Ok(started.elapsed())
}

/// Whether two different rows get together what each gets alone.
fn check_sharing(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
    probe: Probe,
) -> Result<(), EngineError> {
    let zeros = constant(signature, 1, probe, Filling::Zeros)?;
    let other = constant(signature, 1, probe, Filling::Others)?;
    let alone = run_together(engine, signature, &[&zeros])?;
    // Others may be out of range for a model that zeros suit, such as one of few categories.
    let (other, other_alone) = match run_together(engine, signature, &[&other]) {
        Ok(answers) => (other, answers),
        Err(_) => (zeros.clone(), alone.clone()),
    };
    let together = run_together(engine, signature, &[&zeros, &other])?;
    let separate = alone.into_iter().chain(other_alone);
    if separate
        .zip(&together)
        .all(|(one, both)| are_close(&one, both))
    {
        return Ok(());
    }
    Err(internal("rows of a batch change each other's outputs"))
}

fn run_together(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
    works: &[&Work],
) -> Result<Vec<Vec<Tensor>>, EngineError> {
    let outputs = engine.run(Batch::new(works.iter().copied())?)?;
    split(&outputs, signature, works)
}

fn are_close(one: &[Tensor], other: &[Tensor]) -> bool {
    one.iter().zip(other).all(|(one, other)| {
        let numbers = (floats(one), floats(other));
        one.shape() == other.shape()
            && match numbers {
                (Some(one), Some(other)) => one.zip(other).all(|(a, b)| is_close(a, b)),
                _ => one.data() == other.data(),
            }
    })
}

#[expect(
    clippy::float_cmp,
    reason = "equal infinities have no difference to measure"
)]
fn is_close(one: f64, other: f64) -> bool {
    let same = one == other || (one.is_nan() && other.is_nan());
    same || (one - other).abs() <= TOLERANCE * one.abs().max(other.abs()).max(1.0)
}

/// The numbers of a tensor of floats; `None` for types that are compared exactly.
fn floats(tensor: &Tensor) -> Option<impl Iterator<Item = f64> + '_> {
    let size = match tensor.dtype() {
        DType::Fp32 => 4,
        DType::Fp64 => 8,
        _ => return None,
    };
    Some(tensor.data().chunks_exact(size).map(|chunk| {
        let narrow = <[u8; 4]>::try_from(chunk).map(|bytes| f64::from(f32::from_le_bytes(bytes)));
        let wide = || <[u8; 8]>::try_from(chunk).map(f64::from_le_bytes);
        narrow.or_else(|_| wide()).unwrap_or(f64::NAN)
    }))
}

/// What the rows of a try consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    Zeros,
    /// Halves where there are fractions, else ones.
    Others,
}

impl Filling {
    /// The bytes of one element; a string is its length and nothing.
    fn element(self, dtype: DType) -> Vec<u8> {
        let zeros = vec![0; dtype.size().unwrap_or(4)];
        match (self, dtype) {
            (Self::Zeros, _) | (_, DType::Bytes) => zeros,
            (_, DType::Fp32) => 0.5_f32.to_le_bytes().to_vec(),
            (_, DType::Fp64) => 0.5_f64.to_le_bytes().to_vec(),
            (_, DType::Fp16) => 0x3800_u16.to_le_bytes().to_vec(),
            (_, DType::Bf16) => 0x3f00_u16.to_le_bytes().to_vec(),
            _ => std::iter::once(1)
                .chain(zeros)
                .take(dtype.size().unwrap_or(1))
                .collect(),
        }
    }
}

fn constant(
    signature: &ModelSignature,
    rows: usize,
    probe: Probe,
    filling: Filling,
) -> Result<Work, EngineError> {
    let request = request(signature.inputs(), rows, probe, filling)
        .ok_or_else(|| internal("a full batch is larger than 256 MiB"))?;
    let (work, _) =
        oip::decode(request, signature).map_err(|error| internal(&error.to_string()))?;
    Ok(work)
}

fn request(
    inputs: &[TensorSpec],
    rows: usize,
    probe: Probe,
    filling: Filling,
) -> Option<ModelInferRequest> {
    let rows = i64::try_from(rows).ok()?;
    let mut request = ModelInferRequest::default();
    for spec in inputs {
        let guesses = std::iter::once(rows).chain(std::iter::repeat(probe.0));
        let dims = spec.shape.iter().zip(guesses);
        let shape: Vec<i64> = dims
            .map(|(&dim, guess)| if dim < 0 { guess } else { dim })
            .collect();
        let element = filling.element(spec.dtype);
        let count = shape.iter().try_fold(1_usize, |count, &dim| {
            let count = count.checked_mul(usize::try_from(dim).ok()?)?;
            (count.checked_mul(element.len())? <= MOST_BYTES).then_some(count)
        })?;
        request
            .raw_input_contents
            .push(Bytes::from(element.repeat(count)));
        request.inputs.push(InferInputTensor {
            name: spec.name.to_string(),
            datatype: spec.dtype.name().to_owned(),
            shape,
            ..Default::default()
        });
    }
    Some(request)
}

fn internal(message: &str) -> EngineError {
    EngineError::new(EngineFailure::Internal, message)
}

#[cfg(test)]
#[path = "warmup_tests.rs"]
mod tests;
