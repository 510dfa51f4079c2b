//! Copies of parts of the tree that follow it: read once, then wait to be told.

pub mod cached;
pub(crate) mod copy;
pub(crate) mod reader;
pub(crate) mod subject;
pub(crate) mod subtree;
