//! How often quotas have refused writes, by namespace: by the first element of the path.

use std::collections::BTreeMap;

use althing_core::node::event::Event;

/// Namespaces that are told at most, the first by name: five lines each are as much as who scrapes
/// every few seconds should be sent.
pub const NAMESPACES_MAX: usize = 100;

/// How often quotas have refused writes of this server's clients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Namespaces {
    refused: BTreeMap<Box<str>, u64>,
}

impl Namespaces {
    /// Counts what the node has noted.
    pub fn observe(&mut self, event: &Event) {
        let Event::QuotaRefused { path } = event else {
            return;
        };
        let Some(namespace) = namespace(path.as_str()) else {
            return;
        };
        // Whoever makes names must not make the table grow for ever.
        if self.refused.len() < NAMESPACES_MAX || self.refused.contains_key(namespace) {
            *self.refused.entry(namespace.into()).or_default() += 1;
        }
    }

    /// How often, by namespace.
    pub fn refused(&self) -> impl Iterator<Item = (&str, u64)> {
        let refused = self.refused.iter();
        refused.map(|(namespace, count)| (&**namespace, *count))
    }
}

/// The first element of a path; none of the root.
pub fn namespace(path: &str) -> Option<&str> {
    let first = path.trim_start_matches('/').split('/').next();
    first.filter(|name| !name.is_empty())
}
