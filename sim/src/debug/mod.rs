//! Interactive replay: a run as a place in which one can walk, ask what is the case, and try what
//! would have been without one of the faults.

pub mod console;
pub mod scene;
