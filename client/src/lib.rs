//! Althing's client: sessions, watches, and recipes built on them.
//!
//! A [`client::Client`] is one session. It speaks ZooKeeper's protocol, so it works with Althing
//! and with ZooKeeper. The [`runtime::Runtime`] is handed in: [`runtime::Tokio`] in ordinary
//! programs, the simulator's in simulated ones.
//!
//! ```no_run
//! use althing_client::client::Client;
//! use althing_client::config::ClientConfig;
//! use althing_client::error::ClientError;
//! use althing_client::recipes::lock::Lock;
//! use althing_client::runtime::Tokio;
//! use althing_client::znode::{CreateMode, Version};
//!
//! # async fn example() -> Result<(), ClientError> {
//! let client = Client::connect(Tokio, ClientConfig::new(["127.0.0.1:2181"])).await?;
//! client.create("/greeting", "hello", CreateMode::Persistent).await?;
//!
//! // Read once, then wait to be told.
//! let (greeting, changed) = client.watch_data("/greeting").await?;
//! client.set_data("/greeting", "good day", Version::Exactly(greeting.stat.version)).await?;
//! assert_eq!(changed.await?.path.as_str(), "/greeting");
//!
//! // Nobody else greets meanwhile.
//! let hold = Lock::new(&client, "/locks/greeting")?.acquire().await?;
//! println!("fenced by {}", hold.token());
//! hold.release().await?;
//! client.close().await
//! # }
//! ```
#![warn(missing_docs)]

pub mod client;
pub mod config;
pub mod error;
mod inquiry;
pub mod members;
pub mod persistent;
pub mod quotas;
pub mod recipes;
pub mod runtime;
#[cfg(feature = "tls")]
pub mod secured;
mod session;
pub mod sessions;
pub mod state;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod transaction;
pub mod watch;
pub mod watcher;
mod watching;
pub mod znode;
