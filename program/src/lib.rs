//! The program `althing`: the server, and the tools of those who operate it.
//!
//! | file | what it is |
//! |---|---|
//! | [`program`], [`arguments`] | from the command line to the end of the process |
//! | [`admin`] | the ports of operators: commands over HTTP, health, metrics |
//! | [`cli`] | `althing cli`: ZooKeeper's shell on our client |
//! | [`inspect`] | `althing inspect`: shows, checks and compares files of the storage |
//! | [`import`], [`export`] | `althing import`: takes over what Apache ZooKeeper has kept; `althing export`: the other way |
//! | [`restore`] | `althing restore`: new data directories from a snapshot |
//! | [`bench`] | `althing bench`: a load on servers that run |
//! | [`founding`] | new data directories with a state that came about elsewhere |
//! | [`whole`] | reading a whole snapshot to make something of it |
//! | [`zookeeper`] | the files of Apache ZooKeeper |

#![warn(missing_docs)]

pub mod admin;
pub mod arguments;
pub mod bench;
pub mod cli;
pub mod export;
pub mod founding;
pub mod import;
pub mod inspect;
pub mod program;
pub mod restore;
pub mod whole;
pub mod zookeeper;
