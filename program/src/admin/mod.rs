//! The ports of operators beside the client port: the admin interface over HTTP, with ZooKeeper's
//! command names and JSON, health for orchestrators, and metrics for Prometheus.

mod answers;
mod command;
mod door;
pub mod office;
mod pauses;
mod prometheus;
mod restoring;
mod routes;
mod scratch;
mod served;
mod snapshot;
