//! `grpc-timeout`: how long the client waits.
//!
//! Called by `layer` for each prediction. tonic's own parser ignores what it cannot read, and its
//! timer answers CANCELLED; here a malformed value is an error and the answer `DEADLINE_EXCEEDED`.

use std::time::Duration;

use aimodel_wire::InferError;
use http::HeaderMap;

/// The client's timeout; `None` when it did not say.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, InferError> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    parse(value.as_bytes()).map(Some).ok_or_else(|| {
        InferError::InvalidRequest(
            "grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n".to_owned(),
        )
    })
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit() {
        for (text, wanted) in [
            ("1H", Duration::from_hours(1)),
            ("2M", Duration::from_mins(2)),
            ("00000003S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("5u", Duration::from_micros(5)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(wanted), "{text}");
        }
        assert_eq!(parse(b"99999999H").unwrap().as_secs(), 99_999_999 * 3600);
    }

    #[test]
    fn what_the_specification_forbids() {
        for text in [
            "",
            "1",
            "S",
            "1s",
            "-1S",
            "1.5S",
            "123456789S",
            " 1S",
            "1 S",
            "+1S",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
