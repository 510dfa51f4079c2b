//! The answers to four-letter words. Their layout is ZooKeeper's, down to the tabs, since scripts
//! parse it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::SocketAddr;

use althing_core::config::Config;
use althing_core::ids::{ConnectionId, ServerId, SessionId};
use althing_core::node::status::Role;
use althing_core::time::Instant;
use althing_core::tree::path::Path;

use crate::clients::Client;
use crate::figures::{self, Figures};
use crate::limits::{LISTED_MAX, Limits};
use crate::mail::View;
use crate::shell::Usage;
use crate::statistics::Statistics;

/// What operators are shown about a server that the server itself does not use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where its data lies.
    pub data_dir: String,
    /// How the node is configured.
    pub config: Config,
    /// The servers of the configuration, in ZooKeeper's notation; none for a server on its own.
    pub servers: BTreeMap<ServerId, String>,
}

/// `srvr`: the server in short. `connections` counts the one that asks too, as there.
pub fn srvr(view: &View<'_>, version: &str, connections: usize, out: &mut String) -> fmt::Result {
    head(view, version, out)?;
    figures(view, connections, out)
}

/// `stat`: the server and its clients in short.
pub fn stat(view: &View<'_>, version: &str, connections: usize, out: &mut String) -> fmt::Result {
    head(view, version, out)?;
    writeln!(out, "Clients:")?;
    for (_, client) in view.clients.iter().take(LISTED_MAX) {
        writeln!(out, " {})", queued(client))?;
    }
    rest(view.clients.count(), "clients", out)?;
    writeln!(out)?;
    figures(view, connections, out)
}

fn head(view: &View<'_>, version: &str, out: &mut String) -> fmt::Result {
    writeln!(out, "Zookeeper version: {version}")?;
    match view.node.status().role {
        Role::ReadOnly => writeln!(out, "READ-ONLY mode; serving only read-only clients"),
        _ => Ok(()),
    }
}

fn figures(view: &View<'_>, connections: usize, out: &mut String) -> fmt::Result {
    let status = view.node.status();
    let Statistics { received, sent, .. } = view.statistics;
    writeln!(out, "Latency min/avg/max: {}", latencies(view.statistics))?;
    writeln!(out, "Received: {received}")?;
    writeln!(out, "Sent: {sent}")?;
    writeln!(out, "Connections: {connections}")?;
    writeln!(out, "Outstanding: {}", figures::outstanding(view))?;
    writeln!(out, "Zxid: {:#x}", status.applied.to_wire())?;
    writeln!(out, "Mode: {}", figures::role_name(status.role))?;
    writeln!(out, "Node count: {}", status.znodes)
}

fn latencies(of: &Statistics) -> String {
    let (min, mean, max) = (
        of.latency_min_ms(),
        of.latency_mean_ms(),
        of.latency_max_ms(),
    );
    format!("{min}/{mean:.4}/{max}")
}

/// The beginning of a client's line, without the closing parenthesis.
fn queued(client: &Client) -> String {
    let Statistics { received, sent, .. } = client.statistics;
    let (address, queued) = (client.address, client.outstanding());
    format!("/{address}[1](queued={queued},recved={received},sent={sent}")
}

