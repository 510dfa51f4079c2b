//! `althing bench`: a load on servers that run, over real sockets, to see what they answer and how
//! fast. How this project measures itself is another matter: docs/performance.md; it uses the same
//! generator.
//!
//! | file | what it is |
//! |---|---|
//! | [`arguments`], [`run`] | from the flags to the exit code |
//! | [`load`], [`latencies`] | what is asked; how long it took |
//! | [`generator`], [`connection`] | keeps requests in flight on many connections, in one thread |

pub mod arguments;
pub mod connection;
pub mod generator;
pub mod latencies;
mod load;
pub mod run;
