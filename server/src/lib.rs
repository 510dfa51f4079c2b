//! The shell around one [`althing_core::node::node::Node`]: sockets, files, clock. Production runs
//! it on tokio, the simulator on its own [`shell::Shell`] and [`disk::Disk`].
//!
//! What both worlds run (no tokio runtime needed, only tokio's channels and I/O traits), from the
//! top:
//!
//! | file | what it is |
//! |---|---|
//! | [`server`] | puts everything below together: [`server::serve`] |
//! | [`drive`], [`clients`] | step the node, do what it wants done, hand each client its replies |
//! | [`alarm`], [`ending`] | when the drive wakes; how it ends |
//! | [`accept`], [`admission`] | let clients in, as many as there may be |
//! | [`connection`], [`frames`], [`outbound`] | one client: bytes in, bytes out, back-pressure |
//! | [`peers`], [`observers`] | the links to other servers; who is taken in as a learner |
//! | [`gossip`] | tells the other servers of this one, and the drive of the others |
//! | [`desk`], [`four_letter`], [`words`] | where operators ask, and what |
//! | [`figures`], [`reports`], [`gossip_reports`], [`statistics`] | what they are told |
//! | [`restorer`] | sets an ensemble that serves back to what a snapshot holds |
//! | [`storage`] | log and snapshots |
//! | [`mail`], [`limits`] | what the tasks tell the drive; how much of everything there may be |
//! | [`witness`] | what a server does, as whoever looks on tells it |
//! | [`shell`], [`disk`] | where the worlds differ |
//!
//! What only production runs: [`program`], [`arguments`], [`config`], [`logging`], [`tokio_shell`],
//! [`tokio_clients`], [`tokio_peers`], [`tls`], [`os_disk`], [`office`], [`trace`],
//! [`local_ensemble`].
//!
//! The node's own thread steps it and encodes the replies; it touches no socket and no file. Bytes
//! go to the connections once a turn, each client's in one piece. The log and the snapshots have
//! threads of their own, since they block.

pub mod accept;
pub mod admission;
pub mod alarm;
pub mod arguments;
pub mod audit;
pub mod audit_file;
pub mod clients;
pub mod config;
pub mod connection;
#[cfg(test)]
mod connection_tests;
pub mod desk;
pub mod disk;
pub mod drive;
#[cfg(test)]
mod drive_tests;
pub mod ending;
#[cfg(test)]
mod ensemble_tests;
pub mod entropy;
pub mod figures;
pub mod four_letter;
pub mod frames;
pub mod gossip;
pub mod gossip_reports;
#[cfg(test)]
mod gossip_tests;
#[cfg(test)]
mod limit_tests;
pub mod limits;
pub mod local_ensemble;
pub mod logging;
pub mod mail;
pub mod namespaces;
pub mod observers;
pub mod office;
pub mod os_disk;
pub mod outbound;
pub mod peers;
pub mod program;
pub mod quota_reports;
pub mod refusals;
pub mod reports;
pub mod restorer;
#[cfg(test)]
mod restorer_tests;
#[cfg(test)]
mod rig;
pub mod seldom;
pub mod server;
#[cfg(test)]
mod server_tests;
pub mod shell;
pub mod statistics;
pub mod storage;
pub mod tls;
pub mod tokio_clients;
pub mod tokio_peers;
pub mod tokio_shell;
pub mod trace;
pub mod witness;
pub mod words;
