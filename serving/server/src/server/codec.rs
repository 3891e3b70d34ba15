//! The codec of predictions: prost's, with our words for a message that is none.
//!
//! Used by `layer`. tonic would answer INTERNAL to a malformed message; it is the client's fault.

use aimodel_wire::{
    InferError,
    proto::{ModelInferRequest, ModelInferResponse},
};
use prost::Message as _;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct InferCodec;

impl Codec for InferCodec {
    type Encode = ModelInferResponse;
    type Decode = ModelInferRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for InferCodec {
    type Item = ModelInferResponse;
    type Error = Status;

    fn encode(
        &mut self,
        item: ModelInferResponse,
        buffer: &mut EncodeBuf<'_>,
    ) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| InferError::Internal(error.to_string()).into())
    }
}

impl Decoder for InferCodec {
    type Item = ModelInferRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<ModelInferRequest>, Status> {
        ModelInferRequest::decode(buffer)
            .map(Some)
            .map_err(|error| {
                InferError::InvalidRequest(format!("the message is no ModelInferRequest: {error}"))
                    .into()
            })
    }
}
