//! BYTES data: each element is its length as 4 little-endian bytes, then its content.
//!
//! Lengths come from the network, so every walk checks them against what is left and allocates
//! nothing that the data does not pay for.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Bytes of the length before each element.
const PREFIX: usize = 4;

/// Why data is no list of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StringsError {
    /// The data ends inside an element.
    #[error("BYTES element {element} is cut off at byte {offset}")]
    CutOff {
        /// Which element.
        element: usize,
        /// Where it begins.
        offset: usize,
    },
    /// Data is left after the last element.
    #[error("{left} bytes are left after {elements} BYTES elements")]
    Trailing {
        /// How many bytes.
        left: usize,
        /// How many elements there were.
        elements: usize,
    },
    /// An element that a length of 32 bits cannot describe.
    #[error("BYTES element {0} is longer than 4 GiB")]
    TooLong(usize),
}

/// Checks that `data` is exactly `elements` strings.
///
/// # Errors
/// When the data ends early, late or inside an element.
pub fn check(data: &[u8], elements: usize) -> Result<(), StringsError> {
    let end = offset_of(data, elements)?;
    match data.len() - end {
        0 => Ok(()),
        left => Err(StringsError::Trailing { left, elements }),
    }
}

/// Where element `index` begins, or where the data ends when that many elements fill it.
///
/// # Errors
/// When the data ends before.
pub fn offset_of(data: &[u8], index: usize) -> Result<usize, StringsError> {
    let mut offset = 0;
    for element in 0..index {
        offset = element_end(data, offset).ok_or(StringsError::CutOff { element, offset })?;
    }
    Ok(offset)
}

/// The strings in `data`, over the same memory.
///
/// # Errors
/// When the last one is cut off.
pub fn split(data: &Bytes) -> Result<Vec<Bytes>, StringsError> {
    let (mut strings, mut offset) = (Vec::new(), 0);
    while offset < data.len() {
        let element = strings.len();
        let end = element_end(data, offset).ok_or(StringsError::CutOff { element, offset })?;
        strings.push(data.slice(offset + PREFIX..end));
        offset = end;
    }
    Ok(strings)
}

/// The strings as BYTES data.
///
/// # Errors
/// `TooLong` for a string of 4 GiB or more.
pub fn join<S: AsRef<[u8]>>(strings: &[S]) -> Result<Bytes, StringsError> {
    let size = strings
        .iter()
        .map(|string| PREFIX + string.as_ref().len())
        .sum();
    let mut data = BytesMut::with_capacity(size);
    for (element, string) in strings.iter().enumerate() {
        let string = string.as_ref();
        let length = u32::try_from(string.len()).map_err(|_| StringsError::TooLong(element))?;
        data.put_u32_le(length);
        data.put_slice(string);
    }
    Ok(data.freeze())
}

/// Where the element at `offset` ends; `None` when the data ends first.
fn element_end(data: &[u8], offset: usize) -> Option<usize> {
    let (prefix, content) = data.get(offset..)?.split_first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
    (length <= content.len()).then_some(offset + PREFIX + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn joins_and_splits() {
        let data = join(&["a", "", "bcd"]).unwrap();
        assert_eq!(data.as_ref(), b"\x01\0\0\0a\0\0\0\0\x03\0\0\0bcd");
        assert_eq!(split(&data).unwrap(), ["a", "", "bcd"]);
        assert_eq!(check(&data, 3), Ok(()));
        assert_eq!(offset_of(&data, 2), Ok(9));
        assert_eq!(check(b"", 0), Ok(()));
    }

    #[test]
    fn refuses_malformed_data() {
        let cut = |element, offset| Err(StringsError::CutOff { element, offset });
        let table: [(&[u8], usize, Result<(), StringsError>); 6] = [
            (b"", 1, cut(0, 0)),
            (b"\x01\0\0", 1, cut(0, 0)),
            (b"\x02\0\0\0a", 1, cut(0, 0)),
            (b"\xff\xff\xff\xffa", 1, cut(0, 0)),
            (b"\x01\0\0\0a", 2, cut(1, 5)),
            (
                b"\0\0\0\0z",
                1,
                Err(StringsError::Trailing {
                    left: 1,
                    elements: 1,
                }),
            ),
        ];
        for (data, elements, expected) in table {
            assert_eq!(check(data, elements), expected, "{data:?}");
        }
    }

    proptest! {
        #[test]
        fn any_strings_come_back(strings: Vec<Vec<u8>>) {
            let data = join(&strings).unwrap();
            prop_assert_eq!(check(&data, strings.len()), Ok(()));
            prop_assert_eq!(split(&data).unwrap(), strings);
        }

        #[test]
        fn any_data_is_walked_without_panic(data: Vec<u8>, elements in 0..usize::MAX) {
            let data = Bytes::from(data);
            if check(&data, elements).is_ok() {
                prop_assert_eq!(split(&data).unwrap().len(), elements);
            }
        }
    }
}
