//! `althing cli`: ZooKeeper's shell, for one command or for many. It speaks to servers through the
//! public client, so it works with ZooKeeper's, too.

mod answer;
pub mod arguments;
mod command;
mod completion;
mod connection;
mod error;
mod execute;
mod interactive;
mod notation;
mod quotas;
pub mod run;
mod subtree;
mod way;
mod words;
