//! A state in words.

use crate::explore::server::{Power, Server};
use crate::explore::telling;
use crate::explore::world::World;

/// What every server is and has, and what is in flight.
pub fn show(world: &World) -> Vec<String> {
    let servers = world.servers().iter().map(|server| show_server(server));
    let packets = world.wire().packets().iter().map(|packet| {
        let text = telling::message(&packet.message);
        format!("  {}>{} {text}", packet.from, packet.to)
    });
    servers.chain(packets).collect()
}

fn show_server(server: &Server) -> String {
    if server.power == Power::Off {
        return format!("  {} is down, {}", server.id, show_log(server));
    }
    let (role, epoch) = server.role;
    let role = format!("{role:?}").to_lowercase();
    let (executed, _) = server.executed();
    let log = show_log(server);
    format!(
        "  {} {role}, epoch {epoch}, executed {executed}, {log}",
        server.id
    )
}

fn show_log(server: &Server) -> String {
    let log = &server.disk.wished;
    let entries = log.entries().iter().map(|logged| {
        let zxid = logged.mark.zxid;
        let unsaved = if server.disk.log.at(zxid) == Some(logged.mark) {
            ""
        } else {
            "?"
        };
        format!("{zxid}{unsaved}")
    });
    let entries: Vec<String> = entries.collect();
    let base = log.base().zxid;
    format!("log [{base}: {}]", entries.join(" "))
}
