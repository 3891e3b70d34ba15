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
        // An output whose first dimension is not the rows makes no batches, but it is an answer.
        let alone = signature.clone().without_batching();
        if signature.is_batched() && run(engine, &alone, 1, probe).is_ok() {
            tracing::warn!(?last, "the model takes no batches; requests run one by one");
            return Warmed {
                signature: alone,
                probe: Some(probe),
                full_batch: None,
            };
        }
    }
    tracing::warn!(
        ?last,
        "zeros were not answered; the model is served without having been tried"
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

/// Whether different rows get together what each gets alone, whichever of them comes first.
///
/// A model that carries something from one row to the next (a sum, a state) shows it only when the
/// row before is not zero, and one that is refused anything but zeros cannot be judged: neither is
/// batched.
fn check_sharing(
    engine: &mut dyn Engine,
    signature: &ModelSignature,
    probe: Probe,
) -> Result<(), EngineError> {
    let halves = constant(signature, 1, probe, Filling::Halves)?;
    let varied = constant(signature, 1, probe, Filling::Varied)?;
    let alone = [
        run_together(engine, signature, &[&halves])?,
        run_together(engine, signature, &[&varied])?,
    ];
    // Neither row is zero, so what one hands to the other shows in either direction.
    let together = run_together(engine, signature, &[&halves, &varied])?;
    if !alone
        .iter()
        .flatten()
        .zip(&together)
        .all(|(a, b)| are_close(a, b))
    {
        return Err(internal("rows of a batch change each other's outputs"));
    }
    Ok(())
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
    Halves,
    /// Fractions that differ along the row, else ones and zeros in turn.
    Varied,
}

impl Filling {
    /// The bytes of `count` elements; a string is its length and nothing.
    fn elements(self, dtype: DType, count: usize) -> Vec<u8> {
        match self {
            Self::Zeros => vec![0; count * dtype.size().unwrap_or(4)],
            Self::Halves => self.element(dtype, 0).repeat(count),
            Self::Varied => (0..count)
                .flat_map(|index| self.element(dtype, index))
                .collect(),
        }
    }

    fn element(self, dtype: DType, index: usize) -> Vec<u8> {
        let zeros = vec![0; dtype.size().unwrap_or(4)];
        let fraction = match self {
            Self::Zeros => return zeros,
            Self::Halves => 0.5,
            Self::Varied => f32::from(u8::try_from(1 + index % 7).unwrap_or(1)) / 8.0,
        };
        match dtype {
            DType::Bytes => zeros,
            DType::Fp32 => fraction.to_le_bytes().to_vec(),
            DType::Fp64 => f64::from(fraction).to_le_bytes().to_vec(),
            // The upper half of an FP32 is the same number as BF16.
            DType::Bf16 => fraction.to_le_bytes()[2..].to_vec(),
            DType::Fp16 if self == Self::Varied && index % 2 == 1 => {
                0x3400_u16.to_le_bytes().to_vec()
            }
            DType::Fp16 => 0x3800_u16.to_le_bytes().to_vec(),
            _ if self == Self::Varied && index % 2 == 1 => zeros,
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
        .ok_or_else(|| internal(&format!("{rows} rows are larger than 256 MiB")))?;
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
        let size = spec.dtype.size().unwrap_or(4);
        let count = shape.iter().try_fold(1_usize, |count, &dim| {
            let count = count.checked_mul(usize::try_from(dim).ok()?)?;
            (count.checked_mul(size)? <= MOST_BYTES).then_some(count)
        })?;
        request
            .raw_input_contents
            .push(Bytes::from(filling.elements(spec.dtype, count)));
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
