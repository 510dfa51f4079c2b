//! Accepts clients, as many as there may be.

use std::sync::Arc;

use althing_core::ids::ConnectionId;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::connection::Connection;
use crate::four_letter::FourLetters;
use crate::limits::{ACCEPT_PAUSE, Limits};
use crate::mail::Mailbox;
use crate::shell::{Shell, Task};

/// What the accepting needs.
pub struct Accept<S: Shell> {
    /// The world.
    pub shell: S,
    /// What clients are allowed.
    pub limits: Limits,
    /// Counts them.
    pub admission: Admission,
    /// The drive.
    pub mailbox: Mailbox,
    /// Answers four-letter words.
    pub four_letters: Arc<FourLetters>,
}

impl<S: Shell> Accept<S> {
    /// Accepts until `serving` is gone.
    pub async fn run(self, mut serving: watch::Receiver<()>) {
        let mut last = ConnectionId(0);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = serving.changed() => return,
                accepted = self.shell.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    let again = self.shell.now().clock.after(ACCEPT_PAUSE);
                    self.shell.sleep_until(again).await;
                    continue;
                }
            };
            let admitted = match self.admission.admit(&self.limits, address.ip()) {
                Ok(admitted) => admitted,
                Err(too_many) => {
                    tracing::warn!(%address, "a client is turned away: {too_many}");
                    continue;
                }
            };
            last = ConnectionId(last.0 + 1);
            let connection = Connection {
                connection: last,
                address,
                stream,
                admitted,
                limits: self.limits,
                shell: self.shell.clone(),
                mailbox: self.mailbox.clone(),
                four_letters: Arc::clone(&self.four_letters),
            };
            self.shell.spawn(Task::Connection, connection.serve());
        }
    }
}
