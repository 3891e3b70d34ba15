//! Typed contents against raw bytes written down by hand, and there and back for any data.

use proptest::prelude::*;

use super::*;

/// Every datatype with a typed form: its contents and the same as little-endian bytes.
fn table() -> Vec<(DType, InferTensorContents, Vec<u8>)> {
    let empty = InferTensorContents::default;
    vec![
        (
            DType::Bool,
            InferTensorContents {
                bool_contents: vec![true, false],
                ..empty()
            },
            vec![1, 0],
        ),
        (
            DType::Int8,
            InferTensorContents {
                int_contents: vec![-128, 127],
                ..empty()
            },
            vec![0x80, 0x7f],
        ),
        (
            DType::Int16,
            InferTensorContents {
                int_contents: vec![-2, 258],
                ..empty()
            },
            vec![0xfe, 0xff, 2, 1],
        ),
        (
            DType::Int32,
            InferTensorContents {
                int_contents: vec![-2],
                ..empty()
            },
            vec![0xfe, 0xff, 0xff, 0xff],
        ),
        (
            DType::Int64,
            InferTensorContents {
                int64_contents: vec![1 << 40],
                ..empty()
            },
            vec![0, 0, 0, 0, 0, 1, 0, 0],
        ),
        (
            DType::Uint8,
            InferTensorContents {
                uint_contents: vec![0, 255],
                ..empty()
            },
            vec![0, 255],
        ),
        (
            DType::Uint16,
            InferTensorContents {
                uint_contents: vec![65_535, 1],
                ..empty()
            },
            vec![255, 255, 1, 0],
        ),
        (
            DType::Uint32,
            InferTensorContents {
                uint_contents: vec![u32::MAX],
                ..empty()
            },
            vec![255; 4],
        ),
        (
            DType::Uint64,
            InferTensorContents {
                uint64_contents: vec![u64::MAX],
                ..empty()
            },
            vec![255; 8],
        ),
        (
            DType::Fp32,
            InferTensorContents {
                fp32_contents: vec![1.0, -2.0],
                ..empty()
            },
            vec![0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
        ),
        (
            DType::Fp64,
            InferTensorContents {
                fp64_contents: vec![1.0],
                ..empty()
            },
            vec![0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ),
        (
            DType::Bytes,
            InferTensorContents {
                bytes_contents: vec!["ab".into(), "".into()],
                ..empty()
            },
            b"\x02\0\0\0ab\0\0\0\0".to_vec(),
        ),
    ]
}

#[test]
fn every_datatype_goes_there_and_back() {
    for (dtype, contents, raw) in table() {
        let elements = lengths(&contents).iter().map(|(_, length)| length).sum();
        let made = to_raw(&contents, dtype, elements).unwrap();
        assert_eq!(made.as_ref(), raw, "{dtype}");
        assert_eq!(from_raw(&made, dtype).unwrap(), contents, "{dtype}");
        assert!(has_typed_form(dtype));
    }
}

#[test]
fn the_table_has_every_datatype_but_the_half_floats() {
    let missing: Vec<DType> = DType::ALL
        .into_iter()
        .filter(|dtype| !table().iter().any(|row| row.0 == *dtype))
        .collect();
    assert_eq!(missing, [DType::Fp16, DType::Bf16]);
    for dtype in missing {
        let error = TypedError::NoTypedForm(dtype);
        assert_eq!(
            to_raw(&InferTensorContents::default(), dtype, 0),
            Err(error)
        );
        assert_eq!(from_raw(&Bytes::new(), dtype), Err(error));
        assert!(!has_typed_form(dtype));
    }
}

#[test]
fn refuses_the_wrong_list() {
    let contents = InferTensorContents {
        fp64_contents: vec![1.0],
        ..Default::default()
    };
    let error = to_raw(&contents, DType::Fp32, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "FP32 belongs into fp32_contents, but fp64_contents is filled"
    );
    let both = InferTensorContents {
        fp32_contents: vec![1.0],
        ..contents
    };
    assert!(matches!(
        to_raw(&both, DType::Fp32, 1),
        Err(TypedError::WrongList { .. })
    ));
}

#[test]
fn refuses_another_count() {
    let contents = InferTensorContents {
        int_contents: vec![1, 2],
        ..Default::default()
    };
    let error = to_raw(&contents, DType::Int8, 3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 elements are needed, int_contents has 2"
    );
    assert!(to_raw(&InferTensorContents::default(), DType::Int8, usize::MAX).is_err());
}

#[test]
fn refuses_numbers_out_of_range() {
    let table = [
        (DType::Int8, 128),
        (DType::Int8, -129),
        (DType::Int16, 32_768),
    ];
    for (dtype, value) in table {
        let contents = InferTensorContents {
            int_contents: vec![0, value],
            ..Default::default()
        };
        let expected = TypedError::OutOfRange {
            index: 1,
            value: value.into(),
            dtype,
        };
        assert_eq!(to_raw(&contents, dtype, 2), Err(expected));
    }
    for (dtype, value) in [(DType::Uint8, 256), (DType::Uint16, 65_536)] {
        let contents = InferTensorContents {
            uint_contents: vec![value],
            ..Default::default()
        };
        let expected = TypedError::OutOfRange {
            index: 0,
            value: value.into(),
            dtype,
        };
        assert_eq!(to_raw(&contents, dtype, 1), Err(expected));
    }
}

proptest! {
    #[test]
    fn raw_data_survives_the_typed_form(
        mut data in prop::collection::vec(any::<u8>(), 0..256),
        index in 0..DType::ALL.len(),
    ) {
        let dtype = DType::ALL[index];
        let Some(size) = dtype.size().filter(|_| has_typed_form(dtype)) else { return Ok(()) };
        data.truncate(data.len() / size * size);
        if dtype == DType::Bool {
            for byte in &mut data {
                *byte &= 1;
            }
        }
        let data = Bytes::from(data);
        let contents = from_raw(&data, dtype).unwrap();
        // NaN payloads survive too: nothing but bits is compared.
        prop_assert_eq!(to_raw(&contents, dtype, data.len() / size).unwrap(), data);
    }
}
