//! Real ensembles: server processes under real faults, driven by tapped clients, and judged by the
//! checkers of the simulator.

pub mod clients;
pub mod course;
pub mod ensemble;
pub mod faults;
pub mod judge;
pub mod network;
pub mod process;
pub mod trace_pipe;
pub mod witness;
