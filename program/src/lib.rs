//! The program `althing`: the server, and the tools of those who operate it.
//!
//! | file | what it is |
//! |---|---|
//! | [`program`], [`arguments`] | from the command line to the end of the process |
//! | [`admin`] | the ports of operators: commands over HTTP, health, metrics |
//! | [`cli`] | `althing cli`: ZooKeeper's shell on our client |
//! | [`inspect`] | `althing inspect`: shows, checks and compares files of the storage |

#![warn(missing_docs)]

pub mod admin;
pub mod arguments;
pub mod cli;
pub mod inspect;
pub mod program;
