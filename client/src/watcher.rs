//! A watch, as its owner sees it: one event, some time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use althing_core::node::reply::WatchEvent;
use tokio::sync::oneshot;

use crate::error::ClientError;

pub(crate) type WatchResult = Result<WatchEvent, ClientError>;

/// A watch that was left by a read: it fires once, with the first change since what that read
/// returned, and survives reconnects. It fails when the session ends.
///
/// It is a future, and a stream of one event through [`Watcher::next`]. Dropping it forgets it.
#[derive(Debug)]
pub struct Watcher {
    receiver: Option<oneshot::Receiver<WatchResult>>,
}

impl Watcher {
    pub(crate) fn new() -> (oneshot::Sender<WatchResult>, Watcher) {
        let (sender, receiver) = oneshot::channel();
        (
            sender,
            Watcher {
                receiver: Some(receiver),
            },
        )
    }

    /// The event, or the error that ended the session; `None` after that. Nothing is lost if the
    /// call is given up.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, ClientError>> {
        self.receiver.as_ref()?;
        Some(self.await)
    }
}

impl Future for Watcher {
    type Output = Result<WatchEvent, ClientError>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.receiver.as_mut().expect("a watch fires once");
        let polled = Pin::new(receiver).poll(context);
        polled.map(|received| {
            self.receiver = None;
            // The sender goes without a word only if the session's task was dropped.
            received.unwrap_or(Err(ClientError::Closed))
        })
    }
}
