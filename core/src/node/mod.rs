//! One server, whole: what happened to it comes in, what should be done about it goes out.

pub mod connection;
pub mod effect;
pub mod event;
pub mod input;
pub mod node;
pub mod reply;
pub mod request;
