//! The figures as Prometheus reads them. Each scrape has a recorder of its own, so nothing is
//! counted that the server does not count already.

use althing::figures::{Figure, Figures};
use metrics_exporter_prometheus::PrometheusBuilder;

/// The metric that carries the words (version, state) as its labels.
const INFO: &str = "server_info";

/// The label by which figures of one name are told apart; ZooKeeper's, too.
const KEY: &str = "key";

/// The text of one scrape.
pub fn text(figures: &Figures) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let mut words = Vec::new();
        for (name, figure) in figures {
            match figure {
                Figure::Text(text) => words.push((name.clone(), text.clone())),
                Figure::ByKey(parts) => {
                    for (key, figure) in parts {
                        record(name, &[(KEY, key.clone())], figure);
                    }
                }
                figure => record(name, &[], figure),
            }
        }
        metrics::gauge!(INFO, &words).set(1.0);
    });
    recorder.handle().render()
}

fn record(name: &str, labels: &[(&'static str, String)], figure: &Figure) {
    let name = name.to_owned();
    match figure {
        Figure::Level(level) => metrics::gauge!(name, labels).set(*level as f64),
        Figure::Mean(mean) => metrics::gauge!(name, labels).set(*mean),
        Figure::Count(count) => metrics::counter!(name, labels).absolute(*count),
        Figure::Limit(limit) => {
            let limit = limit.map_or(-1.0, |limit| limit as f64);
            metrics::gauge!(name, labels).set(limit);
        }
        Figure::Text(_) | Figure::ByKey(_) => unreachable!("these are taken apart"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let figures = [
            ("version", Figure::Text("3.9.5".to_owned())),
            ("znode_count", Figure::Level(5)),
            ("packets_sent", Figure::Count(7)),
            ("avg_latency", Figure::Mean(0.25)),
            (
                "quota_count_limit_per_namespace",
                Figure::ByKey(vec![
                    ("app".to_owned(), Figure::Limit(Some(7))),
                    ("a\"b".to_owned(), Figure::Limit(None)),
                ]),
            ),
        ];
        let figures: Figures = figures
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect();
        let text = text(&figures);
        for line in [
            "# TYPE znode_count gauge",
            "znode_count 5",
            "# TYPE packets_sent counter",
            "packets_sent 7",
            "avg_latency 0.25",
            "quota_count_limit_per_namespace{key=\"app\"} 7",
            "quota_count_limit_per_namespace{key=\"a\\\"b\"} -1",
            "server_info{version=\"3.9.5\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
        }
    }
}
