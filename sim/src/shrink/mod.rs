//! Shrinking: from the plan of a red run to the least of it that is still red for the same reason.

pub mod culprit;
pub mod search;
pub mod shrink;
pub mod size;
pub mod steps;
#[cfg(test)]
mod tests;
