//! An engine that answers with its inputs: for benchmarks of everything around an engine, for
//! tests, and as a placeholder model.
//!
//! Made by `load` from `echo.json`. When the process runs with `--echo-faults=true`, values of the
//! first byte of a request's first input can be made to fail, panic, abort or hang, so that tests
//! reach every way in which an engine can end. A file that asks for that is refused without the
//! flag: no model brings its own way to end a server.

use std::{fs, num::NonZeroUsize, path::Path, thread, time::Duration};

use aimodel_wire::{DType, EngineFailure, ModelSignature, Tensor, TensorSpec};
use serde::Deserialize;

use super::{Engine, EngineError, Outputs};
use crate::batch::Batch;

/// `echo.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Description {
    #[serde(default)]
    delay_milliseconds: u64,
    #[serde(default)]
    load_milliseconds: u64,
    inputs: Vec<Input>,
    fail_on: Option<u8>,
    panic_on: Option<u8>,
    abort_on: Option<u8>,
    hang_on: Option<u8>,
}

impl Description {
    fn asks_for_faults(&self) -> bool {
        let switches = [self.fail_on, self.panic_on, self.abort_on, self.hang_on];
        switches.iter().any(Option::is_some)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

/// See the module.
#[derive(Debug)]
pub struct EchoEngine {
    signature: ModelSignature,
    description: Description,
}

impl EchoEngine {
    /// Reads the description at `path`, which may ask for faults if `with_faults`.
    ///
    /// # Errors
    /// When the file cannot be read or describes no signature; the text says what.
    pub fn load(path: &Path, max_rows: NonZeroUsize, with_faults: bool) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text, max_rows, with_faults)
            .map_err(|problem| format!("{}: {problem}", path.display()))
    }

    fn parse(text: &str, max_rows: NonZeroUsize, with_faults: bool) -> Result<Self, String> {
        let description: Description =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if description.asks_for_faults() && !with_faults {
            return Err(
                "failOn, panicOn, abortOn and hangOn are for tests of the server; take them out, or \
                 start it with --echo-faults=true"
                    .to_owned(),
            );
        }
        let specs = description.inputs.iter().map(|input| {
            let dtype = DType::parse(&input.datatype)
                .ok_or_else(|| format!("datatype '{}' is unknown", input.datatype))?;
            Ok(TensorSpec::new(&input.name, dtype, &input.shape))
        });
        let specs: Vec<_> = specs.collect::<Result<_, String>>()?;
        let signature = ModelSignature::new(specs.clone(), specs, max_rows)
            .map_err(|error| error.to_string())?;
        thread::sleep(Duration::from_millis(description.load_milliseconds));
        Ok(Self {
            signature,
            description,
        })
    }

    fn misbehave(&self, first: u8) -> Result<(), EngineError> {
        let first = Some(first);
        let asked = &self.description;
        assert!(
            first != asked.panic_on,
            "the echo engine was asked to panic"
        );
        if first == asked.abort_on {
            std::process::abort();
        }
        if first == asked.hang_on {
            thread::sleep(Duration::from_hours(1));
        }
        if first == asked.fail_on {
            return Err(EngineError::new(
                EngineFailure::InvalidArgument,
                "the echo engine was asked to fail",
            ));
        }
        Ok(())
    }
}

impl Engine for EchoEngine {
    fn signature(&self) -> &ModelSignature {
        &self.signature
    }

    fn run(&mut self, batch: Batch<'_>) -> Result<Outputs, EngineError> {
        thread::sleep(Duration::from_millis(self.description.delay_milliseconds));
        for part in batch.parts(0) {
            self.misbehave(part.first().copied().unwrap_or(0))?;
        }
        let echo = |(input, spec): (usize, &TensorSpec)| {
            let mut data = vec![0; batch.size_bytes(input)];
            batch.gather_into(input, &mut data)?;
            Tensor::new(
                spec.name.clone(),
                spec.dtype,
                batch.shape(input)?,
                data.into(),
            )
            .map_err(|error| EngineError::new(EngineFailure::Internal, error.to_string()))
        };
        self.signature
            .outputs()
            .iter()
            .enumerate()
            .map(echo)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_checked() {
        let rows = NonZeroUsize::new(8).unwrap();
        let input = r#"{"name":"x","datatype":"FP32","shape":[-1,4]}"#;
        let engine = EchoEngine::parse(&format!(r#"{{"inputs":[{input}]}}"#), rows, false).unwrap();
        assert_eq!(engine.signature().max_rows(), Some(rows));
        for (text, wanted) in [
            ("{", "EOF"),
            (r#"{"inputs":[],"frob":1}"#, "unknown field"),
            (r#"{"inputs":[]}"#, "no outputs"),
            (
                r#"{"inputs":[{"name":"x","datatype":"F32","shape":[1]}]}"#,
                "'F32' is unknown",
            ),
        ] {
            let problem = EchoEngine::parse(text, rows, true).unwrap_err();
            assert!(problem.contains(wanted), "{problem}");
        }
    }

    #[test]
    fn a_file_alone_cannot_ask_for_faults() {
        let rows = NonZeroUsize::new(8).unwrap();
        for switch in ["failOn", "panicOn", "abortOn", "hangOn"] {
            let text = format!(
                r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[-1]}}],"{switch}":9}}"#
            );
            let problem = EchoEngine::parse(&text, rows, false).unwrap_err();
            assert!(problem.contains("--echo-faults=true"), "{problem}");
            assert!(EchoEngine::parse(&text, rows, true).is_ok(), "{switch}");
        }
    }
}
