//! How large a message may be: derived from the model where that is possible.
//!
//! gRPC reserves the declared length of a message as soon as its first bytes arrive, so this limit,
//! times the requests in flight, is the memory that a stranger can make the server ask for.

use crate::ModelSignature;

/// The limit for a model whose rows have no fixed size.
pub const DEFAULT_MESSAGE_BYTES: usize = 64 << 20;

/// The smallest limit.
const LEAST: usize = 1 << 20;

/// The largest limit: a model with more takes fewer rows in one request.
const MOST: usize = 256 << 20;

/// Room for names, shapes, ids and framing.
const OVERHEAD: usize = 64 << 10;

/// The most bytes of a request to this model.
///
/// Enough for a full batch of a model of fixed shapes, typed or raw, and a quarter more.
#[must_use]
pub fn message_bytes(signature: &ModelSignature) -> usize {
    let Some(batch) = signature.widest_request() else {
        return DEFAULT_MESSAGE_BYTES;
    };
    batch
        .saturating_add(batch / 4)
        .saturating_add(OVERHEAD)
        .clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{DType, TensorSpec};

    fn limit(dtype: DType, shape: &[i64]) -> usize {
        let inputs = vec![TensorSpec::new("x", dtype, shape)];
        let outputs = vec![TensorSpec::new("y", DType::Fp32, &[shape[0]])];
        let rows = NonZeroUsize::new(64).unwrap();
        message_bytes(&ModelSignature::new(inputs, outputs, rows).unwrap())
    }

    #[test]
    fn is_derived_from_fixed_shapes() {
        assert_eq!(limit(DType::Fp32, &[-1, 10]), 1 << 20);
        assert_eq!(
            limit(DType::Fp32, &[-1, 3, 224, 224]),
            64 * 602_112 * 5 / 4 + 65_536
        );
        assert_eq!(limit(DType::Fp32, &[-1, 3, 4096, 4096]), 256 << 20);
    }

    #[test]
    fn without_a_batch_dimension_one_request_is_enough() {
        assert_eq!(
            limit(DType::Fp32, &[2, 3, 1024, 1024]),
            25_165_824 * 5 / 4 + 65_536
        );
    }

    #[test]
    fn is_the_default_where_sizes_vary() {
        assert_eq!(limit(DType::Fp32, &[-1, -1]), 64 << 20);
        assert_eq!(limit(DType::Bytes, &[-1]), 64 << 20);
    }
}
