//! One gRPC message in, one out: the frames of a prediction.
//!
//! Called by `layer` instead of tonic's stream machinery, which copies every message and keeps two
//! buffers per request. A message that arrives in one DATA frame is not copied at all. Memory is
//! taken for what arrived and never for what a length prefix promises.

use std::{future::poll_fn, io::Read as _, pin::Pin};

use aimodel_wire::InferError;
use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::read::{GzDecoder, ZlibDecoder};
use http::HeaderMap;
use hyper::body::{Body, Incoming};
use prost::Message;

/// Compressed flag and length.
const PREFIX: usize = 5;

/// Reads the only message of a request and decodes it.
///
/// # Errors
/// When the message is larger than `limit`, is malformed or does not come whole.
pub(super) async fn receive<M: Message + Default>(
    headers: &HeaderMap,
    body: &mut Incoming,
    limit: usize,
) -> Result<M, InferError> {
    let bytes = read(body, limit).await?;
    let compressed = bytes.first() == Some(&1);
    let message = bytes.slice(PREFIX..);
    let message = if compressed {
        decompress(headers, &message, limit)?
    } else {
        message
    };
    M::decode(message).map_err(|error| {
        invalid(format!(
            "the message is no ModelInferRequest: {error}; check the client's stubs"
        ))
    })
}

/// A message with its prefix.
pub(super) fn frame(message: &impl Message) -> Result<Bytes, InferError> {
    let length = message.encoded_len();
    let mut buffer = BytesMut::with_capacity(PREFIX + length);
    buffer.put_u8(0);
    let declared = u32::try_from(length)
        .map_err(|_| InferError::Internal("the answer is larger than 4 GiB".to_owned()))?;
    buffer.put_u32(declared);
    message
        .encode(&mut buffer)
        .map_err(|error| InferError::Internal(error.to_string()))?;
    Ok(buffer.freeze())
}

/// The bytes of one message with its prefix; the peer must end after it.
async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, InferError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|error| invalid(format!("the request broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        let so_far: &[u8] = if rest.is_empty() { &first } else { &rest };
        check(so_far, limit)?;
    }
    let whole = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    match declared(&whole) {
        Some(length) if length == whole.len() - PREFIX => Ok(whole),
        _ => Err(invalid(
            "the request ended in the middle of its message".to_owned(),
        )),
    }
}

fn declared(bytes: &[u8]) -> Option<usize> {
    let prefix: [u8; 4] = bytes.get(1..PREFIX)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(prefix)).ok()
}

/// Refuses at the earliest byte that shows it: flag, length, or bytes after the message.
fn check(bytes: &[u8], limit: usize) -> Result<(), InferError> {
    if bytes.first().is_some_and(|flag| *flag > 1) {
        return Err(invalid(
            "the request does not begin with a gRPC message".to_owned(),
        ));
    }
    let Some(length) = declared(bytes) else {
        return Ok(());
    };
    if length > limit {
        return Err(InferError::MessageTooLarge { limit_bytes: limit });
    }
    if bytes.len() > PREFIX + length {
        return Err(invalid(
            "the request has more than one message; send one".to_owned(),
        ));
    }
    Ok(())
}

/// Decompresses to `limit` bytes at most, so that a small message cannot become a large one.
fn decompress(headers: &HeaderMap, message: &[u8], limit: usize) -> Result<Bytes, InferError> {
    let encoding = headers
        .get("grpc-encoding")
        .map_or(&b""[..], |value| value.as_bytes());
    let mut output = Vec::new();
    let most = limit as u64 + 1;
    let read = match encoding {
        b"gzip" => GzDecoder::new(message).take(most).read_to_end(&mut output),
        b"deflate" => ZlibDecoder::new(message)
            .take(most)
            .read_to_end(&mut output),
        _ => {
            return Err(invalid(
                "grpc-encoding must be identity, gzip or deflate".to_owned(),
            ));
        }
    };
    read.map_err(|error| invalid(format!("the message cannot be decompressed: {error}")))?;
    if output.len() > limit {
        return Err(InferError::MessageTooLarge { limit_bytes: limit });
    }
    Ok(output.into())
}

fn invalid(message: String) -> InferError {
    InferError::InvalidRequest(message)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn frames_are_prefixed() {
        let framed = frame(&"abc".to_owned()).unwrap();
        assert_eq!(framed.as_ref(), b"\0\0\0\0\x05\x0a\x03abc");
        assert_eq!(declared(&framed), Some(5));
    }

    #[test]
    fn a_bad_prefix_is_refused_as_soon_as_it_shows() {
        let table: [(&[u8], bool); 8] = [
            (b"", true),
            (b"\0\0\0", true),
            (b"\x01\0\0\0\x02a", true),
            (b"\0\0\0\0\x02ab", true),
            (b"\0\0\0\0\x02abc", false),
            (b"\x02", false),
            (b"\0\xff\xff\xff\xff", false),
            (b"\0\0\0\0\x0b", false),
        ];
        for (bytes, good) in table {
            assert_eq!(check(bytes, 10).is_ok(), good, "{bytes:?}");
        }
    }

    #[test]
    fn decompression_stops_at_the_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("grpc-encoding", "gzip".parse().unwrap());
        assert_eq!(decompress(&headers, &bomb, 1 << 20).unwrap().len(), 1 << 20);
        let error = decompress(&headers, &bomb, 1 << 10).unwrap_err();
        assert_eq!(
            error,
            InferError::MessageTooLarge {
                limit_bytes: 1 << 10
            }
        );
        assert!(decompress(&headers, b"nonsense", 10).is_err());
        assert!(decompress(&HeaderMap::new(), &bomb, 10).is_err());
    }
}
