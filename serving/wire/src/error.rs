//! Why a request failed, and which gRPC status that becomes.
//!
//! `InferError` is the whole tree. `facts` holds the one table from an error to its gRPC code, to
//! whether the model may have run and to its metric label; the conversion into `Status` beside it
//! is the only place where a failed prediction becomes a status. A client or router may repeat a
//! request elsewhere exactly when the answer carries `x-aimodel-not-executed: 1`.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status, metadata::MetadataValue};

/// Set to `1` on every answer to a request that no engine has seen.
pub const NOT_EXECUTED: &str = "x-aimodel-not-executed";

/// When to try again, in milliseconds; negative means never. Clients of gRPC obey it.
pub const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The longest message that an engine's error may bring to a client, in bytes.
const ENGINE_MESSAGE_LIMIT: usize = 512;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InferError {
    /// No such model or version.
    #[error("{0}; ask for a model that this server has, or leave the version empty")]
    ModelNotFound(String),
    /// The request does not fit the model or the protocol; the message names the tensor.
    #[error("{0}")]
    InvalidRequest(String),
    /// A message above the limit, which no repetition makes smaller.
    #[error("the message is larger than {limit_bytes} bytes; send fewer rows in one request")]
    MessageTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A queue or a gate is full.
    #[error("{what} is full; try again after the given delay or add replicas")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// Loading, draining or the model is dead.
    #[error("{0}")]
    Unavailable(String),
    /// The deadline passed, or would before the model could run.
    #[error("the deadline passed {}", if *executed { "while the model ran" } else { "before the model ran" })]
    DeadlineExceeded {
        /// Whether the model had begun.
        executed: bool,
    },
    /// The engine refused or failed the batch.
    #[error("{message}")]
    Engine {
        /// What kind of failure.
        kind: EngineFailure,
        /// The engine's message.
        message: String,
    },
    /// A defect of this server.
    #[error("{0}")]
    Internal(String),
}

/// How an engine can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineFailure {
    /// The values of the inputs were refused.
    InvalidArgument,
    /// Out of memory or another resource.
    ResourceExhausted,
    /// An operation that the engine does not have.
    Unimplemented,
    /// It took too long.
    DeadlineExceeded,
    /// It stopped and may come back.
    Unavailable,
    /// Anything else.
    Internal,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The gRPC code.
    pub code: Code,
    /// Whether the model may have run.
    pub executed: bool,
    /// The label in metrics.
    pub label: &'static str,
}

impl InferError {
    /// An engine's failure, its message cut to what a client should get.
    #[must_use]
    pub fn engine(kind: EngineFailure, message: &str) -> Self {
        let end = message.floor_char_boundary(ENGINE_MESSAGE_LIMIT);
        Self::Engine {
            kind,
            message: message[..end].to_owned(),
        }
    }

    /// The gRPC code, whether the model may have run, and the metric label.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let (code, executed, label) = match self {
            Self::ModelNotFound(_) => (Code::NotFound, false, "model_not_found"),
            Self::InvalidRequest(_) => (Code::InvalidArgument, false, "invalid_request"),
            Self::MessageTooLarge { .. } => (Code::ResourceExhausted, false, "message_too_large"),
            Self::Overloaded { .. } => (Code::ResourceExhausted, false, "overloaded"),
            Self::Unavailable(_) => (Code::Unavailable, false, "unavailable"),
            Self::DeadlineExceeded { executed } => {
                (Code::DeadlineExceeded, *executed, "deadline_exceeded")
            }
            Self::Engine { kind, .. } => (kind.code(), true, "engine"),
            Self::Internal(_) => (Code::Internal, true, "internal"),
        };
        Facts {
            code,
            executed,
            label,
        }
    }

    /// What `grpc-retry-pushback-ms` says; `None` leaves it out.
    fn retry_pushback_ms(&self) -> Option<i64> {
        match self {
            Self::Overloaded { retry_after, .. } => {
                Some(i64::try_from(retry_after.as_millis()).unwrap_or(i64::MAX))
            }
            Self::MessageTooLarge { .. } => Some(-1),
            _ => None,
        }
    }
}

