//! Traces of real servers and clients (`docs/traces.md`): read, put into one history, and judged
//! by the checkers of the simulator.

pub mod file;
pub mod judge;
pub mod merge;
pub mod options;
#[cfg(test)]
mod tests;
