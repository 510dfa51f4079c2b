//! What is kept of a red seed: a folder that explains itself, and what later campaigns try first.

pub mod commit;
pub mod folder;
pub mod kept;
pub mod nearby;
