//! One ONNX Runtime session as an [`Engine`]: loads a model, reads its signature, runs batches.
//!
//! Made and owned by one engine thread. Names and options are fixed at load; a run allocates the
//! input tensors, gathers the rows into them and hands the outputs on without a copy.
#![allow(unsafe_code, reason = "calls the C API")]

use std::{
    ffi::{CStr, CString, c_char, c_int},
    num::NonZeroUsize,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    ptr,
};

use aimodel_wire::{ModelSignature, TensorSpec};

use super::{
    ffi::{Session, SessionOptions, TensorInfo, TypeInfo, Value},
    library::{Ort, OrtError},
    value::{OwnedValue, dtype_of},
};
use crate::{
    batch::Batch,
    config::Device,
    engine::{Engine, EngineError, Outputs},
};

/// What a session may use.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Threads of an operator, the caller's included.
    pub intra_op: usize,
    /// Where it runs.
    pub device: Device,
    /// Rows of a batch at most.
    pub max_rows: NonZeroUsize,
}

/// A session, released with its owner.
#[derive(Debug)]
struct OwnedSession {
    ort: &'static Ort,
    raw: *mut Session,
}

/// A loaded model.
#[derive(Debug)]
pub struct OrtEngine {
    session: OwnedSession,
    signature: ModelSignature,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

// SAFETY: a session may be moved between threads; it is used by its owner alone (`&mut self`).
unsafe impl Send for OwnedSession {}

impl OrtEngine {
    /// Loads the model at `path`.
    ///
    /// # Errors
    /// When the library refuses the model or its signature is not made of tensors.
    pub fn load(ort: &'static Ort, path: &Path, limits: SessionLimits) -> Result<Self, OrtError> {
        let session = OwnedSession::load(ort, path, limits)?;
        let (inputs, input_specs) = session.describe_all(true)?;
        let (outputs, output_specs) = session.describe_all(false)?;
        let signature = ModelSignature::new(input_specs, output_specs, limits.max_rows)
            .map_err(|error| OrtError::found(error.to_string()))?;
        Ok(Self {
            session,
            signature,
            inputs,
            outputs,
        })
    }
}

impl OwnedSession {
    fn load(ort: &'static Ort, path: &Path, limits: SessionLimits) -> Result<Self, OrtError> {
        let options = Options::new(ort, limits)?;
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| OrtError::found("the model's path has a zero byte"))?;
        let mut raw = ptr::null_mut();
        // SAFETY: environment, path and options are valid over the call; `raw` is written.
        ort.check(unsafe {
            (ort.api.create_session)(ort.env, path.as_ptr(), options.raw, &raw mut raw)
        })?;
        Ok(Self { ort, raw })
    }

    fn describe_all(&self, input: bool) -> Result<(Vec<CString>, Vec<TensorSpec>), OrtError> {
        let api = &self.ort.api;
        let get_count = if input {
            api.session_get_input_count
        } else {
            api.session_get_output_count
        };
        let mut count = 0;
        // SAFETY: the session is valid; the count is written.
        let status = unsafe { get_count(self.raw, &raw mut count) };
        self.ort.check(status)?;
        (0..count)
            .map(|index| self.describe(index, input))
            .collect()
    }

    fn describe(&self, index: usize, input: bool) -> Result<(CString, TensorSpec), OrtError> {
        let (ort, api) = (self.ort, &self.ort.api);
        let (get_name, get_type) = if input {
            (api.session_get_input_name, api.session_get_input_type_info)
        } else {
            (
                api.session_get_output_name,
                api.session_get_output_type_info,
            )
        };
        let mut name = ptr::null_mut();
        let mut info: *mut TypeInfo = ptr::null_mut();
        // SAFETY: the index is below the count; out-pointers are valid; both results are released.
        unsafe {
            ort.check(get_name(self.raw, index, ort.allocator, &raw mut name))?;
            let name = ort.take_string(name)?;
            ort.check(get_type(self.raw, index, &raw mut info))?;
            let mut tensor: *const TensorInfo = ptr::null();
            let cast = ort.check((api.cast_type_info_to_tensor_info)(info, &raw mut tensor));
            let spec = cast.and_then(|()| self.spec(&name, tensor));
            (api.release_type_info)(info);
            Ok((name, spec?))
        }
    }

