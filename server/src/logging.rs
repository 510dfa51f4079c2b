//! The log: its format, its levels, and which line each of the node's events becomes.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use althing_core::ids::ServerId;
use althing_core::node::event::{Event, Refusal};
use althing_core::time::Instant;
use tracing::{Level, debug, enabled, error, info, trace, warn};
use tracing_subscriber::EnvFilter;

use crate::config::draft::LogFormat;
use crate::seldom::Seldom;

/// The environment variable with the levels, in the notation of `RUST_LOG`.
pub const LEVEL_VARIABLE: &str = "ALTHING_LOG";

/// Sends the log to stderr. `directives` are a level (`debug`) or levels by target
/// (`info,althing::connection=debug`).
///
/// # Errors
/// If `directives` are none.
pub fn start(format: LogFormat, directives: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| format!("`{directives}` is no log level: {error}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // What cannot be logged is not logged: to say so on stderr, which is full, would panic.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}

/// Writes an event of the node to the log; what clients can cause without end, only so often.
pub fn note(now: Instant, event: &Event, seldom: &Seldom) {
    let name = event.name();
    match event {
        // The hot path: nothing is formatted unless somebody reads it.
        Event::Executed { zxid, digest } => {
            trace!(%zxid, digest = %format_args!("{digest:032x}"), "{name}")
        }
        Event::Touched { session } => trace!(%session, "{name}"),
        Event::WatchLeft { connection, path } => trace!(%connection, %path, "{name}"),
        Event::WatchFired {
            connection,
            path,
            kind,
        } => trace!(%connection, %path, ?kind, "{name}"),
        Event::MultiRefused { zxid } => debug!(%zxid, "{name}"),
        // Whoever hits a limit hits it often.
        Event::QuotaExceeded { excess } => {
            if let Some(silenced) = seldom.admits(now) {
                let (path, measure) = (&excess.path, excess.measure);
                let (limit, used) = (excess.limit, excess.used);
                warn!(%path, ?measure, limit, used, silenced, "{name}");
            }
        }
        Event::QuotaRefused { path } => {
            if let Some(silenced) = seldom.admits(now) {
                warn!(%path, silenced, "{name}");
            }
        }
        Event::ConnectionRefused {
            connection,
            refusal,
        } => match refusal {
            Refusal::NoSession => info!(%connection, ?refusal, "{name}"),
            Refusal::NoLeader | Refusal::Behind | Refusal::NoSpace => {
                warn!(%connection, ?refusal, "{name}");
            }
        },
        Event::SessionMoved { session } => warn!(%session, "{name}"),
        Event::SavesRefused { count } => error!(count, "{name}: the disk has no space"),
        Event::SnapshotRefused { zxid } => error!(%zxid, "{name}: the disk has no space"),
        Event::Paused { gap } => {
            warn!(
                ?gap,
                "{name}: this process did not run, no session expires for it"
            );
        }
        other if enabled!(Level::INFO) => milestone(other),
        _ => {}
    }
}

fn milestone(event: &Event) {
    let name = event.name();
    match event {
        // A server that finds no quorum asks again and again.
        Event::Canvassed { epoch } => debug!(%epoch, "{name}"),
        Event::Campaigned { epoch } | Event::Deposed { epoch } | Event::EpochOpened { epoch } => {
            info!(%epoch, "{name}")
        }
        Event::Elected { epoch, leader } | Event::Followed { epoch, leader } => {
            info!(%epoch, %leader, "{name}");
        }
        Event::HandedOver { epoch, to } => info!(%epoch, %to, "{name}"),
        Event::LogCut { after, count } => info!(%after, count, "{name}"),
        Event::Reforwarded { count } => info!(count, "{name}"),
        Event::TransferBegun { to, zxid, offset } => info!(%to, %zxid, offset, "{name}"),
        Event::Installed { zxid, digest: _ } => info!(%zxid, "{name}"),
        Event::Reconfigured { zxid, membership } => {
            let (voters, learners) = (&membership.voters, ids(&membership.learners));
            let incoming = membership.incoming.as_ref().map(ToString::to_string);
            info!(%zxid, %voters, incoming, learners, "{name}");
        }
        Event::Reaped { count } => debug!(count, "{name}"),
        Event::Restored { count, refused } => info!(count, refused, "{name}"),
        Event::Isolated { connections } => info!(connections, "{name}"),
        Event::ReadOnlyBegun => {
            // ZooKeeper's words, for which people look.
            warn!("{name}: Read-only server started: there is no leader, clients can only read");
        }
        Event::ReadOnlyServed {
            connection,
            session,
        }
        | Event::LocalServed {
            connection,
            session,
        } => info!(%connection, %session, "{name}"),
        Event::ReadOnlyEnded { connections } => info!(connections, "{name}"),
        Event::LocalExpired { session } => info!(%session, "{name}"),
        Event::SessionOpened { session, timeout } | Event::SessionUpgraded { session, timeout } => {
            info!(%session, ?timeout, "{name}");
        }
        Event::Attached {
            connection,
            session,
            attachment,
        } => info!(%connection, %session, %attachment, "{name}"),
        Event::TimedOut { session } => info!(%session, "{name}"),
        Event::SessionClosed {
            session,
            ending: _,
            ephemerals,
        } => info!(%session, ephemerals, "{name}"),
        Event::SnapshotBegun { zxid } | Event::SnapshotMade { zxid } => info!(%zxid, "{name}"),
        other => debug!(?other, "{name}"),
    }
}

/// Servers, as they stand in a log line.
fn ids(servers: &BTreeSet<ServerId>) -> String {
    let ids: Vec<String> = servers.iter().map(ToString::to_string).collect();
    ids.join(",")
}
