//! Work for tests, made the way handlers make it: by decoding a request.

use std::num::NonZeroUsize;

use aimodel_wire::{
    DType, ModelSignature, TensorSpec,
    oip::{Work, decode},
    proto::{
        ModelInferRequest,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
};
use bytes::Bytes;

/// A model of one input `x` UINT8 [-1, -1] and the outputs `y` and `z` of the same form.
pub(crate) fn signature() -> ModelSignature {
    let spec = |name| TensorSpec::new(name, DType::Uint8, &[-1, -1]);
    let rows = NonZeroUsize::new(1 << 20).unwrap();
    ModelSignature::new(vec![spec("x")], vec![spec("y"), spec("z")], rows).unwrap()
}

/// Work of `rows` rows of `columns` bytes each, which asks for `outputs` (all when empty).
pub(crate) fn work_of(rows: usize, columns: usize, data: Vec<u8>, outputs: &[&str]) -> Work {
    let shape = [rows, columns]
        .map(|dim| i64::try_from(dim).unwrap())
        .to_vec();
    let named = |name: &&str| InferRequestedOutputTensor {
        name: (*name).to_owned(),
        ..Default::default()
    };
    let request = ModelInferRequest {
        inputs: vec![InferInputTensor {
            name: "x".into(),
            datatype: "UINT8".into(),
            shape,
            ..Default::default()
        }],
        outputs: outputs.iter().map(named).collect(),
        raw_input_contents: vec![Bytes::from(data)],
        ..Default::default()
    };
    decode(request, &signature()).unwrap().0
}

/// Work of zeros.
pub(crate) fn work(rows: usize, columns: usize) -> Work {
    work_of(rows, columns, vec![0; rows * columns], &[])
}
