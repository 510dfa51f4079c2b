//! What must hold in every state, beside what is checked as things happen.

use crate::explore::server::{Power, Server};
use crate::explore::violation::Violation;
use crate::explore::world::World;
use crate::quorums::decide;

/// Checks a state.
pub fn check(world: &World) -> Result<(), Violation> {
    log_matching(world)?;
    leader_completeness(world)?;
    state_machine_safety(world)?;
    durability(world)
}

/// Two logs that hold the same position are equal up to it.
fn log_matching(world: &World) -> Result<(), Violation> {
    for (index, a) in world.servers().iter().enumerate() {
        for b in &world.servers()[index + 1..] {
            let (log, other) = (&a.disk.wished, &b.disk.wished);
            let marks = log.entries().iter().map(|logged| logged.mark);
            let mut marks = marks.rev().chain([log.base()]);
            let shared = marks.find_map(|mark| Some((mark, other.at(mark.zxid)?)));
            if let Some((mark, other)) = shared
                && mark != other
            {
                return Err(Violation::new(
                    "I5 log matching",
                    format!("{} and {} differ up to {}", a.id, b.id, mark.zxid),
                ));
            }
        }
    }
    Ok(())
}

/// A leader has everything that was agreed in epochs up to its own.
fn leader_completeness(world: &World) -> Result<(), Violation> {
    for server in world.servers() {
        let Some(epoch) = server.leads() else {
            continue;
        };
        let agreed = world.ledger().agreed().iter().rev();
        let mut due = agreed.filter(|agreed| agreed.known_in <= epoch);
        if let Some(agreed) = due.next() {
            let log = &server.disk.wished;
            let zxid = agreed.mark.zxid;
            if zxid >= log.base().zxid && log.at(zxid) != Some(agreed.mark) {
                return Err(Violation::new(
                    "I5 completeness",
                    format!("{} leads {epoch} without {zxid}", server.id),
                ));
            }
        }
    }
    Ok(())
}

/// Two servers that have executed up to the same position have the same state.
fn state_machine_safety(world: &World) -> Result<(), Violation> {
    let running = |server: &&std::sync::Arc<Server>| server.power == Power::On;
    let mut states: Vec<_> = world
        .servers()
        .iter()
        .filter(running)
        .map(|server| (server.executed(), server.id))
        .collect();
    states.sort_unstable();
    for pair in states.windows(2) {
        let [((zxid, digest), a), ((other, differing), b)] = pair else {
            unreachable!("windows of two");
        };
        if zxid == other && digest != differing {
            return Err(Violation::new(
                "I5 state machine",
                format!("{a} and {b} differ in their state at {zxid}"),
            ));
        }
    }
    Ok(())
}

/// What was agreed stays on the disks of a quorum, and so does what clients were told.
fn durability(world: &World) -> Result<(), Violation> {
    let Some(agreed) = world.ledger().agreed().last() else {
        return Ok(());
    };
    if world.ledger().acknowledged() > agreed.mark.zxid {
        return Err(Violation::new(
            "I4 no rollback",
            format!("{} was acknowledged", world.ledger().acknowledged()),
        ));
    }
    // Whoever loses disks weakens the quorums of the past; then only leaders can tell.
    if world.ledger().disks_lost() > 0 {
        return Ok(());
    }
    let membership = world.ledger().membership();
    let holds = |id| world.server(id).disk.holds(agreed.mark);
    match membership.is_empty() || decide(membership, holds) {
        true => Ok(()),
        false => Err(Violation::new(
            "I3 durability",
            format!("{} is on the disks of no quorum any more", agreed.mark.zxid),
        )),
    }
}
