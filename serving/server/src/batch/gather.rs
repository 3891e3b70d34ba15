//! The inputs of several requests as one batch.
//!
//! The worker makes a `Batch` of the jobs it pulled and hands it to the engine, which allocates its
//! own aligned memory and asks for the rows to be copied into it: the only copy on the way in.

use aimodel_wire::{DType, EngineFailure, Shape, Tensor, oip::Work};
use bytes::Bytes;

use crate::engine::EngineError;

/// Requests that run together: at least one, all with the same `ShapeKey`.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    works: Vec<&'a Work>,
    rows: usize,
}

impl<'a> Batch<'a> {
    /// A batch of these requests; their rows follow each other in this order.
    ///
    /// # Errors
    /// When there is none, or their shapes differ in more than the number of rows.
    pub fn new(works: impl IntoIterator<Item = &'a Work>) -> Result<Self, EngineError> {
        let works: Vec<&Work> = works.into_iter().collect();
        let Some(first) = works.first() else {
            return Err(defect("a batch was made of no requests"));
        };
        let alike =
            |work: &&Work| work.key() == first.key() && work.inputs().len() == first.inputs().len();
        if !works.iter().all(alike) {
            return Err(defect("a batch was made of requests of different shapes"));
        }
        let rows = works.iter().map(|work| work.rows()).sum();
        Ok(Self { works, rows })
    }

    /// The rows of all requests; one for a model without a batch dimension.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The requests, in the order of their rows.
    #[must_use]
    pub fn works(&self) -> &[&'a Work] {
        &self.works
    }

    /// The datatype of an input of the signature.
    ///
    /// # Errors
    /// When the signature has no such input.
    pub fn dtype(&self, input: usize) -> Result<DType, EngineError> {
        self.first(input).map(Tensor::dtype)
    }

    /// The shape of an input of the whole batch.
    ///
    /// # Errors
    /// When the signature has no such input or the batch is too large to exist.
    pub fn shape(&self, input: usize) -> Result<Shape, EngineError> {
        let shape = self.first(input)?.shape();
        if self.works.len() == 1 {
            return Ok(shape.clone());
        }
        shape
            .with_rows(self.rows)
            .map_err(|error| defect(&format!("input {input}: {error}")))
    }

    /// The bytes of an input of the whole batch.
    #[must_use]
    pub fn size_bytes(&self, input: usize) -> usize {
        self.parts(input).map(Bytes::len).sum()
    }

    /// The data of an input, one piece per request.
    pub fn parts(&self, input: usize) -> impl Iterator<Item = &'a Bytes> + '_ {
        self.works
            .iter()
            .filter_map(move |work| Some(work.inputs().get(input)?.data()))
    }

    /// Copies an input of the whole batch to `destination`.
    ///
    /// # Errors
    /// When `destination` does not have exactly `size_bytes(input)` bytes.
    pub fn gather_into(&self, input: usize, mut destination: &mut [u8]) -> Result<(), EngineError> {
        let (needed, given) = (self.size_bytes(input), destination.len());
        if needed != given {
            return Err(defect(&format!(
                "input {input} has {needed} bytes, the engine gave room for {given}"
            )));
        }
        for part in self.parts(input) {
            let (room, rest) = destination.split_at_mut(part.len());
            room.copy_from_slice(part);
            destination = rest;
        }
        Ok(())
    }

    fn first(&self, input: usize) -> Result<&'a Tensor, EngineError> {
        let work = self.works.first();
        work.and_then(|work| work.inputs().get(input))
            .ok_or_else(|| defect(&format!("the batch has no input {input}")))
    }
}

fn defect(message: &str) -> EngineError {
    EngineError::new(EngineFailure::Internal, message)
}
