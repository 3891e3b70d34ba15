//! Requests against the signature: what passes, what is refused and how, and that nothing panics.

use std::{collections::HashMap, num::NonZeroUsize};

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::{InferParameter, infer_parameter::ParameterChoice};

/// Inputs `x` FP32 [-1, 2], `n` INT64 [-1, -1], outputs `y` and `z`; at most 4 rows.
fn signature() -> ModelSignature {
    let inputs = vec![
        TensorSpec::new("x", DType::Fp32, &[-1, 2]),
        TensorSpec::new("n", DType::Int64, &[-1, -1]),
    ];
    let outputs = ["y", "z"].map(|name| TensorSpec::new(name, DType::Fp32, &[-1]));
    ModelSignature::new(inputs, outputs.into(), NonZeroUsize::new(4).unwrap()).unwrap()
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.into(),
        ..Default::default()
    }
}

/// A request that passes, of one row.
fn raw_request() -> ModelInferRequest {
    ModelInferRequest {
        id: "7".into(),
        inputs: vec![input("n", "INT64", &[1, 3]), input("x", "FP32", &[1, 2])],
        raw_input_contents: vec![Bytes::from(vec![1; 24]), Bytes::from(vec![2; 8])],
        ..Default::default()
    }
}

/// The same without raw contents.
fn typed_request() -> ModelInferRequest {
    let mut request = raw_request();
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(InferTensorContents {
        int64_contents: vec![5, 6, 7],
        ..Default::default()
    });
    request.inputs[1].contents = Some(InferTensorContents {
        fp32_contents: vec![1.0, 2.0],
        ..Default::default()
    });
    request
}

