//! What server and models say about themselves.

use super::ModelIdentity;
use crate::{
    ModelSignature, TensorSpec,
    proto::{
        ModelConfig, ModelConfigResponse, ModelInput, ModelMetadataResponse, ModelOutput,
        ServerMetadataResponse, model_metadata_response::TensorMetadata,
    },
};

/// The answer to `ServerMetadata`.
#[must_use]
pub fn server(name: &str, version: &str, extensions: &[&str]) -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: name.to_owned(),
        version: version.to_owned(),
        extensions: extensions.iter().map(ToString::to_string).collect(),
    }
}

/// The answer to `ModelMetadata`.
#[must_use]
pub fn model(
    model: &ModelIdentity,
    platform: &str,
    signature: &ModelSignature,
) -> ModelMetadataResponse {
    let describe = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.dtype.name().to_owned(),
        shape: spec.shape.clone(),
    };
    ModelMetadataResponse {
        name: model.name.clone(),
        versions: vec![model.version.clone()],
        platform: platform.to_owned(),
        inputs: signature.inputs().iter().map(describe).collect(),
        outputs: signature.outputs().iter().map(describe).collect(),
    }
}

/// The answer to `ModelConfig`: Triton's form, where a batch dimension is not part of `dims`.
#[must_use]
pub fn config(
    model: &ModelIdentity,
    platform: &str,
    signature: &ModelSignature,
) -> ModelConfigResponse {
    let rows = signature.max_rows().map_or(0, std::num::NonZeroUsize::get);
    let dims = |spec: &TensorSpec| spec.shape[usize::from(signature.is_batched())..].to_vec();
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.to_string(),
        data_type: spec.dtype.config_type().into(),
        dims: dims(spec),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.to_string(),
        data_type: spec.dtype.config_type().into(),
        dims: dims(spec),
    };
    ModelConfigResponse {
        config: Some(ModelConfig {
            name: model.name.clone(),
            platform: platform.to_owned(),
            max_batch_size: i32::try_from(rows).unwrap_or(i32::MAX),
            input: signature.inputs().iter().map(input).collect(),
            output: signature.outputs().iter().map(output).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use prost::Message as _;

    use super::*;
    use crate::DType;

    fn signature(batch: i64) -> ModelSignature {
        let inputs = vec![TensorSpec::new("x", DType::Fp32, &[batch, 4])];
        let outputs = vec![TensorSpec::new("y", DType::Bytes, &[batch])];
        ModelSignature::new(inputs, outputs, NonZeroUsize::new(8).unwrap()).unwrap()
    }

    fn identity() -> ModelIdentity {
        ModelIdentity {
            name: "m".into(),
            version: "3".into(),
        }
    }

    #[test]
    fn metadata_has_the_whole_shapes() {
        let metadata = model(&identity(), "onnxruntime_onnx", &signature(-1));
        assert_eq!(metadata.versions, ["3"]);
        assert_eq!(metadata.inputs[0].shape, [-1, 4]);
        assert_eq!(metadata.outputs[0].datatype, "BYTES");
    }

    #[test]
    fn config_leaves_the_batch_dimension_out() {
        let config = |batch| config(&identity(), "p", &signature(batch)).config.unwrap();
        let batched = config(-1);
        assert_eq!(batched.max_batch_size, 8);
        assert_eq!(batched.input[0].dims, [4]);
        assert!(batched.output[0].dims.is_empty());
        let single = config(1);
        assert_eq!(single.max_batch_size, 0);
        assert_eq!(single.input[0].dims, [1, 4]);
    }

    #[test]
    fn config_has_the_field_numbers_of_triton() {
        let bytes = config(&identity(), "p", &signature(-1)).encode_to_vec();
        // Written by hand from Triton's model_config.proto: name 1, platform 2, max_batch_size 4,
        // input 5 {name 1, data_type 2, dims 4}, output 6 {name 1, data_type 2}.
        let expected: &[u8] = b"\x0a\x19\x0a\x01m\x12\x01p\x20\x08\
            \x2a\x08\x0a\x01x\x10\x0b\x22\x01\x04\x32\x05\x0a\x01y\x10\x0d";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn server_says_its_name() {
        let metadata = server("aimodel-serving", "0.1.0", &["binary_tensor_data"]);
        assert_eq!(metadata.name, "aimodel-serving");
        assert_eq!(metadata.version, "0.1.0");
        assert_eq!(metadata.extensions, ["binary_tensor_data"]);
    }
}