/// `cons`: the clients at length.
pub fn cons(view: &View<'_>, out: &mut String) -> fmt::Result {
    let sessions: BTreeMap<ConnectionId, (i64, u32)> = view
        .node
        .connections()
        .map(|known| {
            let session = known.session.map_or(0, |session| session.0);
            (known.connection, (session, known.timeout_ms))
        })
        .collect();
    let wall_ms = |at: Instant| {
        let ago_ms = view.now.clock.since(at).as_millis();
        view.now.wall.0 - i64::try_from(ago_ms).unwrap_or(i64::MAX)
    };
    for (connection, client) in view.clients.iter().take(LISTED_MAX) {
        let (session, timeout_ms) = sessions.get(&connection).copied().unwrap_or((0, 0));
        write!(out, " {}", queued(client))?;
        write!(out, ",sid={session:#x},lop={}", client.last_operation)?;
        write!(out, ",est={},to={timeout_ms}", wall_ms(client.since))?;
        let zxid = client.last_zxid.to_wire();
        write!(out, ",lcxid={:#x},lzxid={zxid:#x}", client.last_xid.0)?;
        write!(out, ",lresp={}", wall_ms(client.last_answer))?;
        write!(out, ",llat={}", client.last_latency_ms)?;
        let of = &client.statistics;
        let mean_ms = of.latency_mean_ms() as u64;
        write!(out, ",minlat={},avglat={mean_ms}", of.latency_min_ms())?;
        writeln!(out, ",maxlat={})", of.latency_max_ms())?;
    }
    rest(view.clients.count(), "clients", out)?;
    writeln!(out)
}

/// `mntr`: the server in keys and values.
pub fn mntr(figures: &Figures, out: &mut String) -> fmt::Result {
    figures::flat(figures).try_for_each(|(name, figure)| writeln!(out, "zk_{name}\t{figure}"))
}

/// `dirs`: the bytes of the data directory.
pub fn dirs(usage: &Usage, out: &mut String) -> fmt::Result {
    writeln!(out, "datadir_size: {}", usage.snapshot_bytes)?;
    writeln!(out, "logdir_size: {}", usage.log_bytes)
}

/// `hash`: the digest of the tree, which is the same on every server at the same position.
pub fn hash(view: &View<'_>, out: &mut String) -> fmt::Result {
    let status = view.node.status();
    writeln!(
        out,
        "{:x}: {:032x}",
        status.applied.to_wire(),
        status.digest
    )
}

/// `isro`: may clients write here?
pub fn isro(view: &View<'_>, out: &mut String) -> fmt::Result {
    match view.node.status().role {
        Role::Looking => out.write_str("null"),
        Role::ReadOnly => out.write_str("ro"),
        Role::Standalone | Role::Leader | Role::Follower | Role::Observer => out.write_str("rw"),
    }
}

/// `conf`: the configuration.
pub fn conf(described: &Described, limits: &Limits, out: &mut String) -> fmt::Result {
    let config = &described.config;
    writeln!(out, "clientPort={}", described.listen.port())?;
    writeln!(out, "clientPortAddress={}", described.listen.ip())?;
    writeln!(out, "secureClientPort=-1")?;
    writeln!(out, "dataDir={}", described.data_dir)?;
    writeln!(out, "dataLogDir={}", described.data_dir)?;
    writeln!(out, "tickTime={}", config.tick.as_millis())?;
    writeln!(out, "maxCnxns={}", limits.connections_max)?;
    writeln!(out, "maxClientCnxns={}", limits.connections_per_address_max)?;
    let (min, max) = (config.session_timeout_min, config.session_timeout_max);
    writeln!(out, "minSessionTimeout={}", min.as_millis())?;
    writeln!(out, "maxSessionTimeout={}", max.as_millis())?;
    writeln!(out, "snapCount={}", config.snapshot_every)?;
    writeln!(out, "jute.maxbuffer={}", limits.frame_bytes_max)?;
    writeln!(out, "serverId={}", config.server)?;
    if described.servers.is_empty() {
        return Ok(());
    }
    let times = [
        ("althing.electionTimeout", config.election_timeout),
        ("althing.beat", config.beat),
        ("althing.isolationTimeout", config.isolation_timeout),
    ];
    for (key, time) in times {
        writeln!(out, "{key}={}", time.as_millis())?;
    }
    writeln!(out, "membership: ")?;
    for (id, server) in &described.servers {
        writeln!(out, "server.{id}={server}")?;
    }
    out.write_str(&config.voters.group_lines())
}

