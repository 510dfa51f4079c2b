//! The command `restore`: sets the znodes back to what a snapshot of ours holds while clients are
//! served, for who may do everything.

use std::fs;
use std::io;
use std::path::Path;

use althing::desk::Desk;
use althing::restorer::{self, RestoreError, Restored};
use althing::storage::error::StorageError;
use althing::storage::snapshot_file;
use althing::tokio_shell::TokioShell;
use althing_core::config::Restoring;
use althing_core::ids::Zxid;
use althing_core::store::store::Store;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use serde_json::json;
use thiserror::Error;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use crate::admin::scratch::{Purpose, Scratch};
use crate::admin::served::{Served, json_of};
use crate::admin::snapshot::{authorised, refusal};
use crate::inspect::read_only::ReadOnlyDisk;

/// Its name.
pub const RESTORE: &str = "restore";

/// The file with what comes in.
const FILE: &str = "received";

/// Why nothing is restored, or only in part.
#[derive(Debug, Error)]
enum Failure {
    /// What came is no snapshot of ours.
    #[error("the snapshot is not restored: {0}")]
    Damaged(#[from] StorageError),
    /// It did not come whole.
    #[error("the snapshot did not come whole: {0}")]
    Cut(axum::Error),
    /// It cannot be kept until it is read.
    #[error("the snapshot cannot be kept: {0}")]
    Unkept(#[from] io::Error),
    /// The ensemble does not take it.
    #[error(transparent)]
    Refused(#[from] RestoreError),
    /// The server is ending.
    #[error("the server is ending")]
    Ending,
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Failure::Damaged(_)
            | Failure::Cut(_)
            | Failure::Refused(RestoreError::TooLarge { .. }) => StatusCode::BAD_REQUEST,
            Failure::Unkept(error) if error.kind() == io::ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Failure::Unkept(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Refused(RestoreError::Stalled { .. }) => StatusCode::CONFLICT,
            Failure::Refused(
                RestoreError::Unserved | RestoreError::Disabled | RestoreError::Leaderless,
            )
            | Failure::Ending => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Restores the snapshot in the body, if who asks may do everything.
pub async fn restore(State(served): State<Served>, headers: HeaderMap, body: Body) -> Response {
    if let Err((status, why)) = authorised(&served, &headers).await {
        return refusal(status, RESTORE, why);
    }
    if served.desk.described.config.restoring == Restoring::Off {
        let why = "Restore command is disabled (admin_restore; admin.restore.enabled in a \
                   zoo.cfg). With all servers stopped, `althing restore` makes new data directories";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, RESTORE, why);
    }
    let Ok(turn) = served.restoring.clone().try_acquire_owned() else {
        let why = "another snapshot is being restored through this server";
        return refusal(StatusCode::TOO_MANY_REQUESTS, RESTORE, why);
    };
    match restored(served, body, turn).await {
        Ok((from, Restored { zxid, changes })) => {
            let told = json!({
                "command": RESTORE,
                "error": null,
                "last_zxid": format!("{:#x}", zxid.0),
                "restored_zxid": format!("{:#x}", from.0),
                "changes": changes,
            });
            json_of(StatusCode::OK, &told)
        }
        Err(failure) => refusal(failure.status(), RESTORE, &failure.to_string()),
    }
}

async fn restored(
    served: Served,
    body: Body,
    turn: OwnedSemaphorePermit,
) -> Result<(Zxid, Restored), Failure> {
    let data_dir = Path::new(&served.desk.described.data_dir);
    let sent = Scratch::make(data_dir, Purpose::Sent)?;
    keep(&sent, body).await?;
    let (desk, shell) = (served.desk, served.shell);
    // It goes on when who asked for it has left, and tells the log what has come of it.
    let going = spawn_blocking(move || {
        let _turn = turn;
        let runtime = Handle::current();
        let came_of_it = runtime.block_on(go(&desk, &shell, sent));
        match &came_of_it {
            Ok((from, Restored { zxid, changes })) => {
                tracing::info!(%from, %zxid, changes, "a snapshot was restored");
            }
            Err(failure) => tracing::warn!(%failure, "a snapshot was not restored"),
        }
        came_of_it
    });
    going.await.unwrap_or(Err(Failure::Ending))
}

async fn go(desk: &Desk, shell: &TokioShell, sent: Scratch) -> Result<(Zxid, Restored), Failure> {
    let store = read(&sent).await?;
    drop(sent);
    let restored = restorer::restore(desk, shell, store.tree()).await?;
    Ok((store.applied(), restored))
}

/// Keeps what comes until it is read.
async fn keep(scratch: &Scratch, body: Body) -> Result<(), Failure> {
    // Here and now: what is created later would outlive the directory of who hangs up meanwhile.
    let mut file = File::from_std(fs::File::create(scratch.path().join(FILE))?);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece.map_err(Failure::Cut)?).await?;
    }
    // Only then it is known what has become of the last piece.
    file.flush().await?;
    Ok(())
}

async fn read(scratch: &Scratch) -> Result<Store, StorageError> {
    let disk = ReadOnlyDisk::new(scratch.path().to_owned());
    let zxid = snapshot_file::position(&disk, FILE).await?;
    snapshot_file::read(&disk, FILE, zxid).await
}
