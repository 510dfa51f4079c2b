//! A watch that stays, as its owner sees it: events, one after another.

use std::sync::{Arc, OnceLock};

use althing_core::node::reply::WatchEvent;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::WATCH_EVENTS_MAX;
use crate::error::ClientError;

/// What a watch that stays tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Something changed.
    Event(WatchEvent),
    /// The connection was lost, and the watch is set again on another one. What changed in between
    /// is told by nobody: who keeps a copy reads it anew.
    Interrupted,
}

/// A watch that was left by [`crate::client::Client::add_watch`]. It tells of every change until it
/// is removed, survives reconnects, and fails when the session ends.
///
/// Dropping it forgets it here, and at the server with the next reconnect;
/// [`crate::client::Client::remove_watches`] does both at once.
#[derive(Debug)]
pub struct PersistentWatcher {
    news: mpsc::Receiver<News>,
    ended: Arc<OnceLock<ClientError>>,
}

impl PersistentWatcher {
    pub(crate) fn new() -> (Staying, PersistentWatcher) {
        let (sender, news) = mpsc::channel(WATCH_EVENTS_MAX);
        let ended = Arc::new(OnceLock::new());
        let staying = Staying {
            news: sender,
            ended: Arc::clone(&ended),
        };
        (staying, PersistentWatcher { news, ended })
    }

    /// What the watch tells next. Nothing is lost if the call is given up.
    ///
    /// # Errors
    /// After everything that was told: the error that ended the session, `WatchRemoved`, or
    /// `TooManyEvents` if [`WATCH_EVENTS_MAX`] waited here and another one came.
    pub async fn next(&mut self) -> Result<News, ClientError> {
        let news = self.news.recv().await;
        news.ok_or_else(|| self.ended.get().cloned().unwrap_or(ClientError::Closed))
    }
}

/// The session's end of it.
#[derive(Debug)]
pub(crate) struct Staying {
    news: mpsc::Sender<News>,
    ended: Arc<OnceLock<ClientError>>,
}

impl Staying {
    /// Tells it; `false` if there is nobody to tell any more.
    pub(crate) fn tell(&self, news: News) -> bool {
        match self.news.try_send(news) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                self.end(ClientError::TooManyEvents);
                false
            }
        }
    }

    /// Says why nothing more will be told. The first reason stands.
    pub(crate) fn end(&self, why: ClientError) {
        let _ = self.ended.set(why);
    }

    pub(crate) fn is_forgotten(&self) -> bool {
        self.news.is_closed()
    }
}
