//! The world in which Althing is tried: seeds, faults, checkers, verdicts.

#[cfg(not(madsim))]
compile_error!(
    "althing-sim needs `--cfg madsim`, which .cargo/config.toml sets for this workspace. A RUSTFLAGS \
     variable overrides that file: unset it, or add `--cfg madsim` to it."
);

pub use althing_sim_macros::test;

pub mod backstage;
pub mod campaign;
pub mod cast;
pub mod check;
pub mod command;
pub mod coverage;
pub mod cue;
pub mod debug;
pub mod draw;
pub mod explore;
pub mod figures;
pub mod history;
pub mod key_path;
pub mod library;
pub mod mix;
pub mod numbers;
pub mod outage;
pub mod performance;
pub mod plan;
pub mod portfolio;
pub mod preference;
pub mod quorums;
pub mod random;
pub mod red;
pub mod reference;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod score;
pub mod seeds;
pub mod server_settings;
pub mod shrink;
pub mod soundness;
pub mod span;
pub mod stopwatch;
pub mod swarm;
pub mod telling;
pub mod testbed;
pub mod timeline;
pub mod traces;
pub mod vacancy;
pub mod verdict;
pub mod whereabouts;
pub mod workload;
pub mod world;
