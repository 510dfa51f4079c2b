//! Reads segments of a log as the server does, record by record.

use std::io;

use althing::disk::Disk as _;
use althing::storage::error::StorageError;
use althing::storage::segment::{self, Scanned, Standing};
use althing::storage::storage::Replay;
use althing_core::ids::Zxid;
use althing_core::quorum::log::Record;
use althing_core::store::txn::Entry;
use serde_json::json;

use crate::inspect::arguments::{Log, Showing};
use crate::inspect::findings::{Finding, Output, Trouble, Verdict};
use crate::inspect::place::Place;
use crate::inspect::spelling;

/// Which records are shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    from: Zxid,
    to: Zxid,
    showing: Showing,
    records: Records,
}

/// Are the records shown?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Records {
    Shown,
    Checked,
}

impl Window {
    /// What the flags want.
    pub fn of(flags: &Log) -> Window {
        let quiet = flags.manner.check || !flags.diff.is_empty();
        Window {
            from: flags.from.unwrap_or(Zxid::ZERO),
            to: flags.to.unwrap_or(Zxid(u64::MAX)),
            showing: flags.manner.data,
            records: match quiet {
                true => Records::Checked,
                false => Records::Shown,
            },
        }
    }

    fn has(&self, record: &Record) -> bool {
        match record {
            Record::Entry(entry) => (self.from..=self.to).contains(&entry.zxid),
            // They have no position, so they are left out where positions are asked for.
            Record::Ballot(_) | Record::Cut(_) => {
                self.from == Zxid::ZERO && self.to == Zxid(u64::MAX)
            }
        }
    }
}

/// What was read of some segments.
#[derive(Debug)]
pub struct Read {
    /// The entries that stand, after all cuts.
    pub entries: Vec<Entry>,
    /// Is all of it whole?
    pub verdict: Verdict,
}

/// Reads `places` one after the other, and tells of each.
pub async fn read(places: &[Place], window: Window, out: &mut Output) -> Result<Read, Trouble> {
    let first = places.first().expect("the command line demands one");
    let mut replay = Replay::new(first.position);
    let mut verdict = Verdict::Good;
    for place in places {
        if let Some(finding) = segment(place, window, &mut replay, out).await? {
            out.finding(&finding)?;
            verdict = Verdict::Bad;
            // What follows damage follows nothing that is known.
            break;
        }
    }
    Ok(Read {
        entries: replay.entries,
        verdict,
    })
}

/// Counts what one segment has.
#[derive(Default)]
struct Tally {
    records: u64,
    entries: u64,
}

async fn segment(
    place: &Place,
    window: Window,
    replay: &mut Replay,
    out: &mut Output,
) -> Result<Option<Finding>, Trouble> {
    let standing = place.standing().await?;
    let opened = place.disk.open(&place.name).await;
    let file = opened.map_err(|source| Trouble::io(&place.shown, source))?;
    let wrong = |error| Trouble::or_finding(&place.shown, error).map(Some);
    match segment::is_unborn(&file, place.position).await {
        Ok(true) if standing == Standing::Last => {
            let what = "holds nothing yet: its creation was interrupted, or is under way";
            out.line(
                || format!("{}: {what}", place.shown),
                || json!({ "kind": "unborn", "file": place.shown }),
            )?;
            return Ok(None);
        }
        Ok(_) => {}
        Err(error) => return wrong(error),
    }
    if let Err(error) = replay.begin(place.position) {
        return wrong(error);
    }
    let mut tally = Tally::default();
    let mut failed: Option<io::Error> = None;
    let mut each = |offset: u64, record: Record| {
        tally.records += 1;
        tally.entries += u64::from(matches!(record, Record::Entry(_)));
        if window.records == Records::Shown
            && window.has(&record)
            && let Err(error) = show(place, offset, &record, window.showing, out)
        {
            // The scan only ends early for an error of its own kind.
            let told = StorageError::io("standard output", "write")(error.kind().into());
            failed = Some(error);
            return Err(told);
        }
        replay.take(&place.name, offset, record)
    };
    let scanned = segment::scan(&file, place.position, standing, &mut each).await;
    match (failed, scanned) {
        (Some(error), _) => Err(error.into()),
        (None, Err(error)) => wrong(error),
        (None, Ok(scanned)) => {
            sum(place, &tally, replay.durable.tail, scanned, out)?;
            Ok(None)
        }
    }
}

fn show(
    place: &Place,
    offset: u64,
    record: &Record,
    showing: Showing,
    out: &mut Output,
) -> io::Result<()> {
    out.line(
        || format!("{offset:>10} {}", spelling::record(record, showing)),
        || spelling::record_json(&place.shown, offset, record, showing),
    )
}

/// What is to be said of a segment that is whole.
fn sum(
    place: &Place,
    tally: &Tally,
    tail: Zxid,
    scanned: Scanned,
    out: &mut Output,
) -> io::Result<()> {
    let Tally { records, entries } = tally;
    let (base, shown) = (place.position, &place.shown);
    let end = althing::storage::sector::offset(scanned.end);
    let (text, end_kind) = match (scanned.torn, scanned.sealed) {
        (true, _) => (
            "an interrupted write behind it, never acknowledged, which the next start cuts",
            "torn",
        ),
        (false, true) => ("sealed: all of it was synced", "sealed"),
        (false, false) => (
            "not sealed: its last group may not have been synced",
            "open",
        ),
    };
    out.line(
        || {
            format!(
                "{shown}: whole, {records} records, {entries} entries, after {base} to {tail}, \
                 {end} bytes, {text}"
            )
        },
        || {
            json!({
                "kind": "segment",
                "file": shown,
                "whole": true,
                "records": records,
                "entries": entries,
                "after": spelling::hex(base),
                "to": spelling::hex(tail),
                "bytes": end,
                "end": end_kind,
            })
        },
    )
}