/// `envi`: the process. Clients look for the version in it.
pub fn envi(version: &str, described: &Described, out: &mut String) -> fmt::Result {
    writeln!(out, "Environment:")?;
    writeln!(out, "zookeeper.version={version}")?;
    writeln!(out, "os.name={}", std::env::consts::OS)?;
    writeln!(out, "os.arch={}", std::env::consts::ARCH)?;
    writeln!(out, "data.dir={}", described.data_dir)
}

/// `dump`: sessions and ephemeral znodes.
pub fn dump(view: &View<'_>, out: &mut String) -> fmt::Result {
    let store = view.node.store();
    let sessions = store.sessions();
    writeln!(out, "SessionTracker dump:")?;
    writeln!(out, "Global Sessions({}):", sessions.len())?;
    for (id, session) in sessions.iter().take(LISTED_MAX) {
        writeln!(out, "{id}\t{}ms", session.timeout_ms)?;
    }
    rest(sessions.len(), "sessions", out)?;
    writeln!(out, "ephemeral nodes dump:")?;
    let ephemerals = ephemerals(view);
    writeln!(out, "Sessions with Ephemerals ({}):", ephemerals.len())?;
    for (session, paths) in ephemerals {
        writeln!(out, "{session}:")?;
        for path in paths {
            writeln!(out, "\t{path}")?;
        }
    }
    rest(store.tree().ephemeral_count(), "ephemeral znodes", out)
}

/// The sessions that own ephemeral znodes, each with these, as many as are listed.
pub fn ephemerals(view: &View<'_>) -> Vec<(SessionId, Vec<Path>)> {
    let mut left = LISTED_MAX;
    let owners = view.node.store().tree().ephemerals();
    let mut listed = Vec::new();
    for (session, mut paths) in owners {
        paths.truncate(left);
        left -= paths.len();
        listed.push((session, paths));
        if left == 0 {
            break;
        }
    }
    listed
}

/// Says how many are not listed.
fn rest(all: usize, what: &str, out: &mut String) -> fmt::Result {
    match all.checked_sub(LISTED_MAX) {
        Some(more @ 1..) => writeln!(out, "({more} more {what} are not listed)"),
        _ => Ok(()),
    }
}

/// `wchs`: watches in short.
pub fn wchs(view: &View<'_>, out: &mut String) -> fmt::Result {
    let status = view.node.status();
    let (connections, paths) = (status.watching_connections, status.watched_paths);
    writeln!(out, "{connections} connections watching {paths} paths")?;
    writeln!(out, "Total watches:{}", status.watches)
}

/// `wchc`: watches by session.
pub fn wchc(view: &View<'_>, out: &mut String) -> fmt::Result {
    let pairs = watches(view).map(|(session, path)| (session.to_string(), path));
    grouped(pairs, out)?;
    rest(view.node.status().watches, "watches", out)
}

/// `wchp`: watches by path.
pub fn wchp(view: &View<'_>, out: &mut String) -> fmt::Result {
    let pairs = watches(view).map(|(session, path)| (path, session.to_string()));
    grouped(pairs, out)?;
    rest(view.node.status().watches, "watches", out)
}

/// Sessions and the paths that they watch, as many as are listed.
pub fn watches(view: &View<'_>) -> impl Iterator<Item = (SessionId, String)> {
    let sessions: BTreeMap<ConnectionId, SessionId> = view
        .node
        .connections()
        .filter_map(|known| Some((known.connection, known.session?)))
        .collect();
    view.node
        .watches()
        .take(LISTED_MAX)
        .filter_map(move |(connection, path, _)| {
            let session = sessions.get(&connection)?;
            Some((*session, path.to_string()))
        })
}

fn grouped(pairs: impl Iterator<Item = (String, String)>, out: &mut String) -> fmt::Result {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (head, member) in pairs {
        groups.entry(head).or_default().insert(member);
    }
    for (head, members) in groups {
        writeln!(out, "{head}")?;
        for member in members {
            writeln!(out, "\t{member}")?;
        }
    }
    writeln!(out)
}
