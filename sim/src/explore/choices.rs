//! What can happen next in a state, within the bounds of its rules.

use althing_core::ids::ServerId;
use althing_core::node::input::Timer;

use crate::explore::action::Action;
use crate::explore::bounds::{Kind, Rules, Saves};
use crate::explore::client::Phase;
use crate::explore::server::{Power, Server};
use crate::explore::world::World;

/// Everything that can happen next, in a fixed order.
pub fn choices(world: &World) -> Vec<Action> {
    let rules = world.rules();
    let may = |kind: Kind| world.spent().get(kind) < rules.allowed.get(kind);
    let mut choices = Vec::new();
    for index in world.wire().next(rules.order) {
        choices.push(Action::Deliver(index));
        if may(Kind::Drop) {
            choices.push(Action::Drop(index));
        }
        if may(Kind::Double) {
            choices.push(Action::Double(index));
        }
    }
    for server in world.servers() {
        match server.power {
            Power::On => of_server(server, rules, &may, &mut choices),
            Power::Off => choices.push(Action::Start(server.id)),
        }
    }
    of_clients(world, &may, &mut choices);
    choices
}

fn of_server(
    server: &Server,
    rules: &Rules,
    may: &dyn Fn(Kind) -> bool,
    choices: &mut Vec<Action>,
) {
    let id = server.id;
    let asked = server.disk.asked().len();
    if asked > 0 {
        choices.push(Action::Save(id));
        if may(Kind::Refusal) {
            choices.push(Action::Refuse(id));
        }
    }
    if server.making.is_some() {
        choices.push(Action::Keep(id));
        if may(Kind::Refusal) {
            choices.push(Action::Waste(id));
        }
    }
    if !server.reading.is_empty() {
        choices.push(Action::Read(id));
        if may(Kind::Miss) {
            choices.push(Action::Miss(id));
        }
    }
    if may(Kind::Restart) {
        let most = if rules.saves == Saves::Later {
            asked
        } else {
            0
        };
        choices.extend((0..=most).map(|kept| Action::Restart(id, kept)));
    }
    if may(Kind::Replace) {
        choices.push(Action::Replace(id));
    }
    for (_, timer) in server.node.armed() {
        let stands = timer != Timer::Election || rules.candidates.contains(&id);
        if stands && may(Kind::of_timer(timer)) {
            choices.push(Action::Fire(id, timer));
        }
    }
    if may(Kind::Wait) {
        choices.push(Action::Wait(id));
    }
    let others = || rules.all().filter(move |other| *other != id);
    if may(Kind::Suspicion) {
        choices.extend(others().map(|other| Action::Suspect(id, other)));
    }
    if may(Kind::Flap) {
        choices.extend(others().map(|other| Action::Flap(id, other)));
    }
    if may(Kind::Open) && rules.doors.contains(&id) {
        choices.push(Action::Open(id));
    }
    if may(Kind::Reconfigure) && server.leads().is_some() {
        choices.extend((0..rules.wishes.len()).map(|wish| Action::Reconfigure(id, wish)));
    }
    if may(Kind::Stop) && server.leads().is_some() {
        choices.push(Action::Stop(id));
    }
}

fn of_clients(world: &World, may: &dyn Fn(Kind) -> bool, choices: &mut Vec<Action>) {
    let rules = world.rules();
    let is_up = |server: &ServerId| world.server(*server).power == Power::On;
    for (index, client) in world.clients().iter().enumerate() {
        if client.can_ask() && may(Kind::Ask) {
            let wants = rules.wants.iter();
            choices.extend(wants.map(|want| Action::Ask(index, *want)));
        }
        if client.phase != Phase::Gone && may(Kind::Leave) {
            choices.push(Action::Leave(index));
        }
        let is_newest = world.clients()[index + 1..]
            .iter()
            .all(|later| later.session.is_none() || later.session != client.session);
        if may(Kind::Move) && is_newest && client.session.is_some() {
            let doors = rules.doors.iter().filter(|door| is_up(door));
            choices.extend(doors.map(|door| Action::Move(index, *door)));
        }
    }
}
