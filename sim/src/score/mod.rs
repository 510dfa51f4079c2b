//! The mutation score: real bugs, kept as patches, each of which the testbed must catch.

pub mod catalogue;
pub mod mutant;
pub mod options;
pub mod page;
pub mod results;
pub mod scratch;
pub mod session;
pub mod told;
pub mod trial;
pub mod trouble;
