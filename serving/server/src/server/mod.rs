//! Sockets and protocols: `accept` → `layer` → `service`, with `health`, `admin` and `drain` beside.

pub mod accept;
pub mod admin;
pub mod body;
mod deadline;
pub mod drain;
pub mod health;
pub mod layer;
pub mod load;
mod message;
pub mod routes;
pub mod service;
pub mod tasks;
mod unsent;
