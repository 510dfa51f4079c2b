//! The figures as Prometheus reads them. Each scrape has a recorder of its own, so nothing is
//! counted that the server does not count already.

use althing::figures::{Figure, Figures};
use metrics_exporter_prometheus::PrometheusBuilder;

/// The metric that carries the words (version, state) as its labels.
const INFO: &str = "server_info";

/// The text of one scrape.
pub fn text(figures: &Figures) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let mut words = Vec::new();
        for (name, figure) in figures {
            let name = name.clone();
            match figure {
                Figure::Level(level) => metrics::gauge!(name).set(*level as f64),
                Figure::Mean(mean) => metrics::gauge!(name).set(*mean),
                Figure::Count(count) => metrics::counter!(name).absolute(*count),
                Figure::Text(text) => words.push((name, text.clone())),
            }
        }
        metrics::gauge!(INFO, &words).set(1.0);
    });
    recorder.handle().render()
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
            "server_info{version=\"3.9.5\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}:\n{text}");
        }
    }
}
