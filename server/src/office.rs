//! The ports of operators beside the client port. They are bound before the server serves, and
//! given to whoever answers there: this crate knows no HTTP.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::TcpListener;

use crate::config::operators::{Operators, Snapshots};
use crate::desk::Desk;
use crate::tokio_shell::TokioShell;

/// Answers operators, from now on.
pub type Attend = fn(Office);

/// What whoever answers operators is given.
#[derive(Debug)]
pub struct Office {
    /// Where the server is asked.
    pub desk: Desk,
    /// The process.
    pub shell: TokioShell,
    /// Where the admin interface is wanted.
    pub admin: Option<TcpListener>,
    /// Where the metrics are wanted.
    pub metrics: Option<TcpListener>,
    /// Whether snapshots are given away.
    pub snapshots: Snapshots,
}

/// Why there is no such port.
#[derive(Debug, Error)]
pub enum OfficeError {
    /// The operating system refuses it.
    #[error("cannot listen for operators on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Nobody would answer there.
    #[error("this program has neither an admin interface nor metrics")]
    NobodyAttends,
}

/// The ports, bound.
#[derive(Debug)]
pub struct Ports {
    /// The admin interface's.
    pub admin: Option<TcpListener>,
    /// The metrics'.
    pub metrics: Option<TcpListener>,
    /// Whether snapshots are given away at the former.
    pub snapshots: Snapshots,
}

impl Ports {
    /// Binds those that are wanted.
    ///
    /// # Errors
    /// If the operating system refuses, or there is nobody to `attend`.
    pub async fn bind(wanted: &Operators, attend: Option<Attend>) -> Result<Ports, OfficeError> {
        if attend.is_none() && (wanted.admin.is_some() || wanted.metrics.is_some()) {
            return Err(OfficeError::NobodyAttends);
        }
        Ok(Ports {
            admin: bind(wanted.admin).await?,
            metrics: bind(wanted.metrics).await?,
            snapshots: wanted.snapshots,
        })
    }

    /// Where they are, for the greeting: nothing, or words that begin with a comma.
    ///
    /// # Errors
    /// If the operating system does not know.
    pub fn described(&self) -> io::Result<String> {
        let mut text = String::new();
        for (what, port) in [("admin", &self.admin), ("metrics", &self.metrics)] {
            if let Some(port) = port {
                text.push_str(&format!(", {what} on {}", port.local_addr()?));
            }
        }
        Ok(text)
    }
}

async fn bind(wanted: Option<SocketAddr>) -> Result<Option<TcpListener>, OfficeError> {
    let Some(address) = wanted else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).await;
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(OfficeError::Listen { address, source }),
    }
}
