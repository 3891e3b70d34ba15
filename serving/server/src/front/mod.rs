//! Sockets and protocols: what stands between a client and the batcher.
//!
//! `accept` → `connection` → `layer` → `admit` → `message` → `service`, with `health`, `admin` and
//! `drain` beside.

pub mod accept;
pub mod admin;
pub mod admit;
pub mod body;
mod connection;
pub mod connection_limits;
mod deadline;
pub mod drain;
pub mod health;
pub mod in_flight;
pub mod layer;
mod message;
pub mod routes;
pub mod service;
pub mod tasks;
mod unsent;
