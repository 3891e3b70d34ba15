//! Output tensors become the response, in the style of the request.
//!
//! The handler calls it with what `decode` left behind and what the worker sent. Raw answers share
//! the engine's memory until the transport copies them out.

use super::work::{Reply, Style};
use crate::{
    InferError,
    proto::{ModelInferResponse, model_infer_response::InferOutputTensor},
    tensor::{Tensor, typed},
};

/// What the answer says about where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The served name.
    pub name: String,
    /// The served version.
    pub version: String,
}

/// The response with these outputs.
///
/// NB: an answer with an FP16 or BF16 output is raw even to a typed request, because these
/// datatypes have no typed form and the protocol forbids a mixture.
///
/// # Errors
/// `Internal` when an output cannot be encoded, which no checked tensor does.
pub fn encode(
    model: &ModelIdentity,
    reply: Reply,
    outputs: Vec<Tensor>,
) -> Result<ModelInferResponse, InferError> {
    let typed = reply.style == Style::Typed
        && outputs
            .iter()
            .all(|output| typed::has_typed_form(output.dtype()));
    let mut response = ModelInferResponse {
        model_name: model.name.clone(),
        model_version: model.version.clone(),
        id: reply.id,
        outputs: Vec::with_capacity(outputs.len()),
        ..Default::default()
    };
    for output in outputs {
        let mut described = describe(&output);
        if typed {
            let contents = typed::from_raw(output.data(), output.dtype());
            described.contents = Some(contents.map_err(|error| {
                InferError::Internal(format!("output '{}': {error}", output.name()))
            })?);
        } else {
            response.raw_output_contents.push(output.into_data());
        }
        response.outputs.push(described);
    }
    Ok(response)
}

fn describe(output: &Tensor) -> InferOutputTensor {
    InferOutputTensor {
        name: output.name().to_string(),
        datatype: output.dtype().name().to_owned(),
        shape: output.shape().to_wire(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{DType, Shape};

    fn output(name: &str, dtype: DType, data: &'static [u8]) -> Tensor {
        let shape = Shape::new(&[1, 2]).unwrap();
        Tensor::new(name.into(), dtype, shape, Bytes::from_static(data)).unwrap()
    }

    fn answer(style: Style, outputs: Vec<Tensor>) -> ModelInferResponse {
        let model = ModelIdentity {
            name: "m".into(),
            version: "3".into(),
        };
        encode(
            &model,
            Reply {
                id: "7".into(),
                style,
            },
            outputs,
        )
        .unwrap()
    }

    #[test]
    fn raw_requests_get_raw_answers_without_a_copy() {
        let tensor = output("y", DType::Uint8, &[1, 2]);
        let address = tensor.data().as_ptr();
        let response = answer(Style::Raw, vec![tensor]);
        assert_eq!(response.model_name, "m");
        assert_eq!(response.model_version, "3");
        assert_eq!(response.id, "7");
        assert_eq!(response.outputs[0].name, "y");
        assert_eq!(response.outputs[0].datatype, "UINT8");
        assert_eq!(response.outputs[0].shape, [1, 2]);
        assert_eq!(response.outputs[0].contents, None);
        assert_eq!(response.raw_output_contents, [&[1_u8, 2][..]]);
        assert_eq!(response.raw_output_contents[0].as_ptr(), address);
    }

    #[test]
    fn typed_requests_get_typed_answers() {
        let strings = b"\x01\0\0\0a\0\0\0\0";
        let outputs = vec![
            output("y", DType::Int8, &[1, 0xff]),
            output("s", DType::Bytes, strings),
        ];
        let response = answer(Style::Typed, outputs);
        assert!(response.raw_output_contents.is_empty());
        let contents = |index: usize| response.outputs[index].contents.clone().unwrap();
        assert_eq!(contents(0).int_contents, [1, -1]);
        assert_eq!(contents(1).bytes_contents, ["a", ""]);
    }

    #[test]
    fn half_floats_make_the_whole_answer_raw() {
        let outputs = vec![
            output("y", DType::Uint8, &[1, 2]),
            output("h", DType::Fp16, &[0, 60, 0, 64]),
        ];
        let response = answer(Style::Typed, outputs);
        assert_eq!(response.raw_output_contents.len(), 2);
        assert!(
            response
                .outputs
                .iter()
                .all(|output| output.contents.is_none())
        );
    }
}
