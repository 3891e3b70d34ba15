//! Typed contents to raw little-endian bytes and back.
//!
//! The slow path of the protocol: each direction copies once more than raw contents do. FP16 and
//! BF16 have no typed form.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::{DType, bytes as strings};
use crate::proto::InferTensorContents;

/// Why typed contents are no tensor data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TypedError {
    /// FP16 or BF16.
    #[error("{0} has no typed contents; send it in raw_input_contents")]
    NoTypedForm(DType),
    /// Another list than the datatype's is filled.
    #[error("{dtype} belongs into {expected}, but {found} is filled")]
    WrongList {
        /// The datatype.
        dtype: DType,
        /// The list that the datatype has.
        expected: &'static str,
        /// The list that was filled.
        found: &'static str,
    },
    /// Another number of elements than the shape has.
    #[error("{expected} elements are needed, {list} has {actual}")]
    WrongCount {
        /// The list.
        list: &'static str,
        /// What the shape asks for.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A number that the datatype cannot hold.
    #[error("element {index} is {value}, which {dtype} cannot hold")]
    OutOfRange {
        /// Which element.
        index: usize,
        /// Its value.
        value: i64,
        /// The datatype.
        dtype: DType,
    },
    /// A BYTES element that cannot be encoded.
    #[error(transparent)]
    Strings(#[from] strings::StringsError),
}

/// The raw form of typed contents that hold exactly `elements` elements of `dtype`.
///
/// # Errors
/// When another list is filled, the count differs or a number does not fit. Nothing is allocated
/// before the count was checked.
pub fn to_raw(
    contents: &InferTensorContents,
    dtype: DType,
    elements: usize,
) -> Result<Bytes, TypedError> {
    let expected = list_of(dtype)?;
    let mut actual = 0;
    for (list, length) in lengths(contents) {
        if list == expected {
            actual = length;
        } else if length > 0 {
            return Err(TypedError::WrongList {
                dtype,
                expected,
                found: list,
            });
        }
    }
    if actual != elements {
        return Err(TypedError::WrongCount {
            list: expected,
            expected: elements,
            actual,
        });
    }
    write(contents, dtype)
}

/// The typed form of raw data.
///
/// # Errors
/// `NoTypedForm` for FP16 and BF16, `Strings` for malformed BYTES data.
pub fn from_raw(data: &Bytes, dtype: DType) -> Result<InferTensorContents, TypedError> {
    list_of(dtype)?;
    let mut contents = InferTensorContents::default();
    match dtype {
        DType::Bool => contents.bool_contents = data.iter().map(|&byte| byte != 0).collect(),
        DType::Int8 => contents.int_contents = numbers(data, |b| i8::from_le_bytes(b).into()),
        DType::Int16 => contents.int_contents = numbers(data, |b| i16::from_le_bytes(b).into()),
        DType::Int32 => contents.int_contents = numbers(data, i32::from_le_bytes),
        DType::Int64 => contents.int64_contents = numbers(data, i64::from_le_bytes),
        DType::Uint8 => contents.uint_contents = numbers(data, |b| u8::from_le_bytes(b).into()),
        DType::Uint16 => contents.uint_contents = numbers(data, |b| u16::from_le_bytes(b).into()),
        DType::Uint32 => contents.uint_contents = numbers(data, u32::from_le_bytes),
        DType::Uint64 => contents.uint64_contents = numbers(data, u64::from_le_bytes),
        DType::Fp32 => contents.fp32_contents = numbers(data, f32::from_le_bytes),
        DType::Fp64 => contents.fp64_contents = numbers(data, f64::from_le_bytes),
        DType::Bytes => contents.bytes_contents = strings::split(data)?,
        DType::Fp16 | DType::Bf16 => return Err(TypedError::NoTypedForm(dtype)),
    }
    Ok(contents)
}

/// Whether the datatype has a list in `InferTensorContents`.
#[must_use]
pub fn has_typed_form(dtype: DType) -> bool {
    list_of(dtype).is_ok()
}

fn list_of(dtype: DType) -> Result<&'static str, TypedError> {
    match dtype {
        DType::Bool => Ok("bool_contents"),
        DType::Int8 | DType::Int16 | DType::Int32 => Ok("int_contents"),
        DType::Int64 => Ok("int64_contents"),
        DType::Uint8 | DType::Uint16 | DType::Uint32 => Ok("uint_contents"),
        DType::Uint64 => Ok("uint64_contents"),
        DType::Fp32 => Ok("fp32_contents"),
        DType::Fp64 => Ok("fp64_contents"),
        DType::Bytes => Ok("bytes_contents"),
        DType::Fp16 | DType::Bf16 => Err(TypedError::NoTypedForm(dtype)),
    }
}

fn lengths(contents: &InferTensorContents) -> [(&'static str, usize); 8] {
    [
        ("bool_contents", contents.bool_contents.len()),
        ("int_contents", contents.int_contents.len()),
        ("int64_contents", contents.int64_contents.len()),
        ("uint_contents", contents.uint_contents.len()),
        ("uint64_contents", contents.uint64_contents.len()),
        ("fp32_contents", contents.fp32_contents.len()),
        ("fp64_contents", contents.fp64_contents.len()),
        ("bytes_contents", contents.bytes_contents.len()),
    ]
}

fn write(contents: &InferTensorContents, dtype: DType) -> Result<Bytes, TypedError> {
    let (ints, uints) = (&contents.int_contents, &contents.uint_contents);
    match dtype {
        DType::Bool => Ok(contents
            .bool_contents
            .iter()
            .map(|&bit| u8::from(bit))
            .collect()),
        DType::Int8 => narrow(ints, dtype, i8::to_le_bytes),
        DType::Int16 => narrow(ints, dtype, i16::to_le_bytes),
        DType::Int32 => Ok(pack(ints, i32::to_le_bytes)),
        DType::Int64 => Ok(pack(&contents.int64_contents, i64::to_le_bytes)),
        DType::Uint8 => narrow(uints, dtype, u8::to_le_bytes),
        DType::Uint16 => narrow(uints, dtype, u16::to_le_bytes),
        DType::Uint32 => Ok(pack(uints, u32::to_le_bytes)),
        DType::Uint64 => Ok(pack(&contents.uint64_contents, u64::to_le_bytes)),
        DType::Fp32 => Ok(pack(&contents.fp32_contents, f32::to_le_bytes)),
        DType::Fp64 => Ok(pack(&contents.fp64_contents, f64::to_le_bytes)),
        DType::Bytes => Ok(strings::join(&contents.bytes_contents)?),
        DType::Fp16 | DType::Bf16 => Err(TypedError::NoTypedForm(dtype)),
    }
}

fn numbers<const N: usize, T>(data: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| number(chunk))
        .collect()
}

fn pack<const N: usize, T: Copy>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Bytes {
    let mut data = BytesMut::with_capacity(values.len() * N);
    for &value in values {
        data.put_slice(&bytes(value));
    }
    data.freeze()
}

fn narrow<const N: usize, W, T>(
    values: &[W],
    dtype: DType,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Bytes, TypedError>
where
    W: Copy + Into<i64>,
    T: TryFrom<W>,
{
    let mut data = BytesMut::with_capacity(values.len() * N);
    for (index, &wide) in values.iter().enumerate() {
        let out_of_range = |_| TypedError::OutOfRange {
            index,
            value: wide.into(),
            dtype,
        };
        data.put_slice(&bytes(T::try_from(wide).map_err(out_of_range)?));
    }
    Ok(data.freeze())
}

#[cfg(test)]
#[path = "typed_tests.rs"]
mod tests;
