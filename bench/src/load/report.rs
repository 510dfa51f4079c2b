//! The report of all runs: Markdown, the same text for people and for the file.

use std::fmt::Write;
use std::time::Duration;

use super::figures::{Latencies, median, range};
use super::population::{self, PARENTS};
use super::throughput::{self, CELLS, DATA_BYTES, Work};

/// Everything that one run has shown.
pub struct Run {
    pub syncs: Latencies,
    pub loopback: Latencies,
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
    machine(&mut out, &mut runs);
    cells(&mut out, &runs);
    population(&mut out, about.znodes, &runs);
    out
}

fn machine(out: &mut String, runs: &mut [Run]) {
    out.push_str("## The machine alone\n\n| | per second | p50 us | p99 us |\n|---|---|---|---|\n");
    let syncs = "append of 512 bytes and fdatasync";
    timing(out, syncs, runs.iter_mut().map(|run| &mut run.syncs));
    let loopback = "100 bytes to and fro on loopback";
    timing(out, loopback, runs.iter_mut().map(|run| &mut run.loopback));
    out.push('\n');
}

fn timing<'a>(out: &mut String, what: &str, runs: impl Iterator<Item = &'a mut Latencies>) {
    let figures: Vec<[f64; 4]> = runs
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
        let work = match cell.work {
            Work::Get => "get",
            Work::Set => "set",
        };
        line(
            out,
            &[
                work,
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
    let of = |figure: fn(&population::Sample) -> f64| {
        runs.iter().map(move |run| figure(&run.population))
    };
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1024.0 / 1024.0);
    let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    let mut row = |what: &str, empty: &str, full: String| line(out, &[what, empty, &full]);
    row(
        "resident memory",
        &spread(of(|sample| sample.empty_bytes as f64), mib),
        spread(of(|sample| sample.full_bytes as f64), mib),
    );
    let grown = median(of(|sample| {
        sample.full_bytes as f64 - sample.empty_bytes as f64
    }));
    row(
        "the same for a znode",
        "",
        format!("{:.0} bytes", grown / znodes as f64),
    );
    row(
        "most resident memory ever",
        "",
        spread(of(|sample| sample.peak_bytes as f64), mib),
    );
    row(
        "resident memory after the restart",
        "",
        spread(of(|sample| sample.restarted_bytes as f64), mib),
    );
    row(
        "creates per second",
        "",
        spread(of(|sample| sample.creates_per_second), |rate| {
            format!("{rate:.0}")
        }),
    );
    row(
        "log on disk",
        "",
        spread(of(|sample| sample.stored.log_bytes as f64), mib),
    );
    row(
        "snapshots on disk",
        "",
        spread(of(|sample| sample.stored.snapshot_bytes as f64), mib),
    );
    row(
        "how many snapshots",
        "",
        spread(of(|sample| sample.stored.snapshots as f64), |count| {
            format!("{count:.0}")
        }),
    );
    row(
        "start to first answer",
        &spread(of(|sample| sample.empty_start.as_secs_f64()), millis),
        spread(of(|sample| sample.restart.as_secs_f64()), millis),
    );
    row(
        "SIGTERM to end",
        "",
        spread(of(|sample| sample.stop.as_secs_f64()), millis),
    );
}

/// The median, with the least and the greatest if there were several runs.
fn spread(figures: impl Iterator<Item = f64>, show: impl Fn(f64) -> String) -> String {
    let figures: Vec<f64> = figures.collect();
    let middle = show(median(figures.iter().copied()));
    if figures.len() == 1 {
        return middle;
    }
    let (least, greatest) = range(figures.into_iter());
    format!("{middle} ({} to {})", show(least), show(greatest))
}

fn line(out: &mut String, columns: &[&str]) {
    for column in columns {
        out.push_str("| ");
        out.push_str(column);
        out.push(' ');
    }
    out.push_str("|\n");
}
