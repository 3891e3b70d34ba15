//! Tensors in ONNX Runtime's memory: a batch gathered into one, an output shared without a copy.
//!
//! Called by `session`. An output's memory lives as long as the last `Bytes` that points into it.
#![allow(unsafe_code, reason = "calls the C API and shares its memory")]

use std::{
    ffi::{c_char, c_int},
    ptr, slice,
};

use aimodel_wire::{
    DType, EngineFailure, Shape, Tensor, TensorSpec,
    tensor::bytes::{join, split},
};
use bytes::Bytes;

use super::{
    ffi::{TensorInfo, Value},
    library::{Ort, OrtError},
};
use crate::{batch::Batch, engine::EngineError};

/// `ONNXTensorElementDataType` by datatype; numbers follow `TensorProto.DataType`, 16 is BFLOAT16.
const ELEMENTS: [(c_int, DType); 14] = [
    (1, DType::Fp32),
    (2, DType::Uint8),
    (3, DType::Int8),
    (4, DType::Uint16),
    (5, DType::Int16),
    (6, DType::Int32),
    (7, DType::Int64),
    (8, DType::Bytes),
    (9, DType::Bool),
    (10, DType::Fp16),
    (11, DType::Fp64),
    (12, DType::Uint32),
    (13, DType::Uint64),
    (16, DType::Bf16),
];

/// The protocol's datatype of an ONNX element type.
pub(super) fn dtype_of(element: c_int) -> Option<DType> {
    ELEMENTS
        .iter()
        .find(|(known, _)| *known == element)
        .map(|(_, dtype)| *dtype)
}

fn element_of(dtype: DType) -> c_int {
    ELEMENTS
        .iter()
        .find(|(_, known)| *known == dtype)
        .map_or(0, |(element, _)| *element)
}

/// A value that this process owns.
pub(super) struct OwnedValue {
    ort: &'static Ort,
    raw: *mut Value,
}

// SAFETY: a value has no thread affinity; the owner is its only user.
unsafe impl Send for OwnedValue {}

impl OwnedValue {
    /// Takes over `raw`, which is not null.
    pub(super) fn new(ort: &'static Ort, raw: *mut Value) -> Self {
        Self { ort, raw }
    }

    pub(super) fn as_ptr(&self) -> *const Value {
        self.raw
    }

    /// A tensor that holds an input of the whole batch.
    pub(super) fn gather(
        ort: &'static Ort,
        batch: &Batch<'_>,
        input: usize,
    ) -> Result<Self, EngineError> {
        let (dtype, shape) = (batch.dtype(input)?, batch.shape(input)?);
        let dims = shape.to_wire();
        let mut raw = ptr::null_mut();
        // SAFETY: `dims` lives over the call; the out-pointer is valid.
        ort.check(unsafe {
            (ort.api.create_tensor_as_ort_value)(
                ort.allocator,
                dims.as_ptr(),
                dims.len(),
                element_of(dtype),
                &raw mut raw,
            )
        })?;
        let value = Self::new(ort, raw);
        if dtype == DType::Bytes {
            value.fill_strings(batch, input)?;
            return Ok(value);
        }
        let size = batch.size_bytes(input);
        // SAFETY: the library allocated elements x size bytes for this shape and datatype, which
        // is what a checked tensor of the batch has; nothing else points there.
        let memory = unsafe { slice::from_raw_parts_mut(value.data()?, size) };
        batch.gather_into(input, memory)?;
        Ok(value)
    }

    fn fill_strings(&self, batch: &Batch<'_>, input: usize) -> Result<(), EngineError> {
        let mut index = 0;
        for part in batch.parts(input) {
            let strings = split(part)
                .map_err(|error| EngineError::new(EngineFailure::Internal, error.to_string()))?;
            for string in strings {
                let mut buffer: *mut c_char = ptr::null_mut();
                // SAFETY: the element exists, since the shape counts exactly these strings; the
                // library makes room for `string.len()` bytes at `buffer`.
                unsafe {
                    self.ort.check((self.ort.api.get_resized_string_buffer)(
                        self.raw,
                        index,
                        string.len(),
                        &raw mut buffer,
                    ))?;
                    ptr::copy_nonoverlapping(string.as_ptr(), buffer.cast::<u8>(), string.len());
                }
                index += 1;
            }
        }
        Ok(())
    }

