//! Shapes: dimensions whose products are known to fit, so that nobody has to check again.

use std::fmt;

use smallvec::SmallVec;
use thiserror::Error;

/// The most dimensions that a tensor may have.
pub const MAX_RANK: usize = 32;

/// The dimensions of a tensor. The product of its non-zero dimensions fits into `isize`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

/// Why dimensions are no shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// A dimension below zero.
    #[error("dimension {index} is {value}, below zero")]
    Negative {
        /// Which dimension.
        index: usize,
        /// Its value.
        value: i64,
    },
    /// More elements than memory has addresses.
    #[error("the product of the dimensions is too large")]
    TooLarge,
    /// More than `MAX_RANK` dimensions.
    #[error("{0} dimensions, at most {MAX_RANK} are allowed")]
    TooManyDimensions(usize),
}

impl Shape {
    /// The shape with these dimensions.
    ///
    /// # Errors
    /// `TooLarge` when the product of the non-zero dimensions does not fit, whatever their order.
    pub fn new(dims: &[usize]) -> Result<Self, ShapeError> {
        if dims.len() > MAX_RANK {
            return Err(ShapeError::TooManyDimensions(dims.len()));
        }
        dims.iter()
            .filter(|&&dim| dim != 0)
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
            .filter(|&product| isize::try_from(product).is_ok())
            .ok_or(ShapeError::TooLarge)?;
        Ok(Self(dims.into()))
    }

    /// The shape with the dimensions of a message.
    ///
    /// # Errors
    /// As `new`, and `Negative` for a dimension below zero.
    pub fn from_wire(dims: &[i64]) -> Result<Self, ShapeError> {
        if dims.len() > MAX_RANK {
            return Err(ShapeError::TooManyDimensions(dims.len()));
        }
        let mut checked = SmallVec::<[usize; 4]>::new();
        for (index, &value) in dims.iter().enumerate() {
            if value < 0 {
                return Err(ShapeError::Negative { index, value });
            }
            checked.push(usize::try_from(value).map_err(|_| ShapeError::TooLarge)?);
        }
        Self::new(&checked)
    }

    /// The dimensions as a message carries them.
    #[must_use]
    pub fn to_wire(&self) -> Vec<i64> {
        self.0
            .iter()
            .map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX))
            .collect()
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of dimensions; zero for a scalar.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements; one for a scalar.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// The first dimension; `None` for a scalar.
    #[must_use]
    pub fn rows(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The elements of one row: the product of all dimensions but the first.
    #[must_use]
    pub fn row_elements(&self) -> usize {
        self.0.iter().skip(1).product()
    }

    /// The same shape with another first dimension.
    ///
    /// # Errors
    /// `TooLarge` when that product does not fit.
    pub fn with_rows(&self, rows: usize) -> Result<Self, ShapeError> {
        let mut dims = self.0.clone();
        if let Some(first) = dims.first_mut() {
            *first = rows;
        }
        Self::new(&dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_elements_and_rows() {
        let table: [(&[i64], usize, Option<usize>, usize); 6] = [
            (&[], 1, None, 1),
            (&[5], 5, Some(5), 1),
            (&[2, 3, 4], 24, Some(2), 12),
            (&[0, 3], 0, Some(0), 3),
            (&[3, 0], 0, Some(3), 0),
            (
                &[1, i64::MAX],
                9_223_372_036_854_775_807,
                Some(1),
                usize::MAX / 2,
            ),
        ];
        for (dims, elements, rows, row_elements) in table {
            let shape = Shape::from_wire(dims).unwrap();
            assert_eq!(shape.elements(), elements, "{dims:?}");
            assert_eq!(shape.rows(), rows, "{dims:?}");
            assert_eq!(shape.row_elements(), row_elements, "{dims:?}");
            assert_eq!(shape.to_wire(), dims);
        }
    }

    #[test]
    fn refuses_what_cannot_be_a_shape() {
        let negative = ShapeError::Negative {
            index: 1,
            value: -1,
        };
        let table: [(&[i64], ShapeError); 5] = [
            (&[2, -1], negative),
            (&[i64::MAX, 2], ShapeError::TooLarge),
            (&[0, i64::MAX, i64::MAX], ShapeError::TooLarge),
            (&[i64::MAX, i64::MAX, 0], ShapeError::TooLarge),
            (&[1; 33], ShapeError::TooManyDimensions(33)),
        ];
        for (dims, error) in table {
            assert_eq!(Shape::from_wire(dims), Err(error), "{dims:?}");
        }
    }

    #[test]
    fn changes_the_rows_and_checks_again() {
        let shape = Shape::new(&[2, 3]).unwrap();
        assert_eq!(shape.with_rows(7).unwrap().dims(), [7, 3]);
        assert_eq!(shape.with_rows(usize::MAX), Err(ShapeError::TooLarge));
        let scalar = Shape::new(&[]).unwrap();
        assert_eq!(scalar.with_rows(7).unwrap(), scalar);
        assert_eq!(shape.to_string(), "[2, 3]");
    }

    proptest! {
        #[test]
        fn no_dimensions_panic(dims in prop::collection::vec(any::<i64>(), 0..40)) {
            if let Ok(shape) = Shape::from_wire(&dims) {
                let rows = shape.rows().unwrap_or(1);
                prop_assert_eq!(rows * shape.row_elements(), shape.elements());
            }
        }
    }
}
