//! Althing's client: sessions, watches, and recipes built on them.

pub mod runtime;
