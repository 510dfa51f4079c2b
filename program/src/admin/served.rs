//! What all answers to operators have in common: whom they ask, and how they look.

use std::sync::Arc;

use althing::config::operators::Snapshots;
use althing::desk::Desk;
use althing::mail::View;
use althing::tokio_shell::TokioShell;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::admin::pauses::Pauses;

/// What answers every request.
#[derive(Clone, Debug)]
pub struct Served {
    /// Where the server is asked.
    pub desk: Desk,
    /// The process.
    pub shell: TokioShell,
    /// How often snapshots are given away, if they are.
    pub snapshots: Option<Pauses>,
    /// Who restores a snapshot: one at a time.
    pub restoring: Arc<Semaphore>,
}

/// Why a command has no answer.
pub enum Refused {
    /// It means nothing on this server.
    Not(&'static str),
    /// The server does not answer in time.
    Unserved,
}

impl Served {
    /// The server at `desk`.
    pub fn new(desk: Desk, shell: TokioShell, snapshots: Snapshots) -> Served {
        let snapshots = match snapshots {
            Snapshots::Withheld => None,
            Snapshots::Every(pause) => Some(Pauses::of(pause)),
        };
        Served {
            desk,
            shell,
            snapshots,
            restoring: Arc::new(Semaphore::new(1)),
        }
    }

    /// What `look` makes of the node between two of its steps.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let looked = self.desk.look(&self.shell, look).await;
        looked.ok_or(Refused::Unserved)
    }
}

/// An answer.
pub fn json_of(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{value:#}\n")).into_response()
}
