//! The life of a session: connecting, serving, losing the connection, ending.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::ClientConfig;
use crate::runtime::Runtime;
use crate::session::command::Command;
use crate::session::shared::Shared;

pub(crate) struct Session<R: Runtime> {
    runtime: R,
    config: ClientConfig,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
}

impl<R: Runtime> Session<R> {
    pub(crate) fn new(
        runtime: R,
        config: ClientConfig,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
    ) -> Session<R> {
        Session {
            runtime,
            config,
            shared,
            commands,
        }
    }

    pub(crate) async fn run(self) {
        let _ = (self.runtime, self.config, self.shared, self.commands);
        todo!()
    }
}
