//! The search for a server that has a leader, while one that has none lets the client read.
//!
//! Each attempt offers the session to another server, as a client that takes nothing less: the one
//! that accepts it is found, and its connection is ready.

use std::sync::Arc;
use std::time::Duration;

use althing_core::node::request::ConnectRequest;

use crate::config::{SEARCH_PAUSE_MAX, SEARCH_PAUSE_MIN};
use crate::runtime::Runtime;
use crate::session::offer::{Offer, Offered};
use crate::session::shared::Shared;

/// What a search needs.
pub(crate) struct Search<R: Runtime> {
    pub(crate) runtime: R,
    /// In the order in which they are asked, again and again.
    pub(crate) servers: Vec<String>,
    /// What each is asked; how far the client has seen is looked up each time.
    pub(crate) request: ConnectRequest,
    pub(crate) shared: Arc<Shared>,
    /// How long one may take to be reached, and to answer.
    pub(crate) patience: [Duration; 2],
}

impl<R: Runtime> Search<R> {
    /// Asks until one takes the session, or says that it is over.
    pub(crate) async fn run(self) -> Offered<R> {
        let mut pause = SEARCH_PAUSE_MIN;
        for server in self.servers.iter().cycle() {
            self.runtime.sleep(pause).await;
            pause = (pause * 2).min(SEARCH_PAUSE_MAX);
            let mut request = self.request.clone();
            request.last_zxid_seen = request.last_zxid_seen.max(self.shared.last_zxid());
            let offer = Offer {
                request,
                patience: self.patience,
            };
            match offer.make(&self.runtime, server).await {
                Ok(offered) if offered.is_useful() => return offered,
                Ok(_) => tracing::debug!(server, "it only reads, too"),
                Err(error) => tracing::debug!(server, %error, "it has no leader, either"),
            }
        }
        std::future::pending().await
    }
}
