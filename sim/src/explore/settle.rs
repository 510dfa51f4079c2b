//! What is left to do when nothing new happens.

use crate::explore::action::Action;
use crate::explore::server::Power;
use crate::explore::world::World;

/// What waits to be done, disks first.
pub fn next_to_settle(world: &World) -> Option<Action> {
    let running = world
        .servers()
        .iter()
        .filter(|server| server.power == Power::On);
    for server in running {
        if !server.disk.asked().is_empty() {
            return Some(Action::Save(server.id));
        }
        if server.making.is_some() {
            return Some(Action::Keep(server.id));
        }
        if !server.reading.is_empty() {
            return Some(Action::Read(server.id));
        }
    }
    (!world.wire().is_empty()).then_some(Action::Deliver(0))
}
