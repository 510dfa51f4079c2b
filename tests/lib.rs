//! What the proofs share: the real binary as a process, real ensembles, and a client that can
//! misbehave.

pub mod process;
pub mod raw;
pub mod real;