impl EngineFailure {
    fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::ResourceExhausted => Code::ResourceExhausted,
            Self::Unimplemented => Code::Unimplemented,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }
}

impl From<InferError> for Status {
    fn from(error: InferError) -> Self {
        let facts = error.facts();
        let mut status = Self::new(facts.code, error.to_string());
        let metadata = status.metadata_mut();
        if !facts.executed {
            metadata.insert(NOT_EXECUTED, MetadataValue::from_static("1"));
        }
        if let Some(pushback) = error.retry_pushback_ms() {
            metadata.insert(RETRY_PUSHBACK, pushback.into());
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(status: &Status, name: &str) -> Option<String> {
        status
            .metadata()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    /// One error of every kind with the answer that it must become.
    fn table() -> Vec<(InferError, Code, bool, Option<&'static str>)> {
        let retry_after = Duration::from_millis(25);
        let engine = |kind| InferError::engine(kind, "boom");
        vec![
            (
                InferError::ModelNotFound("no model 'a'".into()),
                Code::NotFound,
                true,
                None,
            ),
            (
                InferError::InvalidRequest("input 'x'".into()),
                Code::InvalidArgument,
                true,
                None,
            ),
            (
                InferError::MessageTooLarge { limit_bytes: 9 },
                Code::ResourceExhausted,
                true,
                Some("-1"),
            ),
            (
                InferError::Overloaded {
                    what: "the queue",
                    retry_after,
                },
                Code::ResourceExhausted,
                true,
                Some("25"),
            ),
            (
                InferError::Unavailable("draining".into()),
                Code::Unavailable,
                true,
                None,
            ),
            (
                InferError::DeadlineExceeded { executed: false },
                Code::DeadlineExceeded,
                true,
                None,
            ),
            (
                InferError::DeadlineExceeded { executed: true },
                Code::DeadlineExceeded,
                false,
                None,
            ),
            (
                engine(EngineFailure::InvalidArgument),
                Code::InvalidArgument,
                false,
                None,
            ),
            (
                engine(EngineFailure::ResourceExhausted),
                Code::ResourceExhausted,
                false,
                None,
            ),
            (
                engine(EngineFailure::Unimplemented),
                Code::Unimplemented,
                false,
                None,
            ),
            (
                engine(EngineFailure::DeadlineExceeded),
                Code::DeadlineExceeded,
                false,
                None,
            ),
            (
                engine(EngineFailure::Unavailable),
                Code::Unavailable,
                false,
                None,
            ),
            (engine(EngineFailure::Internal), Code::Internal, false, None),
            (
                InferError::Internal("lost".into()),
                Code::Internal,
                false,
                None,
            ),
        ]
    }

    #[test]
    fn every_error_becomes_its_status() {
        for (error, code, not_executed, pushback) in table() {
            let text = error.to_string();
            let status = Status::from(error);
            assert_eq!(status.code(), code, "{text}");
            assert_eq!(status.message(), text);
            let mark = not_executed.then(|| "1".to_owned());
            assert_eq!(header(&status, NOT_EXECUTED), mark, "{text}");
            assert_eq!(
                header(&status, RETRY_PUSHBACK).as_deref(),
                pushback,
                "{text}"
            );
        }
    }

    #[test]
    fn engine_messages_are_cut_between_characters() {
        let InferError::Engine { message, .. } =
            InferError::engine(EngineFailure::Internal, &"ä".repeat(400))
        else {
            panic!("another error")
        };
        assert_eq!(message, "ä".repeat(256));
        let odd = format!("a{}", "ä".repeat(400));
        let error = InferError::engine(EngineFailure::Internal, &odd);
        assert_eq!(error.to_string().len(), 511);
    }
}
