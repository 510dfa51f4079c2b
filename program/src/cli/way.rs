//! How the shell reaches the servers: in the open, or by TLS.

use std::io;
use std::time::Duration;

use althing_client::runtime::{Runtime, Tokio};
use althing_client::secured::{Identity, Secured};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::cli::arguments::Cli;
use crate::cli::error::CliError;

/// Where bytes go and come from.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// The runtime of the shell's client.
#[derive(Clone, Debug)]
pub enum Way {
    /// TCP.
    Open,
    /// TLS.
    Secured(Secured),
}

impl Way {
    /// The way that the flags ask for.
    ///
    /// # Errors
    /// If a file is of no use.
    pub fn of(flags: &Cli) -> Result<Way, CliError> {
        let Some(authority) = &flags.ca else {
            return Ok(Way::Open);
        };
        let identity = match (&flags.certificate, &flags.key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            _ => None,
        };
        let secured = Secured::new(authority, identity);
        let secured = secured.map_err(|error| CliError::Usage(error.to_string()))?;
        Ok(Way::Secured(secured))
    }

    /// What TLS had against the last connection that failed.
    pub fn complaint(&self) -> Option<String> {
        match self {
            Way::Open => None,
            Way::Secured(secured) => secured.last_complaint(),
        }
    }
}

impl Runtime for Way {
    type Stream = Box<dyn Duplex>;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        Tokio.spawn(task);
    }

    async fn sleep(&self, delay: Duration) {
        Tokio.sleep(delay).await;
    }

    async fn connect(&self, address: &str) -> io::Result<Self::Stream> {
        Ok(match self {
            Way::Open => Box::new(Tokio.connect(address).await?),
            Way::Secured(secured) => Box::new(secured.connect(address).await?),
        })
    }

    fn random(&self) -> u64 {
        Tokio.random()
    }

    fn now(&self) -> Duration {
        Tokio.now()
    }
}
