//! The gRPC services beside predictions, by the prefix of their paths.
//!
//! Called by `process` when it opens a port.

use std::sync::Arc;

use aimodel_wire::proto::{
    FILE_DESCRIPTOR_SET, grpc_inference_service_server::GrpcInferenceServiceServer,
};
use tonic_health::pb::{self as health_pb, health_server::HealthServer};
use tonic_reflection::server::{Builder, Error};
use tower::util::BoxCloneSyncService;

use super::{drain::Lifecycle, health::Health, layer::Route, service::Inference};

/// Messages of these services are small.
const MESSAGE_LIMIT: usize = 64 << 10;

/// `grpc.health.v1`.
#[must_use]
pub fn health(lifecycle: &Lifecycle, model: &str) -> (&'static str, Route) {
    let health = HealthServer::new(Health::new(lifecycle.clone(), model))
        .max_decoding_message_size(MESSAGE_LIMIT);
    ("/grpc.health.v1.Health/", BoxCloneSyncService::new(health))
}

/// The inference service; predictions never come this way.
#[must_use]
pub fn inference(inference: Arc<Inference>) -> (&'static str, Route) {
    let server =
        GrpcInferenceServiceServer::from_arc(inference).max_decoding_message_size(MESSAGE_LIMIT);
    (
        "/inference.GRPCInferenceService/",
        BoxCloneSyncService::new(server),
    )
}

/// Reflection, in both versions that clients speak.
///
/// # Errors
/// When the descriptors do not fit each other, which a test rules out.
pub fn reflection() -> Result<[(&'static str, Route); 2], Error> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(health_pb::FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (builder().build_v1()?, builder().build_v1alpha()?);
    Ok([
        ("/grpc.reflection.v1.", BoxCloneSyncService::new(v1)),
        (
            "/grpc.reflection.v1alpha.",
            BoxCloneSyncService::new(v1alpha),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_fit() {
        assert!(reflection().is_ok());
    }
}
