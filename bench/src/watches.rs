//! Measures the table of watches: memory per watch, and the time to leave and to fire one.

use std::error::Error;
use std::hint::black_box;

use althing_core::ids::{ConnectionId, Zxid};
use althing_core::tree::acl::Acl;
use althing_core::tree::op::{Change, ChangeKind};
use althing_core::tree::path::Path;
use althing_core::watch::{WatchKind, Watches};

use crate::tree::{cpu_time, nanos_each, resident_bytes};

/// A load: so many connections watch so many znodes each, their own or the same.
struct Load {
    name: &'static str,
    connections: u64,
    each: u64,
    znodes: Znodes,
    kind: WatchKind,
}

#[derive(Clone, Copy)]
enum Znodes {
    Own,
    Shared,
}

const LOADS: [Load; 4] = [
    Load {
        name: "1,000 sessions with 1,000 znodes of their own each",
        connections: 1_000,
        each: 1_000,
        znodes: Znodes::Own,
        kind: WatchKind::Data,
    },
    Load {
        name: "1,000 sessions on the same 100 znodes",
        connections: 1_000,
        each: 100,
        znodes: Znodes::Shared,
        kind: WatchKind::Data,
    },
    Load {
        name: "100,000 sessions on one znode",
        connections: 100_000,
        each: 1,
        znodes: Znodes::Shared,
        kind: WatchKind::Data,
    },
    Load {
        name: "100,000 sessions on one znode, recursive",
        connections: 100_000,
        each: 1,
        znodes: Znodes::Shared,
        kind: WatchKind::Recursive,
    },
];

/// Prints a row for every load.
pub fn run() -> Result<(), Box<dyn Error>> {
    println!("| load | bytes per watch | left in | told in |");
    println!("|---|---|---|---|");
    // All are left before any is told: what one table gives back would be taken by the next.
    let mut left = Vec::new();
    for load in LOADS {
        let count = usize::try_from(load.connections * load.each)?;
        let before = resident_bytes()?;
        let began = cpu_time();
        let mut watches = Watches::new();
        for connection in 0..load.connections {
            for number in 0..load.each {
                let path = path(&load, connection, number)?;
                watches.leave(ConnectionId(connection), &path, load.kind);
            }
        }
        let nanos = nanos_each(cpu_time() - began, count);
        let bytes = resident_bytes()?.saturating_sub(before) as f64 / count as f64;
        assert!(watches.count() == count, "every watch was left");
        left.push((load, watches, bytes, nanos));
    }
    for (load, mut watches, bytes, nanos) in left {
        let began = cpu_time();
        let told = fire(&mut watches, &load)?;
        let fired = nanos_each(cpu_time() - began, told);
        println!(
            "| {} | {bytes:.0} | {nanos:.0} ns | {fired:.0} ns |",
            load.name
        );
    }
    Ok(())
}

fn path(load: &Load, connection: u64, number: u64) -> Result<Path, Box<dyn Error>> {
    let connection = match load.znodes {
        Znodes::Own => connection,
        Znodes::Shared => 0,
    };
    let text = format!("/services/payment/host-{connection:06}/setting-{number:06}");
    Ok(Path::parse(&text)?)
}

/// Changes every znode that the first connection watches; tells how many watches were told.
fn fire(watches: &mut Watches, load: &Load) -> Result<usize, Box<dyn Error>> {
    let mut told = 0;
    for number in 0..load.each {
        let change = Change {
            zxid: Zxid(1),
            path: path(load, 0, number)?,
            kind: ChangeKind::DataSet,
            acl: Acl::open(),
            parent_acl: None,
        };
        watches.fire(&change, |_, event, _| {
            black_box(event);
            told += 1;
        });
    }
    Ok(told)
}
