//! The task behind a client: it owns the connection and everything that outlives one.

pub(crate) mod backoff;
pub(crate) mod command;
pub(crate) mod lasting;
pub(crate) mod later;
pub(crate) mod offer;
pub(crate) mod proof;
mod search;
pub(crate) mod shared;
pub(crate) mod talk;
pub(crate) mod task;
pub(crate) mod watches;
pub(crate) mod wire;
