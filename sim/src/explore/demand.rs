//! Demands progress: when everything is mended, a leader is found and everybody catches up.

use althing_core::node::input::Timer;

use crate::explore::action::Action;
use crate::explore::lab::Lab;
use crate::explore::search::follow;
use crate::explore::server::Power;
use crate::explore::settle::next_to_settle;
use crate::explore::show::show;
use crate::explore::violation::Violation;
use crate::explore::world::World;

/// Rounds of timers until there must be a leader: in each one server stands for election.
const ROUNDS_MAX: usize = 90;
/// What a round may take.
const ACTIONS_MAX: usize = 10_000;

/// The name of this invariant.
pub const PROGRESS: &str = "L2 convergence";

/// Mends everything, lets the timers fire fairly, and demands a leader and equal logs.
pub fn demand(world: &World) -> Result<(), Violation> {
    let mut lab = Lab::forgetful();
    let mut world = world.clone().under(world.rules().unbounded());
    let servers: Vec<_> = world.rules().all().collect();
    for who in &servers {
        if world.server(*who).power == Power::Off {
            world = follow(&world, &Action::Start(*who), &mut lab)?;
        }
        for other in servers.iter().filter(|other| *other > who) {
            if !world.are_joined(*who, *other) {
                world = follow(&world, &Action::Join(*who, *other), &mut lab)?;
            }
        }
    }
    for round in 0..ROUNDS_MAX {
        world = settle(world, &mut lab)?;
        if is_well(&world) {
            return Ok(());
        }
        let stands = servers[round % servers.len()];
        for who in &servers {
            world = follow(&world, &Action::Wait(*who), &mut lab)?;
        }
        for who in &servers {
            let armed = world.server(*who).node.armed().map(|(_, timer)| timer);
            let due = armed.filter(|timer| match timer {
                Timer::Election => *who == stands,
                Timer::Beat => true,
                _ => false,
            });
            for timer in due.collect::<Vec<_>>() {
                if world
                    .server(*who)
                    .node
                    .armed()
                    .any(|(_, armed)| armed == timer)
                {
                    world = follow(&world, &Action::Fire(*who, timer), &mut lab)?;
                }
            }
        }
    }
    let states = show(&world).join("\n");
    let text = format!("everything is mended and nobody serves:\n{states}");
    Err(Violation::new(PROGRESS, text))
}

fn settle(mut world: World, lab: &mut Lab) -> Result<World, Violation> {
    for _ in 0..ACTIONS_MAX {
        let Some(action) = next_to_settle(&world) else {
            return Ok(world);
        };
        world = follow(&world, &action, lab)?;
    }
    Err(Violation::new(
        "bounded work",
        "the servers do not come to rest",
    ))
}

/// Does one lead, and has every member executed everything that it has?
fn is_well(world: &World) -> bool {
    let leader = world
        .servers()
        .iter()
        .filter(|server| server.leads().is_some());
    let Some(leader) = leader.max_by_key(|server| server.leads()) else {
        return false;
    };
    let last = leader.disk.wished.last().zxid;
    let members = world.ledger().membership().members();
    let mut members = members.iter().map(|member| world.server(*member));
    leader.leads() == Some(last.epoch()) && members.all(|server| server.executed().0 == last)
}
