//! A load from its flags to what it tells.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::bench::arguments::Bench;
use crate::bench::latencies::Latencies;
use crate::bench::load::{Outcome, load};

/// The exit code where requests were refused.
const REFUSED: u8 = 1;

/// The exit code where there was no load, or it broke off; clap's, too.
const TROUBLE: u8 = 2;

/// The shares that are told, in thousandths.
const SHARES: [(&str, u64); 3] = [("p50", 500), ("p99", 990), ("p99_9", 999)];

/// Loads the servers, tells what came of it, and gives the exit code.
pub fn run(flags: &Bench) -> ExitCode {
    match load(flags) {
        Ok(outcome) => {
            match flags.json {
                true => println!("{:#}", as_json(&outcome)),
                false => print!("{}", as_text(&outcome)),
            }
            match outcome.refused.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(REFUSED),
            }
        }
        Err(trouble) => {
            eprintln!("althing bench: {trouble}");
            ExitCode::from(TROUBLE)
        }
    }
}

fn rate(latencies: &Latencies, outcome: &Outcome) -> f64 {
    latencies.count() as f64 / outcome.lasted.as_secs_f64()
}

/// Every kind of request, and all of them if there are several.
fn rows(outcome: &Outcome) -> Vec<(&'static str, Latencies)> {
    let mut rows: Vec<_> = outcome
        .took
        .iter()
        .map(|(work, latencies)| (work.name(), latencies.clone()))
        .collect();
    if rows.len() > 1 {
        let mut all = Latencies::default();
        rows.iter().for_each(|(_, latencies)| all.join(latencies));
        rows.push(("all", all));
    }
    rows
}

fn as_text(outcome: &Outcome) -> String {
    let mut text = format!(
        "{:<8}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n",
        "", "answered", "a second", "p50 ms", "p99 ms", "p99.9 ms", "longest ms"
    );
    for (name, latencies) in rows(outcome) {
        write!(
            text,
            "{name:<8}{:>12}{:>12.0}",
            latencies.count(),
            rate(&latencies, outcome)
        )
        .expect("writing into a string does not fail");
        let shares = SHARES.map(|(_, share)| latencies.within(share));
        for took in shares.into_iter().chain([latencies.longest()]) {
            write!(text, "{:>12.3}", took.as_secs_f64() * 1000.0)
                .expect("writing into a string does not fail");
        }
        text.push('\n');
    }
    for (code, count) in &outcome.refused {
        writeln!(text, "refused {count:>12} {code}").expect("writing into a string does not fail");
    }
    text
}

fn as_json(outcome: &Outcome) -> Value {
    let mut told = Map::new();
    for (name, latencies) in rows(outcome) {
        let mut row = json!({
            "count": latencies.count(),
            "per_second": rate(&latencies, outcome),
            "longest_us": latencies.longest().as_micros() as u64,
        });
        for (share, thousandths) in SHARES {
            let took = latencies.within(thousandths);
            row[format!("{share}_us")] = json!(took.as_micros() as u64);
        }
        told.insert(name.to_owned(), row);
    }
    json!({
        "seconds": outcome.lasted.as_secs_f64(),
        "operations": told,
        "refused": outcome.refused,
    })
}