    fn spec(&self, name: &CStr, info: *const TensorInfo) -> Result<TensorSpec, OrtError> {
        let name = name.to_string_lossy();
        if info.is_null() {
            return Err(OrtError::found(format!(
                "'{name}' of the model is not a tensor"
            )));
        }
        let (ort, api) = (self.ort, &self.ort.api);
        let (mut element, mut rank) = (0, 0);
        // SAFETY: `info` is valid while its type info lives; `shape` has `rank` elements.
        let shape = unsafe {
            ort.check((api.get_tensor_element_type)(info, &raw mut element))?;
            ort.check((api.get_dimensions_count)(info, &raw mut rank))?;
            let mut shape = vec![0_i64; rank];
            ort.check((api.get_dimensions)(info, shape.as_mut_ptr(), rank))?;
            shape
        };
        let dtype = dtype_of(element).ok_or_else(|| {
            OrtError::found(format!(
                "'{name}' has ONNX element type {element}, which the protocol lacks"
            ))
        })?;
        Ok(TensorSpec::new(&name, dtype, &shape))
    }
}

impl OrtEngine {
    fn run_values(&mut self, inputs: &[OwnedValue]) -> Result<Vec<OwnedValue>, OrtError> {
        let ort = self.session.ort;
        let names = |all: &[CString]| {
            all.iter()
                .map(|n| n.as_ptr())
                .collect::<Vec<*const c_char>>()
        };
        let (input_names, output_names) = (names(&self.inputs), names(&self.outputs));
        let values: Vec<*const Value> = inputs.iter().map(OwnedValue::as_ptr).collect();
        let mut results: Vec<*mut Value> = vec![ptr::null_mut(); self.outputs.len()];
        // SAFETY: names and values are as many as given and live over the call; `results` has room
        // for every output and starts as nulls, which asks the library to allocate.
        let status = unsafe {
            (ort.api.run)(
                self.session.raw,
                ptr::null(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                results.as_mut_ptr(),
            )
        };
        let checked = ort.check(status);
        // Taken over before the check, so that nothing leaks when only some outputs were made.
        let owned = results.into_iter().filter(|value| !value.is_null());
        let owned: Vec<_> = owned.map(|value| OwnedValue::new(ort, value)).collect();
        checked?;
        if owned.len() != self.outputs.len() {
            return Err(OrtError::found(
                "ONNX Runtime gave fewer outputs than the model has",
            ));
        }
        Ok(owned)
    }
}

impl Engine for OrtEngine {
    fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    fn run(&mut self, batch: Batch<'_>) -> Result<Outputs, EngineError> {
        let inputs: Vec<_> = (0..self.inputs.len())
            .map(|input| OwnedValue::gather(self.session.ort, &batch, input))
            .collect::<Result<_, _>>()?;
        let outputs = self.run_values(&inputs)?;
        let specs = self.signature.outputs();
        outputs
            .into_iter()
            .zip(specs)
            .map(|(value, spec)| value.into_tensor(spec))
            .collect()
    }
}

impl Drop for OwnedSession {
    fn drop(&mut self) {
        // SAFETY: the session was created by this library and is released once.
        unsafe { (self.ort.api.release_session)(self.raw) }
    }
}

/// Session options, released after the session was made.
struct Options {
    ort: &'static Ort,
    raw: *mut SessionOptions,
}

impl Options {
    fn new(ort: &'static Ort, limits: SessionLimits) -> Result<Self, OrtError> {
        let mut raw = ptr::null_mut();
        // SAFETY: the out-pointer is valid.
        ort.check(unsafe { (ort.api.create_session_options)(&raw mut raw) })?;
        let options = Self { ort, raw };
        let threads = c_int::try_from(limits.intra_op).unwrap_or(1);
        // SAFETY: the options are valid; keys and values are static C strings.
        unsafe {
            let api = &ort.api;
            ort.check((api.set_intra_op_num_threads)(raw, threads))?;
            ort.check((api.set_inter_op_num_threads)(raw, 1))?;
            // The arena never gives memory back, and patterns are kept for every shape seen.
            ort.check((api.disable_cpu_mem_arena)(raw))?;
            ort.check((api.disable_mem_pattern)(raw))?;
            // Spinning threads burn the container's quota.
            for key in [
                c"session.intra_op.allow_spinning",
                c"session.inter_op.allow_spinning",
            ] {
                ort.check((api.add_session_config_entry)(
                    raw,
                    key.as_ptr(),
                    c"0".as_ptr(),
                ))?;
            }
        }
        if limits.device == Device::Cuda {
            options.use_cuda()?;
        }
        Ok(options)
    }

    fn use_cuda(&self) -> Result<(), OrtError> {
        let (api, mut cuda) = (&self.ort.api, ptr::null_mut());
        // SAFETY: the CUDA options are created, used and released here; the session options hold
        // a copy.
        unsafe {
            self.ort.check((api.create_cuda_options)(&raw mut cuda))?;
            let appended = self.ort.check((api.append_cuda)(self.raw, cuda));
            (api.release_cuda_options)(cuda);
            appended
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: created by this library and released once.
        unsafe { (self.ort.api.release_session_options)(self.raw) }
    }
}
