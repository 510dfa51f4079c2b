//! `althing export`: a data directory for another service. Apache ZooKeeper starts with it.

pub mod arguments;
mod carried;
pub mod run;
