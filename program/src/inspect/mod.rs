//! `althing inspect`: shows, checks and compares the files of a data directory, in use or not. It
//! reads them with the server's own storage, and writes nothing.

pub mod arguments;
mod compared;
pub(crate) mod findings;
pub(crate) mod place;
pub(crate) mod read_only;
pub mod run;
mod segments;
pub(crate) mod snapshots;
pub mod spelling;
