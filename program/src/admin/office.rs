//! Opens the ports of operators, once there is a server to ask.

use std::path::Path;

use althing::office::Office;
use althing::shell::{Shell as _, Task};
use axum::Router;
use tokio::net::TcpListener;

use crate::admin::door::Door;
use crate::admin::routes;
use crate::admin::scratch;
use crate::admin::served::Served;

/// Answers operators for as long as the process lives.
pub fn attend(office: Office) {
    let Office {
        desk,
        shell,
        admin,
        metrics,
        snapshots,
    } = office;
    scratch::clear(Path::new(&desk.described.data_dir));
    let state = Served::new(desk, shell.clone(), snapshots);
    if let Some(listener) = admin {
        shell.spawn(
            Task::Operator,
            serve(listener, routes::admin(state.clone())),
        );
    }
    if let Some(listener) = metrics {
        shell.spawn(Task::Operator, serve(listener, routes::metrics(state)));
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // It ends with the process: what cannot be accepted is tried again.
    if let Err(error) = axum::serve(Door::new(listener), router).await {
        tracing::error!(%error, "a port of operators is closed");
    }
}
