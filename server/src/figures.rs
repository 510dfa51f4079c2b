//! What is counted and measured, under ZooKeeper's names where it has one: what `mntr`, the admin
//! interface and Prometheus show.

use std::fmt;

use althing_core::node::status::Role;
use althing_core::quorum::act::Followers;

use crate::mail::View;
use crate::shell::{Descriptors, Usage};

/// One value.
#[derive(Clone, PartialEq, Debug)]
pub enum Figure {
    /// A word.
    Text(String),
    /// How much there is of something now.
    Level(u64),
    /// How much of something there was since the start, or since it was counted anew.
    Count(u64),
    /// A mean.
    Mean(f64),
    /// How much there may be of something; `None` is no limit, which is told as -1.
    Limit(Option<u64>),
    /// Several of one name, each by its key.
    ByKey(Vec<(String, Figure)>),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Text(text) => f.write_str(text),
            Figure::Level(number) | Figure::Count(number) => write!(f, "{number}"),
            Figure::Mean(mean) => write!(f, "{mean:.4}"),
            Figure::Limit(Some(limit)) => write!(f, "{limit}"),
            Figure::Limit(None) => f.write_str("-1"),
            Figure::ByKey(all) => {
                let mut all = all.iter();
                all.try_for_each(|(key, figure)| write!(f, "{key}={figure};"))
            }
        }
    }
}

/// Names and values, in the order in which they are shown.
pub type Figures = Vec<(String, Figure)>;

/// Each with a name of its own, as where there are no labels: the key stands before the name, as in
/// ZooKeeper's `mntr`.
pub fn flat(all: &Figures) -> impl Iterator<Item = (String, &Figure)> {
    all.iter().flat_map(|(name, figure)| match figure {
        Figure::ByKey(parts) => {
            let parts = parts.iter();
            let named = parts.map(|(key, figure)| (format!("{key}_{name}"), figure));
            named.collect::<Vec<_>>()
        }
        figure => Vec::from([(name.clone(), figure)]),
    })
}

/// Collects figures.
#[derive(Default)]
pub struct Collection(pub Figures);

impl Collection {
    /// A word.
    pub fn text(&mut self, name: &str, text: &str) {
        let text = Figure::Text(text.to_owned());
        self.0.push((name.to_owned(), text));
    }

    /// How much there is.
    pub fn level(&mut self, name: &str, level: impl TryInto<u64>) {
        let level = level.try_into().unwrap_or(u64::MAX);
        self.0.push((name.to_owned(), Figure::Level(level)));
    }

    /// How much there was.
    pub fn count(&mut self, name: &str, count: u64) {
        self.0.push((name.to_owned(), Figure::Count(count)));
    }

    fn mean(&mut self, name: &str, mean: f64) {
        self.0.push((name.to_owned(), Figure::Mean(mean)));
    }
}

/// What the server knows of itself. `connections` counts those that only ask a word, too.
pub fn of_server(view: &View<'_>, version: &str, connections: usize) -> Figures {
    let status = view.node.status();
    let counted = view.statistics;
    let mut all = Collection::default();
    all.text("version", version);
    all.text("server_state", role_name(status.role));
    all.level("uptime", view.now.clock.since(view.started).as_millis());
    all.level("min_latency", counted.latency_min_ms());
    all.mean("avg_latency", counted.latency_mean_ms());
    all.level("max_latency", counted.latency_max_ms());
    all.count("packets_received", counted.received);
    all.count("packets_sent", counted.sent);
    all.level("num_alive_connections", connections);
    all.level("outstanding_requests", outstanding(view));
    all.level("znode_count", status.znodes);
    all.level("watch_count", status.watches);
    all.level("ephemerals_count", status.ephemerals);
    all.level("approximate_data_size", status.tree_bytes);
    all.level("global_sessions", status.sessions);
    all.level("local_sessions", status.local_sessions);
    all.count("connections_opened", counted.opened);
    all.count("connections_cut", counted.cut);
    all.count("large_requests_rejected", counted.large_requests);
    all.count("large_replies_rejected", counted.large_replies);
    all.count("quota_exceeded_errors", counted.quotas_exceeded);
    all.count("throttled_ops", counted.throttled);
    if let Some(audit) = view.audit {
        all.count("audit_lines_lost", audit.lost());
    }
    all.level("epoch", status.epoch.0);
    all.level("applied_zxid", status.applied.0);
    all.level("committed_zxid", status.committed.0);
    if status.role != Role::Standalone {
        all.level("quorum_links", view.links.count());
        all.count("quorum_messages_dropped", view.links.dropped());
    }
    if status.role == Role::Leader {
        let Followers {
            voters,
            learners,
            synced,
        } = status.followers;
        all.level("learners", voters + learners);
        all.level("synced_followers", synced);
        all.level("pending_syncs", voters - synced);
        all.level("quorum_size", view.node.store().membership().voters.len());
    }
    all.0
}

/// What a part is called in ZooKeeper.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Looking => "looking",
        Role::Standalone => "standalone",
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Observer => "observer",
        Role::ReadOnly => "read-only",
    }
}

/// Requests that are not answered.
pub fn outstanding(view: &View<'_>) -> usize {
    let clients = view.clients.iter();
    clients.map(|(_, client)| client.outstanding()).sum()
}

/// What the process and its disk tell, where there are any.
pub fn of_process(descriptors: Option<Descriptors>, usage: Option<&Usage>) -> Figures {
    let mut all = Collection::default();
    if let Some(Descriptors { open, max }) = descriptors {
        all.level("open_file_descriptor_count", open);
        all.level("max_file_descriptor_count", max);
    }
    if let Some(usage) = usage {
        all.level("data_dir_size", usage.snapshot_bytes);
        all.level("log_dir_size", usage.log_bytes);
    }
    all.0
}
