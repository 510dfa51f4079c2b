//! One server, whole: what happened to it comes in, what should be done about it goes out.

pub mod answer;
pub mod auth;
pub mod commit;
pub mod connection;
pub mod effect;
pub mod event;
pub mod input;
pub mod node;
pub mod proposal;
pub mod reply;
pub mod request;
pub mod status;
pub mod waiter;
