//! One session after another, for those who outlive a session.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::client::Client;
use crate::config::ClientConfig;
use crate::error::ClientError;
use crate::runtime::Runtime;

/// Gives the client of the present session, and opens a new one when that has ended. A handle:
/// cloning it is cheap, and all clones share the session.
///
/// Each session begins where the one before ended: a server that is behind what was seen is not
/// taken.
///
/// Only what can begin anew in another session should use it: a cached reader, a candidate between
/// two terms. The holder of a lock must not.
#[derive(Clone, Debug)]
pub struct Sessions<R: Runtime> {
    runtime: R,
    config: ClientConfig,
    present: Arc<Mutex<Option<Client<R>>>>,
}

impl<R: Runtime> Sessions<R> {
    /// Opens no session yet.
    pub fn new(runtime: R, config: ClientConfig) -> Sessions<R> {
        Sessions {
            runtime,
            config,
            present: Arc::new(Mutex::new(None)),
        }
    }

    /// Begins with the session of `client`; those after it are opened with `config`.
    pub fn starting_with(client: Client<R>, config: ClientConfig) -> Sessions<R> {
        Sessions {
            runtime: client.runtime().clone(),
            config,
            present: Arc::new(Mutex::new(Some(client))),
        }
    }

    /// The world that the clients live in.
    pub fn runtime(&self) -> &R {
        &self.runtime
    }

    /// The client of the present session, or of a new one if that has ended. Whoever asks while a
    /// session is being opened waits for it.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn client(&self) -> Result<Client<R>, ClientError> {
        let mut present = self.present.lock().await;
        if let Some(client) = &*present
            && !client.state().is_final()
        {
            return Ok(client.clone());
        }
        let mut config = self.config.clone();
        if let Some(client) = &*present {
            config.last_zxid_seen = config.last_zxid_seen.max(client.last_zxid());
        }
        let client = Client::connect(self.runtime.clone(), config).await?;
        *present = Some(client.clone());
        Ok(client)
    }
}
