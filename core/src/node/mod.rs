//! One server, whole: what happened to it comes in, what should be done about it goes out.

pub mod admission;
mod amendment;
pub mod answer;
pub mod auth;
mod barrier;
pub mod commit;
pub mod connection;
pub mod effect;
pub mod event;
mod fingerprint;
pub mod input;
pub mod node;
mod peer;
pub mod proposal;
mod question;
pub mod reading;
mod reaping;
pub mod reply;
pub mod request;
pub mod status;
mod watching;
