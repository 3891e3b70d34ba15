//! A named tensor over shared bytes. Slicing rows copies nothing.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

use super::{DType, Shape, bytes as strings};

/// A tensor: little-endian, row-major, without padding. Its data always fits its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: Arc<str>,
    dtype: DType,
    shape: Shape,
    data: Bytes,
}

/// Why data and shape are no tensor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The data does not have the size that shape and datatype ask for.
    #[error("{dtype} of shape {shape} needs {expected} bytes, got {actual}")]
    WrongSize {
        /// The datatype.
        dtype: DType,
        /// The shape.
        shape: Shape,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// Datatype and shape ask for more bytes than memory has.
    #[error("{dtype} of shape {shape} is too large")]
    TooLarge {
        /// The datatype.
        dtype: DType,
        /// The shape.
        shape: Shape,
    },
    /// A BOOL that is neither 0 nor 1, which the C++ of an engine must never see.
    #[error("BOOL element {index} is {value}, neither 0 nor 1")]
    NotBool {
        /// Which element.
        index: usize,
        /// Its value.
        value: u8,
    },
    /// The data of a BYTES tensor is malformed.
    #[error(transparent)]
    Strings(#[from] strings::StringsError),
    /// A range of rows that the tensor does not have.
    #[error("rows {start}..{end} of shape {shape} do not exist")]
    NoSuchRows {
        /// First row.
        start: usize,
        /// Row after the last.
        end: usize,
        /// The shape.
        shape: Shape,
    },
}

impl Tensor {
    /// A tensor whose data was checked against its shape.
    ///
    /// # Errors
    /// When `data` has another size, or BYTES elements are malformed or of another number.
    pub fn new(
        name: Arc<str>,
        dtype: DType,
        shape: Shape,
        data: Bytes,
    ) -> Result<Self, TensorError> {
        match dtype.size() {
            None => strings::check(&data, shape.elements())?,
            Some(size) => match shape.elements().checked_mul(size) {
                None => return Err(TensorError::TooLarge { dtype, shape }),
                Some(expected) if expected != data.len() => {
                    let actual = data.len();
                    return Err(TensorError::WrongSize {
                        dtype,
                        shape,
                        expected,
                        actual,
                    });
                }
                Some(_) => {}
            },
        }
        if dtype == DType::Bool {
            check_bools(&data)?;
        }
        Ok(Self {
            name,
            dtype,
            shape,
            data,
        })
    }

    /// The name in the model's signature.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The datatype.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The data, without the rest.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// The first dimension; `None` for a scalar.
    #[must_use]
    pub fn rows(&self) -> Option<usize> {
        self.shape.rows()
    }

    /// The tensor that consists of these rows, over the same memory.
    ///
    /// # Errors
    /// `NoSuchRows` when the range ends after the last row or begins after its end.
    pub fn slice_rows(&self, rows: Range<usize>) -> Result<Self, TensorError> {
        let (Range { start, end }, shape) = (rows, &self.shape);
        let missing = || TensorError::NoSuchRows {
            start,
            end,
            shape: shape.clone(),
        };
        if start > end || shape.rows().is_none_or(|rows| end > rows) {
            return Err(missing());
        }
        let row = shape.row_elements();
        let range = if let Some(size) = self.dtype.size() {
            start * row * size..end * row * size
        } else {
            let from = strings::offset_of(&self.data, start * row)?;
            let length = strings::offset_of(&self.data[from..], (end - start) * row)?;
            from..from + length
        };
        Ok(Self {
            name: Arc::clone(&self.name),
            dtype: self.dtype,
            shape: shape.with_rows(end - start).map_err(|_| missing())?,
            data: self.data.slice(range),
        })
    }

    /// The same tensor in memory of its own, so that the memory it was a slice of can go.
    #[must_use]
    pub fn detached(self) -> Self {
        Self {
            data: Bytes::copy_from_slice(&self.data),
            ..self
        }
    }
}

fn check_bools(data: &[u8]) -> Result<(), TensorError> {
    match data
        .iter()
        .copied()
        .enumerate()
        .find(|(_, value)| *value > 1)
    {
        None => Ok(()),
        Some((index, value)) => Err(TensorError::NotBool { index, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(dtype: DType, dims: &[usize], data: &[u8]) -> Result<Tensor, TensorError> {
        let shape = Shape::new(dims).unwrap();
        Tensor::new("x".into(), dtype, shape, Bytes::copy_from_slice(data))
    }

    #[test]
    fn slices_rows_of_fixed_size_without_a_copy() {
        let whole = tensor(DType::Int16, &[3, 2], &[0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]).unwrap();
        let part = whole.slice_rows(1..3).unwrap();
        assert_eq!(part.shape().dims(), [2, 2]);
        assert_eq!(part.data().as_ref(), [2, 0, 3, 0, 4, 0, 5, 0]);
        assert_eq!(part.data().as_ptr(), whole.data()[4..].as_ptr());
        assert_ne!(
            part.clone().detached().data().as_ptr(),
            part.data().as_ptr()
        );
        assert_eq!(part.clone().detached(), part);
    }

    #[test]
    fn slices_rows_of_strings() {
        let data = b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc\x01\0\0\0d";
        let whole = tensor(DType::Bytes, &[2, 2], data).unwrap();
        assert_eq!(
            whole.slice_rows(0..1).unwrap().data().as_ref(),
            b"\x01\0\0\0a\0\0\0\0"
        );
        assert_eq!(whole.slice_rows(1..2).unwrap().data().as_ref(), &data[9..]);
        assert_eq!(whole.slice_rows(2..2).unwrap().data().len(), 0);
    }

    #[test]
    fn refuses_data_of_another_size() {
        let error = tensor(DType::Fp32, &[2, 2], &[0; 15]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "FP32 of shape [2, 2] needs 16 bytes, got 15"
        );
        let huge = usize::MAX / 2;
        let error = tensor(DType::Fp64, &[huge], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("FP64 of shape [{huge}] is too large")
        );
        let error = tensor(DType::Bool, &[3], &[1, 0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "BOOL element 2 is 2, neither 0 nor 1");
        assert!(matches!(
            tensor(DType::Bytes, &[1], &[1]),
            Err(TensorError::Strings(_))
        ));
    }

    #[test]
    fn refuses_rows_that_do_not_exist() {
        let whole = tensor(DType::Uint8, &[2], &[1, 2]).unwrap();
        #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
        for range in [0..3, 3..3, 2..1] {
            assert!(whole.slice_rows(range).is_err());
        }
        assert!(
            tensor(DType::Uint8, &[], &[1])
                .unwrap()
                .slice_rows(0..1)
                .is_err()
        );
    }
}
