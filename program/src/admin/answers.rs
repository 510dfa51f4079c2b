//! What the commands of the admin interface answer: ZooKeeper's fields, as far as they are known
//! here.

use std::collections::{BTreeMap, BTreeSet};

use althing::clients::Client;
use althing::desk::Desk;
use althing::figures::{self, Figure, Figures, role_name};
use althing::four_letter::VERSION;
use althing::limits::LISTED_MAX;
use althing::mail::View;
use althing::reports::{self, Described};
use althing::shell::Usage;
use althing_core::ids::ConnectionId;
use althing_core::node::status::Role;
use althing_core::time::Instant;
use serde_json::{Map, Value, json};

/// The fields of an answer.
pub type Fields = Map<String, Value>;

/// The fields of an object.
fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("{other} is no object"),
    }
}

/// How the server is configured.
pub fn configuration(desk: &Desk) -> Fields {
    let (described, limits) = (&desk.described, &desk.limits);
    let config = &described.config;
    fields(json!({
        "client_port": described.listen.port(),
        "client_port_address": described.listen.ip().to_string(),
        "data_dir": described.data_dir,
        "data_log_dir": described.data_dir,
        "tick_time": millis(config.tick),
        "max_client_cnxns": limits.connections_per_address_max,
        "max_cnxns": limits.connections_max,
        "min_session_timeout": millis(config.session_timeout_min),
        "max_session_timeout": millis(config.session_timeout_max),
        "snap_count": config.snapshot_every,
        "jute_max_buffer": limits.frame_bytes_max,
        "server_id": config.server.0,
    }))
}

fn millis(duration: althing_core::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The servers that the configuration lists, a line each.
pub fn initial_configuration(described: &Described) -> Fields {
    let lines: Vec<String> = described
        .servers
        .iter()
        .map(|(id, server)| format!("server.{id}={server}"))
        .collect();
    fields(json!({ "initial_configuration": lines.join("\n") }))
}

/// The process.
pub fn environment(described: &Described) -> Fields {
    fields(json!({
        "zookeeper.version": VERSION,
        "althing.version": env!("CARGO_PKG_VERSION"),
        "os.name": std::env::consts::OS,
        "os.arch": std::env::consts::ARCH,
        "process.id": std::process::id(),
        "data.dir": described.data_dir,
    }))
}

/// The bytes of the data directory.
pub fn dirs(usage: &Usage) -> Fields {
    fields(json!({
        "datadir_size": usage.snapshot_bytes,
        "logdir_size": usage.log_bytes,
    }))
}

/// The newest snapshot; -1 where there is none, as ZooKeeper has it.
pub fn last_snapshot(usage: &Usage) -> Fields {
    fields(match usage.last_snapshot {
        Some((zxid, written)) => json!({
            "zxid": format!("{:x}", zxid.0), "timestamp": written.0 / 1000,
        }),
        None => json!({ "zxid": format!("{:x}", -1_i64), "timestamp": -1 }),
    })
}

/// What is counted and measured.
pub fn monitor(all: &Figures) -> Fields {
    let values = figures::flat(all).map(|(name, figure)| {
        let value = match figure {
            Figure::Text(text) => json!(text),
            Figure::Level(number) | Figure::Count(number) => json!(number),
            Figure::Mean(mean) => json!(mean),
            Figure::Limit(limit) => limit.map_or_else(|| json!(-1), |limit| json!(limit)),
            Figure::ByKey(_) => unreachable!("they are flat"),
        };
        (name, value)
    });
    values.collect()
}

/// The server in short.
pub fn server_stats(view: &View<'_>, connections: usize, usage: &Usage) -> Fields {
    let (status, counted) = (view.node.status(), view.statistics);
    fields(json!({
        "version": VERSION,
        "read_only": status.role == Role::ReadOnly,
        "node_count": status.znodes,
        "server_stats": {
            "server_state": role_name(status.role),
            "uptime": millis(view.now.clock.since(view.started)),
            "packets_received": counted.received,
            "packets_sent": counted.sent,
            "min_latency": counted.latency_min_ms() as u64,
            "avg_latency": counted.latency_mean_ms(),
            "max_latency": counted.latency_max_ms() as u64,
            "num_alive_client_connections": connections,
            "outstanding_requests": figures::outstanding(view),
            "last_processed_zxid": status.applied.to_wire(),
            "data_dir_size": usage.snapshot_bytes,
            "log_dir_size": usage.log_bytes,
        },
    }))
}

/// How much is told of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// What `stats` tells.
    Short,
    /// What `connections` tells.
    Long,
}

/// The clients.
pub fn connections(view: &View<'_>, length: Length) -> Fields {
    let known: BTreeMap<ConnectionId, _> = view
        .node
        .connections()
        .map(|known| (known.connection, known))
        .collect();
    let listed = view.clients.iter().take(LISTED_MAX);
    let listed: Vec<Value> = listed
        .map(|(connection, client)| {
            let mut told = short(client);
            if length == Length::Long {
                let known = known.get(&connection);
                let session = known.and_then(|known| known.session);
                told.extend(long(view, client));
                told.insert("session_id".to_owned(), json!(session.map_or(0, |id| id.0)));
                let timeout_ms = known.map_or(0, |known| known.timeout_ms);
                told.insert("session_timeout".to_owned(), json!(timeout_ms));
            }
            Value::Object(told)
        })
        .collect();
    let mut all = fields(json!({ "connections": listed, "secure_connections": [] }));
    rest(view.clients.count(), &mut all);
    all
}

fn short(client: &Client) -> Fields {
    fields(json!({
        "remote_socket_address": client.address.to_string(),
        "outstanding_requests": client.outstanding(),
        "packets_received": client.statistics.received,
        "packets_sent": client.statistics.sent,
    }))
}

