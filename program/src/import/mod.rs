//! `althing import`: takes over what another service has kept. A directory of Apache ZooKeeper's is
//! read as ZooKeeper reads it at its start, and becomes a new data directory.
//!
//! | file | what it is |
//! |---|---|
//! | [`arguments`], [`run`] | from the flags to the exit code |
//! | [`files`], [`recovery`] | which files there are; the state that they come to |
//! | [`carried`] | that state as ours |
//! | [`refusal`], [`report`] | why it is not done; what was done |

pub mod arguments;
mod carried;
mod files;
mod recovery;
mod refusal;
mod report;
pub mod run;
