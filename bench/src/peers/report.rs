//! The report: a table for each size of an ensemble, with Althing's ratio to each peer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use super::kind::Kind;
use super::turn::Turn;
use crate::load::figures::median;
use crate::load::machine::Alone;
use crate::load::report::{line, machine, mib, millis, spread};
use crate::load::throughput::{CELLS, Cell, DATA_BYTES, Sample};

/// Who, and how many of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Setting {
    pub servers: u8,
    pub kind: Kind,
}

impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} x {}", self.servers, self.kind)
    }
}

/// Everything that one run has shown.
pub struct Run {
    pub alone: Alone,
    pub turns: Vec<(Setting, Turn)>,
}

impl Run {
    pub fn turn(&self, setting: Setting) -> Option<&Turn> {
        let mut turns = self.turns.iter();
        let found = turns.find(|(one, _)| *one == setting);
        found.map(|(_, turn)| turn)
    }
}

pub struct About {
    pub machine: String,
    pub versions: Vec<String>,
    pub cell_lasts: Duration,
}

/// The settings that were measured, by the size of the ensemble.
pub fn by_size(runs: &[Run]) -> BTreeMap<u8, BTreeSet<Setting>> {
    let mut sizes: BTreeMap<u8, BTreeSet<Setting>> = BTreeMap::new();
    for (setting, _) in runs.iter().flat_map(|run| &run.turns) {
        sizes.entry(setting.servers).or_default().insert(*setting);
    }
    sizes
}

/// How many servers, in words.
pub fn heading(servers: u8) -> String {
    match servers {
        1 => "One server".to_owned(),
        servers => format!("{servers} servers"),
    }
}

/// What a figure of a cell was in each run.
pub fn figures(
    runs: &[Run],
    setting: Setting,
    cell: usize,
    figure: fn(&Sample) -> f64,
) -> Vec<f64> {
    let turns = runs.iter().filter_map(|run| run.turn(setting));
    turns.map(|turn| figure(&turn.cells[cell])).collect()
}

pub fn name(cell: Cell) -> String {
    format!("{} {}x{}", cell.work, cell.connections, cell.in_flight)
}

pub fn write(about: &About, runs: &mut [Run]) -> String {
    let mut out = String::new();
    writeln!(
        out,
        "# Beside its peers\n\n{}.\n{}.\n\nMedians of {} runs; in brackets the least and the \
         greatest. Every run measures everybody, one after the other; a ratio is one of a run, \
         and its median is shown. A cell lasts {} s. `64x16`: 64 connections, each with 16 \
         requests in flight. Znodes have {DATA_BYTES} bytes of data. Each server has its default \
         durable configuration; gets are answered from what the server has (etcd: \
         `serializable`). How to read it: \
         [performance.md](../../docs/performance.md#beside-its-peers).\n",
        about.machine,
        about.versions.join("; "),
        runs.len(),
        about.cell_lasts.as_secs()
    )
    .expect("a string takes all text");
    machine(&mut out, runs.iter_mut().map(|run| &mut run.alone));
    for (servers, of_size) in by_size(runs) {
        of_servers(&mut out, servers, &of_size, runs);
    }
    out
}

