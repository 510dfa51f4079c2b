//! The report of fail-over: tables for people.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::failover::ensemble::{Blow, Gossip};
use crate::failover::load::Calm;

/// What was measured, when, and on what.
pub fn head(binary: &Path) -> Result<String, Box<dyn Error>> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
    let version = String::from_utf8(output.stdout)?;
    let machine = crate::load::machine::describe();
    let machine = machine.map_err(|trouble| -> Box<dyn Error> { trouble })?;
    Ok(format!(
        "# Fail-over of `{}`\n\n{machine}\n\n",
        version.trim()
    ))
}

/// How often the leader was killed, and how long nothing was acknowledged.
pub fn kills(servers: u8, blow: Blow, rows: &[(Gossip, Vec<Duration>)]) -> String {
    let how = match blow {
        Blow::Stop => "SIGSTOP",
        Blow::Kill => "kill -9",
    };
    let mut text = format!(
        "{servers} servers with the default configuration on loopback; {how} of the leader. The longest time \
         without an acknowledged write of any client of another server.\n\n\
         | gossip | leaders | least ms | median ms | 9 of 10 ms | worst ms |\n\
         |---|---|---|---|---|---|\n"
    );
    for (gossip, gaps) in rows {
        let mut sorted = gaps.clone();
        sorted.sort();
        let at = |part: f64| {
            let last = sorted.len() - 1;
            let index = (last as f64 * part).round() as usize;
            sorted[index].as_secs_f64() * 1000.0
        };
        let (least, median, most, worst) = (at(0.0), at(0.5), at(0.9), at(1.0));
        let count = sorted.len();
        text.push_str(&format!(
            "| {} | {count} | {least:.0} | {median:.0} | {most:.0} | {worst:.0} |\n",
            name(*gossip)
        ));
    }
    text
}

/// What came of full load.
pub fn calm(servers: u8, gossip: Gossip, calm: &Calm) -> String {
    let seconds = calm.lasted.as_secs_f64();
    format!(
        "{servers} servers with the default configuration on loopback, gossip {}, full load for {seconds:.0} s: \
         {:.0} requests/s, {} failed, {} elections.\n",
        name(gossip),
        calm.requests as f64 / seconds,
        calm.failed,
        calm.elections,
    )
}

fn name(gossip: Gossip) -> &'static str {
    match gossip {
        Gossip::On => "on",
        Gossip::Off => "off",
    }
}
