//! The serving pod: one process that loads a model and answers the Open Inference Protocol.
//!
//! The path of a request: `front::accept` → `front::admit`, by the headers alone →
//! `aimodel_wire::oip::decode` → `batch` → `engine` → `batch::split` → `aimodel_wire::oip::encode`.

#![deny(unsafe_code)]

pub mod batch;
pub mod config;
pub mod cpu;
pub mod dl;
pub mod engine;
pub mod fatal;
pub mod front;
pub mod metrics;
pub mod process;
pub mod repository;
mod shared;