    /// The data; never null, so that an empty tensor can be a slice too.
    fn data(&self) -> Result<*mut u8, OrtError> {
        let mut data = ptr::null_mut();
        let get = self.ort.api.get_tensor_mutable_data;
        // SAFETY: the value is a tensor of fixed-size elements; the out-pointer is valid.
        self.ort.check(unsafe { get(self.raw, &raw mut data) })?;
        Ok(if data.is_null() {
            ptr::dangling_mut()
        } else {
            data.cast()
        })
    }

    /// The output as a tensor of the protocol; its name is the signature's, its shape its own.
    pub(super) fn into_tensor(self, spec: &TensorSpec) -> Result<Tensor, EngineError> {
        let (dtype, shape) = self.kind()?;
        let data = match dtype.size() {
            None => self.strings(shape.elements())?,
            Some(size) => {
                let len = shape.elements() * size;
                let data = self.data()?;
                Bytes::from_owner(Shared {
                    data,
                    len,
                    _value: self,
                })
            }
        };
        Tensor::new(spec.name.clone(), dtype, shape, data)
            .map_err(|error| EngineError::new(EngineFailure::Internal, error.to_string()))
    }

    fn kind(&self) -> Result<(DType, Shape), OrtError> {
        let (ort, api) = (self.ort, &self.ort.api);
        let mut info: *mut TensorInfo = ptr::null_mut();
        // SAFETY: the value is valid; `info` is released once, after its last use.
        unsafe {
            ort.check((api.get_tensor_type_and_shape)(self.raw, &raw mut info))?;
            let kind = self.read_kind(info);
            (api.release_tensor_info)(info);
            kind
        }
    }

    fn read_kind(&self, info: *const TensorInfo) -> Result<(DType, Shape), OrtError> {
        let (ort, api) = (self.ort, &self.ort.api);
        let (mut element, mut rank) = (0, 0);
        // SAFETY: `info` is valid; `dims` has `rank` elements.
        let dims = unsafe {
            ort.check((api.get_tensor_element_type)(info, &raw mut element))?;
            ort.check((api.get_dimensions_count)(info, &raw mut rank))?;
            let mut dims = vec![0_i64; rank];
            ort.check((api.get_dimensions)(info, dims.as_mut_ptr(), rank))?;
            dims
        };
        let dtype = dtype_of(element).ok_or_else(|| {
            OrtError::found(format!(
                "an output has ONNX element type {element}, which the protocol lacks"
            ))
        })?;
        let shape = Shape::from_wire(&dims).map_err(|error| OrtError::found(error.to_string()))?;
        Ok((dtype, shape))
    }

    fn strings(&self, count: usize) -> Result<Bytes, EngineError> {
        let (ort, api) = (self.ort, &self.ort.api);
        let mut length = 0;
        // SAFETY: the value is a tensor of strings; the out-pointer is valid.
        ort.check(unsafe { (api.get_string_tensor_data_length)(self.raw, &raw mut length) })?;
        let (mut content, mut starts) = (vec![0_u8; length], vec![0_usize; count]);
        // SAFETY: both buffers have the lengths that are given.
        ort.check(unsafe {
            (api.get_string_tensor_content)(
                self.raw,
                content.as_mut_ptr().cast(),
                length,
                starts.as_mut_ptr(),
                count,
            )
        })?;
        let ends = starts.iter().skip(1).copied().chain([length]);
        let strings: Option<Vec<&[u8]>> = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| content.get(start..end))
            .collect();
        let strings = strings.ok_or_else(|| OrtError::found("string offsets are out of order"))?;
        join(&strings).map_err(|error| EngineError::new(EngineFailure::Internal, error.to_string()))
    }
}

impl Drop for OwnedValue {
    fn drop(&mut self) {
        // SAFETY: owned, and released once.
        unsafe { (self.ort.api.release_value)(self.raw) }
    }
}

/// The memory of an output, kept alive by its value.
struct Shared {
    data: *const u8,
    len: usize,
    _value: OwnedValue,
}

// SAFETY: the memory is only read from here on, and its value may be released on any thread.
unsafe impl Send for Shared {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the value owns `len` bytes at `data` and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_has_its_element_type() {
        for dtype in DType::ALL {
            assert_eq!(dtype_of(element_of(dtype)), Some(dtype));
        }
        assert_eq!((element_of(DType::Fp32), element_of(DType::Bf16)), (1, 16));
        assert_eq!(dtype_of(0), None);
        assert_eq!(dtype_of(14), None, "COMPLEX64");
    }
}