fn of_servers(out: &mut String, servers: u8, settings: &BTreeSet<Setting>, runs: &[Run]) {
    let heading = heading(servers);
    writeln!(
        out,
        "## {heading}\n\nProcessor time is that of all servers together. *Rate*: how many times \
         as many requests Althing answers; *cost*, *p99*: how many times as much the other \
         takes.\n\n\
         | | | requests/s | rate | p50 us | p99 us | p99 | server CPU us/request | cost \
         | server cores | generator cores | other cores |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    .expect("a string takes all text");
    for (index, cell) in CELLS.into_iter().enumerate() {
        for setting in settings {
            row(out, index, cell, *setting, runs);
        }
    }
    out.push_str("\n| | start to service | memory of all servers, fresh | after the load |\n");
    out.push_str("|---|---|---|---|\n");
    for setting in settings {
        let of = |figure: fn(&Turn) -> f64| {
            let turns = runs.iter().filter_map(|run| run.turn(*setting));
            turns.map(figure).collect::<Vec<f64>>().into_iter()
        };
        let start = spread(of(|turn| turn.start.as_secs_f64()), millis);
        let fresh = spread(of(|turn| turn.fresh_bytes as f64), mib);
        let loaded = spread(of(|turn| turn.loaded_bytes as f64), mib);
        line(out, &[&setting.kind.to_string(), &start, &fresh, &loaded]);
    }
}

fn row(out: &mut String, index: usize, cell: Cell, setting: Setting, runs: &[Run]) {
    let of = |figure| figures(runs, setting, index, figure);
    let whole = |figure: f64| format!("{figure:.0}");
    let fine = |figure| format!("{:.2}", median(of(figure).into_iter()));
    let own = Setting {
        kind: Kind::Althing,
        ..setting
    };
    // Of one run each, so that what disturbed the run disturbed both.
    let ratio = |figure: fn(&Sample) -> f64, of_rates: bool| -> String {
        let ratios = runs.iter().filter_map(|run| {
            let (own, other) = (run.turn(own)?, run.turn(setting)?);
            let (own, other) = (figure(&own.cells[index]), figure(&other.cells[index]));
            Some(if of_rates { own / other } else { other / own })
        });
        let ratios: Vec<f64> = ratios.collect();
        match ratios.is_empty() || setting.kind == Kind::Althing {
            true => String::new(),
            false => format!("{:.1}x", median(ratios.into_iter())),
        }
    };
    line(
        out,
        &[
            &name(cell),
            &setting.kind.to_string(),
            &spread(of(|sample| sample.per_second).into_iter(), whole),
            &ratio(|sample| sample.per_second, true),
            &whole(median(of(|sample| sample.p50_us).into_iter())),
            &whole(median(of(|sample| sample.p99_us).into_iter())),
            &ratio(|sample| sample.p99_us, false),
            &fine(|sample| sample.server_us),
            &ratio(|sample| sample.server_us, false),
            &fine(|sample| sample.server_cores),
            &fine(|sample| sample.generator_cores),
            &fine(|sample| sample.other_cores),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::figures::Latencies;

    fn latencies() -> Latencies {
        let mut latencies = Latencies::default();
        latencies.add(Duration::from_micros(10));
        latencies.took(Duration::from_secs(1));
        latencies
    }

    fn turn(servers: u8, kind: Kind, per_second: f64) -> (Setting, Turn) {
        let sample = || Sample {
            per_second,
            p50_us: 1.0,
            p99_us: 1e6 / per_second,
            server_us: 1e6 / per_second,
            generator_us: 1.0,
            server_cores: 1.0,
            generator_cores: 0.5,
            other_cores: 0.0,
        };
        let turn = Turn {
            start: Duration::from_millis(5),
            fresh_bytes: 1 << 20,
            loaded_bytes: 2 << 20,
            cells: CELLS.map(|_| sample()).into(),
        };
        (Setting { servers, kind }, turn)
    }

    fn run(own: f64, other: f64) -> Run {
        Run {
            alone: Alone {
                syncs: latencies(),
                loopback: latencies(),
            },
            turns: vec![
                turn(3, Kind::Althing, own),
                turn(3, Kind::Etcd, other),
                turn(1, Kind::Althing, own),
            ],
        }
    }

    /// The machine was half as fast in the second run, and a third as fast in the last.
    #[test]
    fn a_ratio_is_that_of_one_run() {
        let mut runs = [run(600.0, 100.0), run(300.0, 50.0), run(200.0, 25.0)];
        let about = About {
            machine: "a machine".to_owned(),
            versions: vec!["althing 1".to_owned(), "etcd 2".to_owned()],
            cell_lasts: Duration::from_secs(3),
        };
        let report = write(&about, &mut runs);
        let of_etcd =
            "| get 64x16 | etcd | 50 (25 to 100) | 6.0x | 1 | 20000 | 6.0x | 20000.00 | 6.0x |";
        assert!(report.contains(of_etcd), "{report}");
        assert!(report.contains("| get 64x16 | althing | 300 (200 to 600) |  | 1 |"));
        let (one, three) = (report.find("## One server"), report.find("## 3 servers"));
        assert!(one < three && one.is_some(), "small ensembles first");
        let pictures = super::super::plot::draw(&runs).expect("drawn");
        assert_eq!(pictures.len(), 6);
        assert!(
            pictures
                .iter()
                .all(|(_, picture)| picture.ends_with("</svg>\n"))
        );
    }
}