fn long(view: &View<'_>, client: &Client) -> Fields {
    let wall_ms = |at: Instant| {
        let ago_ms = i64::try_from(view.now.clock.since(at).as_millis()).unwrap_or(i64::MAX);
        view.now.wall.0.saturating_sub(ago_ms)
    };
    let counted = &client.statistics;
    fields(json!({
        "last_operation": client.last_operation,
        "established": wall_ms(client.since),
        "last_cxid": client.last_xid.0,
        "last_zxid": client.last_zxid.to_wire(),
        "last_response_time": wall_ms(client.last_answer),
        "last_latency": client.last_latency_ms as u64,
        "min_latency": counted.latency_min_ms() as u64,
        "avg_latency": counted.latency_mean_ms(),
        "max_latency": counted.latency_max_ms() as u64,
    }))
}

/// Tells how many are not listed.
fn rest(all: usize, told: &mut Fields) {
    if let Some(more @ 1..) = all.checked_sub(LISTED_MAX) {
        told.insert("not_listed".to_owned(), json!(more));
    }
}

/// Sessions and ephemeral znodes.
pub fn dump(view: &View<'_>) -> Fields {
    let store = view.node.store();
    let sessions = store.sessions().iter().take(LISTED_MAX);
    let timeouts: Fields = sessions
        .map(|(id, session)| (id.0.to_string(), json!(session.timeout_ms)))
        .collect();
    let owners: Fields = reports::ephemerals(view)
        .into_iter()
        .map(|(session, paths)| {
            let paths: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
            (session.0.to_string(), json!(paths))
        })
        .collect();
    let mut told = fields(json!({
        "session_id_to_timeout": timeouts,
        "session_id_to_ephemeral_paths": owners,
    }));
    let all = store.sessions().len().max(store.tree().ephemeral_count());
    rest(all, &mut told);
    told
}

/// The digest of the tree.
pub fn hash(view: &View<'_>) -> Fields {
    let status = view.node.status();
    let digest = json!({
        "zxid": format!("{:x}", status.applied.to_wire()),
        "digest": format!("{:032x}", status.digest),
    });
    fields(json!({ "digests": [digest] }))
}

/// Who leads; ZooKeeper has no answer for a server on its own.
pub fn leader(view: &View<'_>, described: &Described) -> Result<Fields, &'static str> {
    let status = view.node.status();
    if status.role == Role::Standalone {
        return Err("server is not initialized");
    }
    let server = status
        .leader
        .and_then(|leader| described.servers.get(&leader));
    Ok(fields(json!({
        "is_leader": status.role == Role::Leader,
        "leader_id": status.leader.map_or(-1, |leader| i64::from(leader.0)),
        "leader_ip": server.map_or("", |server| host(server)),
    })))
}

/// The host of a line of the configuration.
fn host(server: &str) -> &str {
    let end = match server.starts_with('[') {
        true => server.find(']').map(|at| at + 1),
        false => server.find(':'),
    };
    &server[..end.unwrap_or(server.len())]
}

/// Who votes.
pub fn voting_view(view: &View<'_>, described: &Described) -> Fields {
    let voters = view.node.store().membership().voters.iter();
    let listed: Fields = voters
        .filter_map(|id| Some((id.to_string(), json!(described.servers.get(id)?))))
        .collect();
    fields(json!({ "current_config": listed }))
}

/// The phase of the protocol.
pub fn zab_state(view: &View<'_>, described: &Described) -> Fields {
    let role = view.node.status().role;
    let own = described.config.server;
    let voting = view.node.store().membership().is_voter(own);
    let (voting, state) = match role {
        Role::Standalone => (false, ""),
        Role::Looking | Role::ReadOnly => (voting, "election"),
        Role::Leader | Role::Follower | Role::Observer => (voting, "broadcast"),
    };
    fields(json!({ "voting": voting, "zabstate": state }))
}

/// Watches in short.
pub fn watch_summary(view: &View<'_>) -> Fields {
    let status = view.node.status();
    fields(json!({
        "num_connections": status.watching_connections,
        "num_paths": status.watched_paths,
        "num_total_watches": status.watches,
    }))
}

/// Watches by session.
pub fn watches(view: &View<'_>) -> Fields {
    let pairs = reports::watches(view).map(|(session, path)| (session.0.to_string(), json!(path)));
    let told = json!({ "session_id_to_watched_paths": grouped(pairs) });
    with_rest(view, told)
}

/// Watches by path.
pub fn watches_by_path(view: &View<'_>) -> Fields {
    let pairs = reports::watches(view).map(|(session, path)| (path, json!(session.0)));
    with_rest(view, json!({ "path_to_session_ids": grouped(pairs) }))
}

fn with_rest(view: &View<'_>, told: Value) -> Fields {
    let mut told = fields(told);
    rest(view.node.status().watches, &mut told);
    told
}

fn grouped(pairs: impl Iterator<Item = (String, Value)>) -> BTreeMap<String, Vec<Value>> {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (head, member) in pairs {
        // Two kinds of watches on one znode are one line.
        if seen.insert((head.clone(), member.to_string())) {
            groups.entry(head).or_default().push(member);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_line_is_found() {
        assert_eq!(host("zk1:2888:participant"), "zk1");
        assert_eq!(host("[::1]:2888"), "[::1]");
        assert_eq!(host("zk1"), "zk1");
    }

    #[test]
    fn watches_are_grouped_once_each() {
        let pairs = [("a", 1), ("b", 1), ("a", 1), ("a", 2)];
        let pairs = pairs.map(|(head, member)| (head.to_owned(), json!(member)));
        let groups = grouped(pairs.into_iter());
        assert_eq!(json!(groups), json!({ "a": [1, 2], "b": [1] }));
    }
}
