//! The report of all runs: Markdown, the same text for people and for the file.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{Latencies, median, range};
use super::machine::Alone;
use super::population::{self, PARENTS};
use super::throughput::{self, CELLS, DATA_BYTES};

/// Everything that one run has shown.
pub struct Run {
    pub alone: Alone,
    /// In the order of [`CELLS`].
    pub cells: Vec<throughput::Sample>,
    pub population: population::Sample,
}

pub struct About {
    pub machine: String,
    pub server: String,
    pub cell_lasts: Duration,
    pub znodes: usize,
}

pub fn write(about: &About, mut runs: Vec<Run>) -> String {
    let mut out = String::new();
    let repeated = match runs.len() {
        1 => "One run.".to_owned(),
        count => format!("Medians of {count} runs; in brackets the least and the greatest."),
    };
    writeln!(
        out,
        "# Measurements of `{}`\n\n{}.\n{repeated} A cell lasts {} s. How it is measured and how \
         to read it: [performance.md](performance.md).\n",
        about.server,
        about.machine,
        about.cell_lasts.as_secs()
    )
    .expect("a string takes all text");
    machine(&mut out, runs.iter_mut().map(|run| &mut run.alone));
    cells(&mut out, &runs);
    population(&mut out, about.znodes, &runs);
    out
}

/// What the machine did without any server.
pub fn machine<'a>(out: &mut String, alone: impl Iterator<Item = &'a mut Alone>) {
    out.push_str("## The machine alone\n\n| | per second | least us | p50 us | p99 us |\n");
    out.push_str("|---|---|---|---|---|\n");
    let (syncs, loopback): (Vec<_>, Vec<_>) = alone
        .map(|Alone { syncs, loopback }| (syncs, loopback))
        .unzip();
    timing(out, "append of 512 bytes and fdatasync", syncs);
    timing(out, "100 bytes to and fro on loopback", loopback);
    out.push('\n');
}

fn timing(out: &mut String, what: &str, runs: Vec<&mut Latencies>) {
    let figures: Vec<[f64; 4]> = runs
        .into_iter()
        .map(|run| {
            let [p50, p99] = [50, 99].map(|percent| run.percentile_us(percent));
            [run.per_second(), run.least_us(), p50, p99]
        })
        .collect();
    let [per_second, least, p50, p99] = [0, 1, 2, 3].map(|column| {
        let figures = figures.iter().map(|figures| figures[column]);
        spread(figures, |figure| format!("{figure:.0}"))
    });
    line(out, &[what, &per_second, &least, &p50, &p99]);
}

fn cells(out: &mut String, runs: &[Run]) {
    writeln!(
        out,
        "## Throughput and latency\n\nZnodes with {DATA_BYTES} bytes of data. The last column \
         is what all other processes took meanwhile.\n"
    )
    .expect("a string takes all text");
    out.push_str(
        "| | connections | in flight on each | requests/s | p50 us | p99 us \
         | server CPU us/request | generator CPU us/request \
         | server cores | generator cores | other cores |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (index, cell) in CELLS.iter().enumerate() {
        let of = |figure: fn(&throughput::Sample) -> f64| {
            runs.iter().map(move |run| figure(&run.cells[index]))
        };
        let whole = |figure: f64| format!("{figure:.0}");
        let fine = |figure: fn(&throughput::Sample) -> f64| format!("{:.2}", median(of(figure)));
        line(
            out,
            &[
                &cell.work.to_string(),
                &cell.connections.to_string(),
                &cell.in_flight.to_string(),
                &spread(of(|sample| sample.per_second), whole),
                &whole(median(of(|sample| sample.p50_us))),
                &whole(median(of(|sample| sample.p99_us))),
                &fine(|sample| sample.server_us),
                &fine(|sample| sample.generator_us),
                &fine(|sample| sample.server_cores),
                &fine(|sample| sample.generator_cores),
                &fine(|sample| sample.other_cores),
            ],
        );
    }
    out.push('\n');
}

fn population(out: &mut String, znodes: usize, runs: &[Run]) {
    writeln!(
        out,
        "## Memory, disk and start-up\n\n{znodes} znodes with {DATA_BYTES} bytes of data each \
         below {PARENTS} parents, created one by one.\n"
    )
    .expect("a string takes all text");
    out.push_str("| | empty | with all znodes |\n|---|---|---|\n");
    let count = |figure: f64| format!("{figure:.0}");
    let of = |figure: Figure| spread(figures(runs, figure), mib);
    let empty = of(|sample| sample.empty_bytes as f64);
    let full = of(|sample| sample.full_bytes as f64);
    line(out, &["resident memory", &empty, &full]);
    let grown: Figure = |sample| sample.full_bytes as f64 - sample.empty_bytes as f64;
    let each = median(figures(runs, grown)) / znodes as f64;
    line(
        out,
        &["the same for a znode", "", &format!("{each:.0} bytes")],
    );
    let peak = of(|sample| sample.peak_bytes as f64);
    line(out, &["most resident memory ever", "", &peak]);
    let restarted = of(|sample| sample.restarted_bytes as f64);
    line(out, &["resident memory after the restart", "", &restarted]);
    let creates = spread(figures(runs, |sample| sample.creates_per_second), count);
    line(out, &["creates per second", "", &creates]);
    let log = of(|sample| sample.stored.log_bytes as f64);
    line(out, &["log on disk", "", &log]);
    let snapshots = of(|sample| sample.stored.snapshot_bytes as f64);
    line(out, &["snapshots on disk", "", &snapshots]);
    let snapshots = spread(
        figures(runs, |sample| sample.stored.snapshots as f64),
        count,
    );
    line(out, &["how many snapshots", "", &snapshots]);
    starts(out, runs);
}

fn starts(out: &mut String, runs: &[Run]) {
    let of = |figure: Figure| spread(figures(runs, figure), millis);
    let empty = of(|sample| sample.empty_start.took.as_secs_f64());
    let full = of(|sample| sample.restart.took.as_secs_f64());
    line(out, &["start to first answer", &empty, &full]);
    let empty = of(|sample| sample.empty_start.cpu.as_secs_f64());
    let full = of(|sample| sample.restart.cpu.as_secs_f64());
    line(out, &["processor time of that", &empty, &full]);
    let stop = of(|sample| sample.stop.as_secs_f64());
    line(out, &["SIGTERM to end", "", &stop]);
}

type Figure = fn(&population::Sample) -> f64;

fn figures(runs: &[Run], figure: Figure) -> impl Iterator<Item = f64> {
    runs.iter().map(move |run| figure(&run.population))
}

pub fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
}

pub fn millis(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

/// The median, with the least and the greatest if there were several runs.
pub fn spread(figures: impl Iterator<Item = f64>, show: impl Fn(f64) -> String) -> String {
    let figures: Vec<f64> = figures.collect();
    let middle = show(median(figures.iter().copied()));
    if figures.len() == 1 {
        return middle;
    }
    let (least, greatest) = range(figures.into_iter());
    format!("{middle} ({} to {})", show(least), show(greatest))
}

/// A row of a table.
pub fn line(out: &mut String, columns: &[&str]) {
    for column in columns {
        out.push_str("| ");
        out.push_str(column);
        out.push(' ');
    }
    out.push_str("|\n");
}
