//! The datatypes of the Open Inference Protocol and their sizes.

use std::fmt;

use crate::proto::DataType;

/// A datatype, named as the protocol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// IEEE 754 binary16.
    Fp16,
    /// The upper half of IEEE 754 binary32.
    Bf16,
    /// IEEE 754 binary32.
    Fp32,
    /// IEEE 754 binary64.
    Fp64,
    /// Strings of any length, see `tensor::bytes`.
    Bytes,
}

impl DType {
    /// Every datatype.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, such as `FP32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The datatype of that name; `None` for any other text, also in lower case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes per element; `None` for BYTES, whose elements carry their own length.
    #[must_use]
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// The most bytes that one element takes in a request, raw or as a varint; `None` for BYTES.
    ///
    /// A negative number of any signed type is a varint of 10 bytes.
    #[must_use]
    pub fn widest_on_the_wire(self) -> Option<usize> {
        match self {
            Self::Uint8 => Some(2),
            Self::Uint16 => Some(3),
            Self::Uint32 => Some(5),
            Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64 | Self::Uint64 => Some(10),
            Self::Bool | Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64 | Self::Bytes => {
                self.size()
            }
        }
    }

    /// The name that Triton's `ModelConfig` has for it.
    #[must_use]
    pub fn config_type(self) -> DataType {
        match self {
            Self::Bool => DataType::TypeBool,
            Self::Uint8 => DataType::TypeUint8,
            Self::Uint16 => DataType::TypeUint16,
            Self::Uint32 => DataType::TypeUint32,
            Self::Uint64 => DataType::TypeUint64,
            Self::Int8 => DataType::TypeInt8,
            Self::Int16 => DataType::TypeInt16,
            Self::Int32 => DataType::TypeInt32,
            Self::Int64 => DataType::TypeInt64,
            Self::Fp16 => DataType::TypeFp16,
            Self::Bf16 => DataType::TypeBf16,
            Self::Fp32 => DataType::TypeFp32,
            Self::Fp64 => DataType::TypeFp64,
            Self::Bytes => DataType::TypeString,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_those_of_the_protocol() {
        let table = [
            ("BOOL", Some(1)),
            ("UINT8", Some(1)),
            ("UINT16", Some(2)),
            ("UINT32", Some(4)),
            ("UINT64", Some(8)),
            ("INT8", Some(1)),
            ("INT16", Some(2)),
            ("INT32", Some(4)),
            ("INT64", Some(8)),
            ("FP16", Some(2)),
            ("BF16", Some(2)),
            ("FP32", Some(4)),
            ("FP64", Some(8)),
            ("BYTES", None),
        ];
        assert_eq!(table.len(), DType::ALL.len());
        for (name, size) in table {
            let dtype = DType::parse(name).unwrap();
            assert_eq!((dtype.name(), dtype.size()), (name, size));
            assert_eq!(dtype.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in ["", "fp32", "FLOAT", "STRING", "FP32 ", "TYPE_FP32"] {
            assert_eq!(DType::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn config_types_have_the_numbers_that_clients_expect() {
        let numbers = [
            (DType::Bool, 1),
            (DType::Uint8, 2),
            (DType::Int64, 9),
            (DType::Fp16, 10),
            (DType::Fp32, 11),
            (DType::Bytes, 13),
            (DType::Bf16, 14),
        ];
        for (dtype, number) in numbers {
            assert_eq!(dtype.config_type() as i32, number, "{dtype}");
        }
    }

    #[test]
    fn the_widest_form_is_never_narrower_than_raw() {
        for dtype in DType::ALL {
            assert!(dtype.widest_on_the_wire() >= dtype.size(), "{dtype}");
        }
    }
}
