//! The command `snapshot`: the whole state, for who may do everything. It is written to the disk of
//! the server first, since a state is larger than what may lie in memory for a slow reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use althing::mail::View;
use althing::os_disk::OsDisk;
use althing::storage::error::Failure;
use althing::storage::{names, snapshot_file};
use althing_core::node::auth::digest_id;
use althing_core::store::store::Store;
use althing_core::tree::acl::{Identity, Perms, SUPER};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc;

use crate::admin::scratch::{Purpose, Scratch};
use crate::admin::served::{Served, json_of};

/// Its name.
pub const SNAPSHOT: &str = "snapshot";

/// What is read of the file at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces that wait for the reader.
const PIECES_AHEAD: usize = 4;

/// ZooKeeper's names of what the answer tells besides.
const LAST_ZXID: &str = "last_zxid";
const SIZE: &str = "snapshot_size";

/// Answers with the state, if who asks may have it.
pub async fn snapshot(
    State(served): State<Served>,
    Query(wanted): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err((status, why)) = authorised(&served, &headers).await {
        return refusal(status, SNAPSHOT, why);
    }
    let Some(pauses) = &served.snapshots else {
        let why = "Snapshot command is disabled";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, SNAPSHOT, why);
    };
    if wanted.get("streaming").is_some_and(|text| text != "true") {
        let why = "a snapshot is only streamed: for itself, the server makes its own";
        return refusal(StatusCode::BAD_REQUEST, SNAPSHOT, why);
    }
    if !pauses.are_over(Instant::now()) {
        let why = "the last snapshot was not long ago (admin_snapshot_pause_ms)";
        return refusal(StatusCode::TOO_MANY_REQUESTS, SNAPSHOT, why);
    }
    let Ok(store) = served.look(|view| view.node.store().clone()).await else {
        let why = "the server does not answer in time";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, SNAPSHOT, why);
    };
    let zxid = store.applied();
    let data_dir = PathBuf::from(&served.desk.described.data_dir);
    let written = tokio::task::spawn_blocking(move || write(&data_dir, store)).await;
    match written {
        Ok(Ok((file, size))) => {
            let headers = [
                (LAST_ZXID, format!("{:#x}", zxid.0)),
                (SIZE, size.to_string()),
            ];
            (headers, body(file)).into_response()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "a snapshot for an operator could not be written");
            let why = format!("the snapshot could not be written: {error}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, SNAPSHOT, &why)
        }
        Err(error) => {
            let why = format!("the snapshot could not be written: {error}");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, SNAPSHOT, &why)
        }
    }
}

/// An answer that is none.
pub fn refusal(status: StatusCode, command: &str, why: &str) -> Response {
    json_of(status, &json!({ "command": command, "error": why }))
}

/// Does the request prove to come from somebody who may do everything: the super user, or whom the
/// access control list of the root grants all permissions by name? What it grants to everybody
/// does not count.
pub async fn authorised(
    served: &Served,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    let header = headers.get(AUTHORIZATION);
    let text = header.and_then(|header| header.to_str().ok());
    let credential = text.and_then(|text| text.strip_prefix("digest "));
    let credential = credential.filter(|credential| credential.contains(':'));
    let unknown = (StatusCode::UNAUTHORIZED, "Not authenticated");
    let id = digest_id(credential.ok_or(unknown)?);
    if served.desk.described.config.supers.digest.as_ref() == Some(&id) {
        return Ok(());
    }
    let look = move |view: &View<'_>| {
        let asker = [Identity::new(SUPER, "")];
        let root = view.node.store().tree().acl("/", &asker);
        root.is_ok_and(|(acl, _)| {
            let mut entries = acl.0.iter();
            entries
                .any(|entry| entry.who == Identity::new("digest", &id) && entry.perms == Perms::ALL)
        })
    };
    match served.look(look).await {
        Ok(true) => Ok(()),
        Ok(false) => Err((StatusCode::FORBIDDEN, "Not authorized")),
        Err(_) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "the server does not answer in time",
        )),
    }
}

/// Writes the state into a file that has no name any more, so that it goes with who reads it.
fn write(data_dir: &Path, store: Store) -> io::Result<(File, u64)> {
    let scratch = Scratch::make(data_dir, Purpose::Given)?;
    let name = names::temporary(&names::snapshot(store.applied()));
    let disk = OsDisk::lock(scratch.path()).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let file = match runtime.block_on(snapshot_file::write(&disk, store)) {
        Ok(()) => File::open(scratch.path().join(&name))?,
        Err(Failure::Full) => return Err(io::ErrorKind::StorageFull.into()),
        Err(Failure::Fatal(error)) => return Err(io::Error::other(error)),
    };
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// The bytes of `file`, read ahead by a few pieces.
fn body(mut file: File) -> Body {
    let (pieces, waiting) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = file.read(&mut piece).map(|bytes| {
                piece.truncate(bytes);
                Bytes::from(piece)
            });
            let is_end = match &read {
                Ok(piece) => piece.is_empty(),
                Err(_) => true,
            };
            let is_last = is_end && read.is_ok();
            if is_last || pieces.blocking_send(read).is_err() || is_end {
                return;
            }
        }
    });
    Body::from_stream(stream::unfold(waiting, |mut waiting| async move {
        let piece = waiting.recv().await?;
        Some((piece, waiting))
    }))
}
