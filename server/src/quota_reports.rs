//! Quotas by namespace, under ZooKeeper's names: what is limited and used below each first element
//! of a path, and how often a quota there has refused a write.

use std::collections::BTreeMap;

use althing_core::tree::quota::{Limits, Usage};
use althing_core::tree::tree::Tree;

use crate::figures::{Figure, Figures};
use crate::namespaces::{NAMESPACES_MAX, Namespaces, namespace};

/// Quotas that are summed at most, the first by path: a millisecond or two of the node's thread.
const QUOTAS_MAX: usize = 10_000;

/// What the quotas below one namespace say together.
#[derive(Default)]
struct Sum {
    count_limit: Option<u64>,
    bytes_limit: Option<u64>,
    usage: Usage,
}

impl Sum {
    /// As in ZooKeeper the hard limit counts if there is one, and nested quotas are added up. Where
    /// it adds -1 for what is not limited, nothing is added here.
    fn add(&mut self, limits: Limits, usage: Usage) {
        let more = |sum: &mut Option<u64>, limit: Option<u64>| {
            if let Some(limit) = limit {
                *sum = Some(sum.unwrap_or(0).saturating_add(limit));
            }
        };
        more(&mut self.count_limit, limits.count_hard.or(limits.count));
        more(&mut self.bytes_limit, limits.bytes_hard.or(limits.bytes));
        self.usage.count = self.usage.count.saturating_add(usage.count);
        self.usage.bytes = self.usage.bytes.saturating_add(usage.bytes);
    }
}

/// The five figures; those of which nothing is known are left out.
pub fn figures(tree: &Tree, namespaces: &Namespaces) -> Figures {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for (path, limits, usage) in tree.quotas().take(QUOTAS_MAX) {
        let Some(namespace) = namespace(path.as_str()) else {
            continue;
        };
        // The paths are in order, and so are these.
        if sums.len() < NAMESPACES_MAX || sums.contains_key(namespace) {
            sums.entry(namespace).or_default().add(limits, usage);
        }
    }
    let told = |figure: fn(&Sum) -> Figure| {
        let sums = sums.iter();
        let told = sums.map(|(namespace, sum)| ((*namespace).to_owned(), figure(sum)));
        Figure::ByKey(told.collect())
    };
    let refused = namespaces.refused();
    let refused = refused.map(|(namespace, count)| (namespace.to_owned(), Figure::Count(count)));
    let all = [
        (
            "quota_count_limit",
            told(|sum| Figure::Limit(sum.count_limit)),
        ),
        (
            "quota_bytes_limit",
            told(|sum| Figure::Limit(sum.bytes_limit)),
        ),
        (
            "quota_count_usage",
            told(|sum| Figure::Level(sum.usage.count)),
        ),
        (
            "quota_bytes_usage",
            told(|sum| Figure::Level(sum.usage.bytes)),
        ),
        ("quota_exceeded_error", Figure::ByKey(refused.collect())),
    ];
    all.map(|(name, figure)| (format!("{name}_per_namespace"), figure))
        .into()
}

#[cfg(test)]
mod tests {
    use althing_core::config::HardLimits;
    use althing_core::ids::{SessionId, Zxid};
    use althing_core::node::event::Event;
    use althing_core::time::WallTime;
    use althing_core::tree::acl::Acl;
    use althing_core::tree::data::Data;
    use althing_core::tree::op::{Create, Lifetime, Naming, Op, Telling};
    use althing_core::tree::path::{Path, Place};
    use althing_core::tree::quota::{QUOTAS, limits_path, stats_path};
    use althing_core::tree::tree::Context;

    use super::*;
    use crate::figures::flat;

    struct Stage {
        tree: Tree,
        zxid: u64,
    }

    impl Stage {
        fn create(&mut self, path: &str, data: &str) {
            self.zxid += 1;
            let context = Context {
                zxid: Zxid(self.zxid),
                wall: WallTime(0),
                session: Some(SessionId(7)),
                identities: &[],
                data_bytes_max: 100,
                hard_limits: HardLimits::Advised,
            };
            let create = Op::Create(Create {
                place: Place::exact(path).expect("a path"),
                data: Some(Data::from(data)),
                acl: Acl::open(),
                lifetime: Lifetime::Persistent,
                naming: Naming::Exact,
                telling: Telling::Path,
            });
            let done = self.tree.execute(&context, &create, &mut Vec::new());
            done.expect(path);
        }

        fn quota(&mut self, on: &str, limits: &str) {
            self.create(&format!("{QUOTAS}{on}"), "");
            self.create(&limits_path(on), limits);
            self.create(&stats_path(on), "");
        }

        fn told(&self, namespaces: &Namespaces) -> Vec<String> {
            let figures = figures(&self.tree, namespaces);
            let lines = flat(&figures).map(|(name, figure)| format!("{name} {figure}"));
            lines.collect()
        }
    }

    #[test]
    fn nested_quotas_are_added_up_by_their_first_element() {
        let mut stage = Stage {
            tree: Tree::new(),
            zxid: 0,
        };
        for (path, data) in [("/app", "123"), ("/app/db", "4"), ("/web", "")] {
            stage.create(path, data);
        }
        stage.quota(
            "/app",
            "count=5,bytes=-1=;byteHardLimit=70;countHardLimit=9",
        );
        stage.quota("/app/db", "count=2,bytes=30");
        stage.quota("/web", "count=-1,bytes=8");
        let mut namespaces = Namespaces::default();
        for path in ["/app/db/x", "/app", "/web"] {
            let path = Path::parse(path).expect("a path");
            namespaces.observe(&Event::QuotaRefused { path });
        }
        assert_eq!(
            stage.told(&namespaces),
            [
                "app_quota_count_limit_per_namespace 11",
                "web_quota_count_limit_per_namespace -1",
                "app_quota_bytes_limit_per_namespace 100",
                "web_quota_bytes_limit_per_namespace 8",
                "app_quota_count_usage_per_namespace 3",
                "web_quota_count_usage_per_namespace 1",
                "app_quota_bytes_usage_per_namespace 5",
                "web_quota_bytes_usage_per_namespace 0",
                "app_quota_exceeded_error_per_namespace 2",
                "web_quota_exceeded_error_per_namespace 1",
            ]
        );
    }

    #[test]
    fn there_are_never_too_many() {
        let mut stage = Stage {
            tree: Tree::new(),
            zxid: 0,
        };
        let mut namespaces = Namespaces::default();
        for number in 0..NAMESPACES_MAX + 20 {
            let path = format!("/n{number:04}");
            stage.create(&path, "");
            stage.quota(&path, "count=1,bytes=1");
            let path = Path::parse(&path).expect("a path");
            namespaces.observe(&Event::QuotaRefused { path });
        }
        assert_eq!(stage.told(&namespaces).len(), 5 * NAMESPACES_MAX);
        let again = Path::parse("/n0000/a").expect("a path");
        namespaces.observe(&Event::QuotaRefused { path: again });
        let told = stage.told(&namespaces);
        let line = "n0000_quota_exceeded_error_per_namespace 2";
        assert!(told.iter().any(|told| told == line), "{told:?}");
    }
}
