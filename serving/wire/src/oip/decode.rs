//! A request becomes checked work: `ModelInferRequest` → (`Work`, `Reply`).
//!
//! The handler calls it after it found the model and before it asks for admission. Whatever passes
//! fits the model's signature, so nothing behind it checks again. It never copies raw contents and
//! never allocates what the request did not pay for.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::work::{Reply, Style, Work};
use crate::{
    InferError, ModelSignature,
    proto::{
        InferTensorContents, ModelInferRequest,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
    signature::TensorSpec,
    tensor::{DType, Shape, Tensor, typed},
};

/// The most characters of a client's own text that an error message repeats.
const QUOTE_LIMIT: usize = 64;

/// The work that a request asks for, and what its answer will need.
///
/// # Errors
/// `InvalidRequest` for anything that does not fit the signature or the protocol; the message names
/// the tensor.
pub fn decode(
    request: ModelInferRequest,
    signature: &ModelSignature,
) -> Result<(Work, Reply), InferError> {
    no_parameters("the request", request.parameters.keys())?;
    let style = style_of(&request)?;
    let outputs = requested(&request.outputs, signature)?;
    let inputs = inputs(request.inputs, request.raw_input_contents, style, signature)?;
    let rows = rows(&inputs, signature)?;
    let work = Work::new(signature, inputs, outputs, rows);
    Ok((
        work,
        Reply {
            id: request.id,
            style,
        },
    ))
}

/// Raw or typed; refuses a mixture and raw contents that do not cover every input.
fn style_of(request: &ModelInferRequest) -> Result<Style, InferError> {
    let (raw, inputs) = (request.raw_input_contents.len(), request.inputs.len());
    if raw == 0 {
        return Ok(Style::Typed);
    }
    if let Some(mixed) = request
        .inputs
        .iter()
        .find(|input| is_filled(input.contents.as_ref()))
    {
        return invalid(format!(
            "input {} has contents although raw_input_contents is set; send all inputs one way",
            quote(&mixed.name)
        ));
    }
    if raw != inputs {
        return invalid(format!(
            "raw_input_contents has {raw} entries for {inputs} inputs; send one per input"
        ));
    }
    Ok(Style::Raw)
}

fn is_filled(contents: Option<&InferTensorContents>) -> bool {
    contents.is_some_and(|contents| *contents != InferTensorContents::default())
}

/// The inputs in the signature's order, each there exactly once.
fn inputs(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    style: Style,
    signature: &ModelSignature,
) -> Result<Vec<Tensor>, InferError> {
    let specs = signature.inputs();
    let mut placed: SmallVec<[Option<Tensor>; 4]> = specs.iter().map(|_| None).collect();
    let mut raw = raw.into_iter();
    for input in inputs {
        let raw = raw.next().filter(|_| style == Style::Raw);
        let Some(index) = specs.iter().position(|spec| *spec.name == *input.name) else {
            let known = names(specs);
            return invalid(format!(
                "input {} is unknown; the model takes {known}",
                quote(&input.name)
            ));
        };
        if placed[index].is_some() {
            return invalid(format!("input '{}' is there twice", specs[index].name));
        }
        placed[index] = Some(tensor(input, raw, &specs[index])?);
    }
    specs
        .iter()
        .zip(placed)
        .map(|(spec, tensor)| {
            tensor.ok_or_else(|| {
                InferError::InvalidRequest(format!("input '{}' is missing", spec.name))
            })
        })
        .collect()
}

fn tensor(
    input: InferInputTensor,
    raw: Option<Bytes>,
    spec: &TensorSpec,
) -> Result<Tensor, InferError> {
    let name = &spec.name;
    no_parameters(&format!("input '{name}'"), input.parameters.keys())?;
    if DType::parse(&input.datatype) != Some(spec.dtype) {
        let datatype = quote(&input.datatype);
        return invalid(format!(
            "input '{name}' has datatype {datatype}, the model takes {}",
            spec.dtype
        ));
    }
    let refuse = |error: &dyn std::fmt::Display| {
        InferError::InvalidRequest(format!("input '{name}': {error}"))
    };
    let shape = Shape::from_wire(&input.shape).map_err(|error| refuse(&error))?;
    if !spec.accepts(&shape) {
        return invalid(format!(
            "input '{name}' has shape {shape}, the model takes {:?}",
            spec.shape
        ));
    }
    let data = if let Some(raw) = raw {
        raw
    } else {
        let contents = input.contents.unwrap_or_default();
        typed::to_raw(&contents, spec.dtype, shape.elements()).map_err(|error| refuse(&error))?
    };
    Tensor::new(Arc::clone(name), spec.dtype, shape, data).map_err(|error| refuse(&error))
}

/// The rows that all inputs agree on; one for a model without a batch dimension.
fn rows(inputs: &[Tensor], signature: &ModelSignature) -> Result<usize, InferError> {
    let (Some(max_rows), Some(first)) = (signature.max_rows(), inputs.first()) else {
        return Ok(1);
    };
    let rows = first.rows().unwrap_or(1);
    if let Some(other) = inputs.iter().find(|input| input.rows() != Some(rows)) {
        return invalid(format!(
            "input '{}' has {} rows, input '{}' has {rows}; all inputs need the same number",
            other.name(),
            other.rows().unwrap_or(1),
            first.name(),
        ));
    }
    if rows > max_rows.get() {
        return invalid(format!(
            "the request has {rows} rows, the model takes at most {max_rows}; send several requests"
        ));
    }
    Ok(rows)
}

/// The signature's outputs that the client wants, in its order; all when it names none.
fn requested(
    outputs: &[InferRequestedOutputTensor],
    signature: &ModelSignature,
) -> Result<SmallVec<[usize; 4]>, InferError> {
    let specs = signature.outputs();
    if outputs.is_empty() {
        return Ok((0..specs.len()).collect());
    }
    let mut indexes = SmallVec::new();
    for output in outputs {
        let name = quote(&output.name);
        let Some(index) = specs.iter().position(|spec| *spec.name == *output.name) else {
            let known = names(specs);
            return invalid(format!("output {name} is unknown; the model gives {known}"));
        };
        no_parameters(&format!("output {name}"), output.parameters.keys())?;
        if indexes.contains(&index) {
            return invalid(format!("output {name} is requested twice"));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

/// A parameter asks for something, and none is supported: refusing beats ignoring.
fn no_parameters<'a>(
    place: &str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), InferError> {
    match names.min() {
        None => Ok(()),
        Some(name) => invalid(format!(
            "parameter {} of {place} is not supported; leave it out",
            quote(name)
        )),
    }
}

fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// A client's text in quotes, cut so that the message fits into a header.
fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_LIMIT) {
        None => format!("'{text}'"),
        Some((end, _)) => format!("'{}…'", &text[..end]),
    }
}

fn invalid<T>(message: String) -> Result<T, InferError> {
    Err(InferError::InvalidRequest(message))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
