//! The task behind a client: it owns the connection and everything that outlives one.

pub(crate) mod command;
pub(crate) mod shared;
pub(crate) mod task;
