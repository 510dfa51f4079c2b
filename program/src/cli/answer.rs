//! What a command gives, as zkCli shows it and as JSON.

use std::sync::Arc;

use althing_client::persistent::News;
use althing_core::tree::acl::Acl;
use althing_core::tree::data::Data;
use althing_core::tree::quota::{Limits, Usage};
use althing_core::tree::stat::Stat;
use althing_core::watch::WatchEvent;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::inspect::spelling;

/// For whom it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a command gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing but that it is done.
    Done,
    /// A line for people.
    Said(String),
    /// The names of a znode's children.
    Children {
        /// Which znode.
        path: String,
        /// Their names.
        names: Vec<Arc<str>>,
        /// The znode's Stat, if it is wanted.
        stat: Option<Stat>,
    },
    /// The paths of a subtree.
    Paths(Vec<String>),
    /// A znode's data.
    Data {
        /// Which znode.
        path: String,
        /// Its data.
        data: Data,
        /// Its Stat, if it is wanted.
        stat: Option<Stat>,
    },
    /// A znode was created.
    Created {
        /// Which.
        path: String,
        /// Its Stat.
        stat: Stat,
    },
    /// Znodes were deleted.
    Deleted {
        /// How many.
        count: usize,
    },
    /// A znode's Stat.
    Stat {
        /// Which znode.
        path: String,
        /// Its Stat.
        stat: Stat,
    },
    /// A znode's access control list.
    Acl {
        /// Which znode.
        path: String,
        /// Its list.
        acl: Acl,
        /// Its Stat, if it is wanted.
        stat: Option<Stat>,
    },
    /// A quota.
    Quota {
        /// On which path.
        path: String,
        /// How much there may be.
        limits: Limits,
        /// How much there is.
        usage: Usage,
    },
}

impl Answer {
    /// For people: the lines, without the last one's end; empty where there is nothing to say.
    pub fn text(&self) -> String {
        let with_stat = |first: String, stat: &Option<Stat>| match stat {
            Some(stat) => format!("{first}\n{}", stat_text(stat)),
            None => first,
        };
        match self {
            Answer::Done => String::new(),
            Answer::Said(line) => line.clone(),
            Answer::Children { names, stat, .. } => {
                with_stat(format!("[{}]", names.join(", ")), stat)
            }
            Answer::Paths(paths) => paths.join("\n"),
            Answer::Data { data, stat, .. } => {
                with_stat(String::from_utf8_lossy(data).into_owned(), stat)
            }
            Answer::Created { path, .. } => format!("Created {path}"),
            Answer::Deleted { count } => format!("Deleted {count}"),
            Answer::Stat { stat, .. } => stat_text(stat),
            Answer::Quota {
                path,
                limits,
                usage,
            } => format!("Output quota for {path} {limits}\nOutput stat for {path} {usage}"),
            Answer::Acl { acl, stat, .. } => {
                let entries: Vec<String> = acl
                    .0
                    .iter()
                    .map(|entry| {
                        let (scheme, id) = (&entry.who.scheme, &entry.who.id);
                        format!("'{scheme},'{id}\n: {:?}", entry.perms)
                    })
                    .collect();
                with_stat(entries.join("\n"), stat)
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let of = |stat: &Option<Stat>| stat.as_ref().map(spelling::stat_json);
        match self {
            Answer::Done => json!({ "done": true }),
            Answer::Said(line) => json!({ "done": true, "said": line }),
            Answer::Children { path, names, stat } => {
                let children: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
                json!({ "path": path, "children": children, "stat": of(stat) })
            }
            Answer::Paths(paths) => json!({ "paths": paths }),
            Answer::Data { path, data, stat } => json!({
                "path": path,
                "text": std::str::from_utf8(data).ok(),
                "base64": BASE64_STANDARD.encode(&data[..]),
                "stat": of(stat),
            }),
            Answer::Created { path, stat } => json!({
                "created": path, "stat": spelling::stat_json(stat),
            }),
            Answer::Deleted { count } => json!({ "deleted": count }),
            Answer::Stat { path, stat } => json!({
                "path": path, "stat": spelling::stat_json(stat),
            }),
            Answer::Quota {
                path,
                limits,
                usage,
            } => json!({
                "path": path,
                "limits": {
                    "count": limits.count,
                    "bytes": limits.bytes,
                    "count_hard": limits.count_hard,
                    "bytes_hard": limits.bytes_hard,
                },
                "usage": { "count": usage.count, "bytes": usage.bytes },
            }),
            Answer::Acl { path, acl, stat } => json!({
                "path": path, "acl": spelling::acl_json(acl), "stat": of(stat),
            }),
        }
    }
}

/// A Stat with zkCli's names.
fn stat_text(stat: &Stat) -> String {
    let lines = [
        ("cZxid", spelling::hex(stat.czxid)),
        ("ctime", spelling::time(stat.ctime)),
        ("mZxid", spelling::hex(stat.mzxid)),
        ("mtime", spelling::time(stat.mtime)),
        ("pZxid", spelling::hex(stat.pzxid)),
        ("cversion", stat.cversion.to_string()),
        ("dataVersion", stat.version.to_string()),
        ("aclVersion", stat.aversion.to_string()),
        ("ephemeralOwner", format!("{:#x}", stat.ephemeral_owner)),
        ("dataLength", stat.data_length.to_string()),
        ("numChildren", stat.num_children.to_string()),
    ];
    let lines = lines.map(|(key, value)| format!("{key} = {value}"));
    lines.join("\n")
}

/// What a watch tells.
pub fn news(news: &News, manner: Manner) -> String {
    match (news, manner) {
        (News::Event(event), Manner::Text) => event_text(event),
        (News::Event(event), Manner::Json) => event_json(event).to_string(),
        (News::Interrupted, Manner::Text) => {
            "WATCHER::\nthe connection was lost: what changed meanwhile is told by nobody"
                .to_owned()
        }
        (News::Interrupted, Manner::Json) => json!({ "event": "Interrupted" }).to_string(),
    }
}

/// A watch that has fired, as zkCli tells it.
fn event_text(event: &WatchEvent) -> String {
    let (kind, path) = (event.kind, event.path.as_str());
    format!("WATCHER::\nWatchedEvent state:SyncConnected type:{kind:?} path:{path}")
}

/// A watch that has fired, as JSON.
fn event_json(event: &WatchEvent) -> Value {
    json!({
        "event": format!("{:?}", event.kind),
        "path": event.path.as_str(),
        "zxid": spelling::hex(event.zxid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_look_as_zkcli_shows_them() {
        let names = ["a", "b"].map(Arc::from).to_vec();
        let path = || "/x".to_owned();
        let children = Answer::Children {
            path: path(),
            names,
            stat: Some(Stat::default()),
        };
        let text = children.text();
        assert!(text.starts_with("[a, b]\ncZxid = 0x0\n"), "{text}");
        assert!(text.ends_with("\nnumChildren = 0"), "{text}");
        let acl = Answer::Acl {
            path: path(),
            acl: Acl::open(),
            stat: None,
        };
        assert_eq!(acl.text(), "'world,'anyone\n: cdrwa");
        let data = Answer::Data {
            path: path(),
            data: Data::copy_of(&[0xff]),
            stat: None,
        };
        assert_eq!(data.json()["text"], Value::Null);
        assert_eq!(data.json()["base64"], "/w==");
    }
}
