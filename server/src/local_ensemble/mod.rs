//! `althing ensemble`: several servers on this machine, as processes of this very program, for
//! trying things out. Each has a configuration file of its own, by which it can be started alone
//! too.

pub mod failure;
pub mod fleet;
pub mod layout;
pub mod run;
