//! Who plays in each story, by which names faults can strike them, and which marks they reach.
//! What a scenario file says of clients and marks is checked against these lists.

use althing_core::node::event::Event;

use crate::plan::Workload;
use crate::swarm::Kind;

/// What happens in any story besides the events of servers and the marks of the clients, by the
/// names under which runs count it: the lives of servers and disks, streams of clients, refused
/// tokens, suspicions of the gossip.
pub const MOMENTS: &[&str] = &[
    "started",
    "recovered",
    "stopped",
    "killed",
    "disk-lost",
    "retired",
    "suspected",
    "connect-sent",
    "link-opened",
    "link-ended",
    "token-refused",
    "set-back",
];

/// Every name on which a fault can be cued, and which a scenario can want to be reached.
pub fn names(workload: &Workload) -> Vec<&str> {
    let kinds = Kind::ALL.map(Kind::name);
    let own = own_faults(workload).iter().map(String::as_str).collect();
    [
        marks(workload),
        own,
        MOMENTS.into(),
        Event::NAMES.into(),
        kinds.into(),
    ]
    .concat()
}

/// The names of the clients of a story that are there from its beginning.
pub fn clients(workload: &Workload) -> Vec<String> {
    let numbered =
        |kind: &'static str, count: u32| (1..=count).map(move |number| format!("{kind}-{number}"));
    let named = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let mut clients = Vec::new();
    match workload {
        Workload::ServiceTree { readers, .. } => {
            clients.extend(named(&[
                "payment-owner",
                "order-owner",
                "notification-owner",
            ]));
            clients.extend(numbered("app", readers.saturating_sub(1)));
            clients.extend(named(&["load-balancer"]));
        }
        Workload::Shard { slaves, .. } => {
            clients.extend(named(&["first-master"]));
            clients.extend(numbered("slave", *slaves));
            clients.extend(named(&["app-1", "app-2", "load-balancer"]));
        }
        Workload::Lock { clients: count, .. } => clients.extend(numbered("client", *count)),
        Workload::Mix(mix) => {
            clients.extend(numbered("client", mix.clients));
            if workload.wishes() {
                clients.extend(named(&["governor"]));
            }
            if workload.has_quotas() {
                clients.extend(named(&["warden"]));
            }
            if workload.proves() {
                clients.extend(named(&["stranger"]));
            }
            if workload.has_thief() {
                clients.extend(named(&["thief"]));
            }
        }
        Workload::Rollout { readers, .. } => {
            clients.extend(named(&["operator"]));
            clients.extend(numbered("reader", *readers));
        }
        Workload::Service { processes, .. } => clients.extend_from_slice(processes),
    }
    clients
}

/// Can the story be played without this client? Others cannot reach what they owe if their owners,
/// the operator or the first master are missing.
pub fn can_be_absent(workload: &Workload, client: &str) -> bool {
    match workload {
        Workload::ServiceTree { .. } => !client.ends_with("-owner"),
        Workload::Shard { .. } => client != "first-master",
        Workload::Rollout { .. } => client != "operator",
        Workload::Lock { .. } | Workload::Mix(_) => true,
        // Only the test knows.
        Workload::Service { .. } => false,
    }
}

/// The parts of a story: names for whoever plays them when a fault falls.
pub fn parts(workload: &Workload) -> Vec<&str> {
    match workload {
        Workload::Shard { .. } => vec!["master"],
        Workload::Lock { .. } => vec!["holder"],
        Workload::ServiceTree { .. } | Workload::Rollout { .. } | Workload::Mix(_) => vec![],
        Workload::Service { parts, .. } => parts.iter().map(String::as_str).collect(),
    }
}

/// The faults that a test has of its own.
pub fn own_faults(workload: &Workload) -> &[String] {
    match workload {
        Workload::Service { faults, .. } => faults,
        _ => &[],
    }
}

/// The marks that the clients of a story can reach.
pub fn marks(workload: &Workload) -> Vec<&str> {
    match workload {
        Workload::ServiceTree { .. } => vec![
            "tree-built",
            "tree-changed",
            "copy-told",
            "copies-agree",
            "reader-quiet",
        ],
        Workload::Shard { .. } => vec![
            "master-elected",
            "master-lost",
            "master-seen",
            "no-master-seen",
            "all-told",
            "everybody-uses-new-master",
            "stale-write-refused",
        ],
        Workload::Lock { .. } => vec!["lock-granted", "lock-lost", "stale-write-refused"],
        Workload::Rollout { .. } => vec![
            "rolled-out",
            "rollout-refused",
            "check-overtaken",
            "seen-whole",
        ],
        Workload::Mix(_) => {
            let mut marks = vec!["multi-done", "session-lost"];
            if workload.wishes() {
                marks.extend(["wish-granted", "wish-refused"]);
            }
            if workload.has_quotas() {
                marks.extend(["quota-set", "quota-checked"]);
            }
            if workload.has_readers() {
                marks.extend(["only-reads", "write-refused", "whole-again"]);
            }
            if workload.proves() {
                marks.extend(["stranger-refused"]);
            }
            if workload.has_thief() {
                marks.extend(["thief-refused"]);
            }
            marks
        }
        Workload::Service { marks, .. } => marks.iter().map(String::as_str).collect(),
    }
}