fn refusal(change: impl FnOnce(&mut ModelInferRequest)) -> String {
    let mut request = raw_request();
    change(&mut request);
    match decode(request, &signature()) {
        Err(InferError::InvalidRequest(message)) => message,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn raw_inputs_come_in_the_order_of_the_signature_without_a_copy() {
    let request = raw_request();
    let address = request.raw_input_contents[0].as_ptr();
    let (work, reply) = decode(request, &signature()).unwrap();
    assert_eq!(
        reply,
        Reply {
            id: "7".into(),
            style: Style::Raw
        }
    );
    let names: Vec<&str> = work.inputs().iter().map(|input| &**input.name()).collect();
    assert_eq!(names, ["x", "n"]);
    assert_eq!(work.inputs()[1].data().as_ptr(), address);
    assert_eq!((work.rows(), work.size_bytes()), (1, 32));
    assert_eq!(work.outputs(), [0, 1]);
}

#[test]
fn typed_inputs_become_little_endian() {
    let (work, reply) = decode(typed_request(), &signature()).unwrap();
    assert_eq!(reply.style, Style::Typed);
    assert_eq!(
        work.inputs()[0].data().as_ref(),
        [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]
    );
    assert_eq!(work.inputs()[1].data()[..9], [5, 0, 0, 0, 0, 0, 0, 0, 6]);
}

#[test]
fn outputs_are_chosen_in_the_order_of_the_request() {
    let mut request = raw_request();
    request.outputs = ["z", "y"]
        .map(|name| InferRequestedOutputTensor {
            name: name.into(),
            ..Default::default()
        })
        .into();
    assert_eq!(decode(request, &signature()).unwrap().0.outputs(), [1, 0]);
}

#[test]
fn keys_are_the_variable_dimensions() {
    let key = |columns: i64, rows: i64| {
        let mut request = raw_request();
        request.inputs = vec![
            input("x", "FP32", &[rows, 2]),
            input("n", "INT64", &[rows, columns]),
        ];
        let sizes = [rows * 8, rows * columns * 8].map(|size| usize::try_from(size).unwrap());
        request.raw_input_contents = sizes.map(|size| vec![0; size].into()).into();
        decode(request, &signature()).unwrap().0.key().clone()
    };
    assert_eq!(key(3, 1), key(3, 4));
    assert_ne!(key(3, 1), key(4, 1));
}

#[test]
fn no_rows_are_allowed() {
    let mut request = raw_request();
    request.inputs = vec![input("x", "FP32", &[0, 2]), input("n", "INT64", &[0, 9])];
    request.raw_input_contents = vec![Bytes::new(); 2];
    assert_eq!(decode(request, &signature()).unwrap().0.rows(), 0);
}

#[test]
fn a_model_without_a_batch_dimension_takes_its_shape_as_one_row() {
    let inputs = vec![TensorSpec::new("x", DType::Fp16, &[3])];
    let outputs = vec![TensorSpec::new("y", DType::Fp16, &[])];
    let signature = ModelSignature::new(inputs, outputs, NonZeroUsize::MIN).unwrap();
    let request = ModelInferRequest {
        inputs: vec![input("x", "FP16", &[3])],
        raw_input_contents: vec![Bytes::from(vec![0; 6])],
        ..Default::default()
    };
    assert_eq!(decode(request, &signature).unwrap().0.rows(), 1);
}

#[test]
fn refuses_inputs_that_do_not_fit() {
    type Change = fn(&mut ModelInferRequest);
    let table: [(Change, &str); 13] = [
        (
            |r| r.inputs[0].name = "q".into(),
            "input 'q' is unknown; the model takes x, n",
        ),
        (
            |r| r.inputs[0] = r.inputs[1].clone(),
            "input 'x': FP32 of shape [1, 2] needs 8 bytes, got 24",
        ),
        (
            |r| {
                r.inputs[0] = r.inputs[1].clone();
                r.raw_input_contents[0] = r.raw_input_contents[1].clone();
            },
            "input 'x' is there twice",
        ),
        (
            |r| {
                r.inputs.pop();
                r.raw_input_contents.pop();
            },
            "input 'x' is missing",
        ),
        (
            |r| drop(r.raw_input_contents.pop()),
            "raw_input_contents has 1 entries for 2 inputs; send one per input",
        ),
        (
            |r| r.inputs[0].contents = typed_request().inputs[0].contents.clone(),
            "input 'n' has contents although raw_input_contents is set; send all inputs one way",
        ),
        (
            |r| r.inputs[1].datatype = "FP64".into(),
            "input 'x' has datatype 'FP64', the model takes FP32",
        ),
        (
            |r| r.inputs[1].shape = vec![1, 3],
            "input 'x' has shape [1, 3], the model takes [-1, 2]",
        ),
        (
            |r| r.inputs[1].shape = vec![2],
            "input 'x' has shape [2], the model takes [-1, 2]",
        ),
        (
            |r| r.inputs[0].shape = vec![1, -3],
            "input 'n': dimension 1 is -3, below zero",
        ),
        (
            |r| r.inputs[0].shape = vec![i64::MAX, i64::MAX],
            "input 'n': the product of the dimensions is too large",
        ),
        (
            |r| {
                r.inputs[0].shape = vec![2, 3];
                r.raw_input_contents[0] = vec![0; 48].into();
            },
            "input 'n' has 2 rows, input 'x' has 1; all inputs need the same number",
        ),
        (
            |r| {
                r.inputs[0].shape = vec![5, 0];
                r.inputs[1].shape = vec![5, 2];
                r.raw_input_contents = vec![Bytes::new(), vec![0; 40].into()];
            },
            "the request has 5 rows, the model takes at most 4; send several requests",
        ),
    ];
    for (change, message) in table {
        assert_eq!(refusal(change), message);
    }
}

#[test]
fn refuses_typed_inputs_that_do_not_fit() {
    let refusal = |change: fn(&mut ModelInferRequest)| {
        let mut request = typed_request();
        change(&mut request);
        decode(request, &signature()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(|request| request.inputs[0].contents = None),
        "input 'n': 3 elements are needed, int64_contents has 0"
    );
    assert_eq!(
        refusal(|request| request.inputs[0].shape = vec![1 << 30, 1 << 30]),
        "input 'n': 1152921504606846976 elements are needed, int64_contents has 3"
    );
}

#[test]
fn refuses_outputs_that_the_model_does_not_have() {
    let ask = |names: &[&str]| {
        refusal(|request| {
            let named = |name: &&str| InferRequestedOutputTensor {
                name: (*name).into(),
                ..Default::default()
            };
            request.outputs = names.iter().map(named).collect();
        })
    };
    assert_eq!(ask(&["w"]), "output 'w' is unknown; the model gives y, z");
    assert_eq!(ask(&["y", "y"]), "output 'y' is requested twice");
}

#[test]
fn refuses_parameters_everywhere() {
    let parameter = InferParameter {
        parameter_choice: Some(ParameterChoice::Int64Param(1)),
    };
    let parameters = HashMap::from([("priority".to_owned(), parameter)]);
    let place =
        |place: &str| format!("parameter 'priority' of {place} is not supported; leave it out");
    assert_eq!(
        refusal(|r| r.parameters.clone_from(&parameters)),
        place("the request")
    );
    assert_eq!(
        refusal(|r| r.inputs[0].parameters.clone_from(&parameters)),
        place("input 'n'")
    );
    let parameters = parameters.clone();
    let output = InferRequestedOutputTensor {
        name: "y".into(),
        parameters,
    };
    assert_eq!(refusal(|r| r.outputs.push(output)), place("output 'y'"));
}

#[test]
fn messages_repeat_little_of_what_a_client_sends() {
    let message = refusal(|request| request.inputs[0].name = "ä".repeat(1 << 16));
    assert_eq!(
        message,
        format!(
            "input '{}…' is unknown; the model takes x, n",
            "ä".repeat(64)
        )
    );
}

fn any_input() -> impl Strategy<Value = InferInputTensor> {
    let names = prop::sample::select(vec!["x", "n", "q", ""]);
    let types = prop::sample::select(vec!["FP32", "INT64", "BYTES", "?"]);
    let shape = prop::collection::vec(prop_oneof![-1..5_i64, any::<i64>()], 0..4);
    let contents = prop::option::of(prop::collection::vec(any::<i64>(), 0..8));
    (names, types, shape, contents).prop_map(|(name, datatype, shape, contents)| {
        let contents = contents.map(|int64_contents| InferTensorContents {
            int64_contents,
            ..Default::default()
        });
        InferInputTensor {
            contents,
            ..input(name, datatype, &shape)
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_panic(message: Vec<u8>) {
        if let Ok(request) = ModelInferRequest::decode(&message[..]) {
            let _ = decode(request, &signature());
        }
    }

    #[test]
    fn damaged_requests_are_decoded_without_panic(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        typed: bool,
    ) {
        let request = if typed { typed_request() } else { raw_request() };
        let mut message = request.encode_to_vec();
        for (place, value) in places {
            let place = place.index(message.len());
            message[place] = value;
        }
        if let Ok(request) = ModelInferRequest::decode(&message[..]) {
            let _ = decode(request, &signature());
        }
    }

    #[test]
    fn what_passes_fits_the_signature_and_the_message(
        inputs in prop::collection::vec(any_input(), 0..4),
        raw in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let raw_input_contents = raw.into_iter().map(Bytes::from).collect();
        let request = ModelInferRequest { inputs, raw_input_contents, ..Default::default() };
        let paid = request.encoded_len();
        let signature = signature();
        if let Ok((work, _)) = decode(request, &signature) {
            prop_assert!(work.rows() <= 4);
            // A packed varint of one byte becomes an INT64 of eight.
            prop_assert!(work.size_bytes() <= 8 * paid);
            for (spec, input) in signature.inputs().iter().zip(work.inputs()) {
                prop_assert!(spec.accepts(input.shape()));
                prop_assert_eq!(input.rows(), Some(work.rows()));
                prop_assert_eq!(Some(input.data().len()), spec.dtype.size().map(|s| s * input.shape().elements()));
            }
        }
    }
}
