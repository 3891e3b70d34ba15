//! From a model's files to a warm engine, on the thread that will own it.
//!
//! Called by `process`. Every way in which this fails is a fatal end with a reason that the
//! operator shows.

use std::{num::NonZeroUsize, path::Path};

use super::{
    Engine,
    echo::EchoEngine,
    ort::{Ort, OrtEngine, SessionLimits},
    warmup::{self, Warmed},
};
use crate::{
    config::{Config, Device},
    fatal::{Fatal, Reason},
    repository::Files,
};

/// The execution provider that CUDA needs.
const CUDA_PROVIDER: &str = "CUDAExecutionProvider";

/// An engine that is ready to serve.
pub struct LoadedEngine {
    /// What was learnt when it was warmed.
    pub warmed: Warmed,
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Its name in the protocol.
    pub platform: &'static str,
    /// Its name and version for people and metrics.
    pub description: String,
}

impl std::fmt::Debug for LoadedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedEngine")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// Loads and warms the model.
///
/// # Errors
/// When the library, the device or the model cannot be used.
pub fn load(config: &Config, intra_op: usize, files: &Files) -> Result<LoadedEngine, Fatal> {
    let max_rows = NonZeroUsize::new(config.max_rows).unwrap_or(NonZeroUsize::MIN);
    match files {
        Files::Echo(path) => load_echo(config, path, max_rows),
        Files::Onnx(path) => load_onnx(
            config,
            path,
            SessionLimits {
                intra_op,
                device: config.device,
                max_rows,
            },
        ),
    }
}

impl LoadedEngine {
    fn new(mut engine: Box<dyn Engine>, platform: &'static str, description: String) -> Self {
        let warmed = warmup::warm_up(engine.as_mut());
        tracing::info!(engine = description, full_batch = ?warmed.full_batch, "warmed up");
        Self {
            warmed,
            engine,
            platform,
            description,
        }
    }
}

fn load_echo(config: &Config, path: &Path, max_rows: NonZeroUsize) -> Result<LoadedEngine, Fatal> {
    if config.device == Device::Cuda {
        let message = "the echo engine runs on the CPU only; set AIMODEL_DEVICE to CPU";
        return Err(Fatal::new(Reason::AcceleratorUnusable, message));
    }
    let engine = EchoEngine::load(path, max_rows, config.echo_faults)
        .map_err(|problem| Fatal::new(Reason::ModelLoadFailed, problem))?;
    Ok(LoadedEngine::new(
        Box::new(engine),
        "aimodel_echo",
        "echo".to_owned(),
    ))
}

fn load_onnx(config: &Config, path: &Path, limits: SessionLimits) -> Result<LoadedEngine, Fatal> {
    let failed = |message: String| Fatal::new(Reason::ModelLoadFailed, message);
    let library = config.ort_library.as_deref().ok_or_else(|| {
        failed("AIMODEL_ORT_LIBRARY is not set; set it to the path of libonnxruntime.so".to_owned())
    })?;
    let ort = Ort::load(library).map_err(|error| failed(error.to_string()))?;
    if limits.device == Device::Cuda {
        require_cuda(ort, library)?;
    }
    let engine = OrtEngine::load(ort, path, limits).map_err(|error| match limits.device {
        Device::Cuda if !is_loadable_on_cpu(ort, path, limits) => {
            failed(format!("{}: {error}", path.display()))
        }
        Device::Cuda => Fatal::new(
            Reason::AcceleratorUnusable,
            format!("the model loads on the CPU but CUDA cannot be used: {error}"),
        ),
        Device::Cpu => failed(format!("{}: {error}", path.display())),
    })?;
    Ok(LoadedEngine::new(
        Box::new(engine),
        "onnxruntime_onnx",
        format!("onnxruntime {}", ort.version()),
    ))
}

fn require_cuda(ort: &'static Ort, library: &Path) -> Result<(), Fatal> {
    let unusable = |message| Fatal::new(Reason::AcceleratorUnusable, message);
    let providers = ort
        .providers()
        .map_err(|error| unusable(error.to_string()))?;
    if providers.iter().any(|provider| provider == CUDA_PROVIDER) {
        return Ok(());
    }
    Err(unusable(format!(
        "{} was built without CUDA (it has {}); use the CUDA image or set AIMODEL_DEVICE to CPU",
        library.display(),
        providers.join(", "),
    )))
}

/// Tells a bad model from a bad device.
fn is_loadable_on_cpu(ort: &'static Ort, path: &Path, limits: SessionLimits) -> bool {
    OrtEngine::load(
        ort,
        path,
        SessionLimits {
            device: Device::Cpu,
            ..limits
        },
    )
    .is_ok()
}
