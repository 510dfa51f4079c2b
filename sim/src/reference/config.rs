//! The configuration of the ensemble, by ZooKeeper's rules: the reference's own reading of what
//! clients wish, and its own spelling of `/zookeeper/config`.

use std::collections::{BTreeMap, BTreeSet};

use althing_core::code::Code;
use althing_core::ids::{ServerId, Zxid};
use althing_core::membership::Membership;
use althing_core::store::roster::{Decision, Wish};
use althing_core::voters::Share;

/// The znode with the configuration.
pub const CONFIG: &str = "/zookeeper/config";

/// From this level of the semantics on there is something in it.
pub const LEVEL: u32 = 2;

/// A server's line: `host:port:port`, its role, and what follows the semicolon.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Line {
    ports: String,
    role: &'static str,
    client: String,
}

type Lines = BTreeMap<u8, Line>;

/// The group and the weight of each voter; nothing if there are no groups.
type Shares = BTreeMap<u8, (u32, u32)>;

fn shares_of(members: &Membership) -> Shares {
    let voters = members.incoming.as_ref().unwrap_or(&members.voters);
    let shares = voters.shares().iter();
    let share = |(server, share): (&ServerId, &Share)| (server.0, (share.group, share.weight));
    shares.map(share).collect()
}

fn lines_of(members: &Membership) -> Lines {
    let voters = members.incoming.as_ref().unwrap_or(&members.voters);
    let mut lines = Lines::new();
    for (server, at) in &members.addresses {
        let role = match (voters.contains(server), members.learners.contains(server)) {
            (true, _) => "participant",
            (false, true) => "observer",
            (false, false) => continue,
        };
        let (host, port) = (&at.peer.host, at.peer.port);
        // Some port, but another one.
        let other = if port > 64_535 {
            port - 1000
        } else {
            port + 1000
        };
        let election = at.election_port.unwrap_or(other);
        let client = at.client.map_or(String::new(), |client| {
            let any = std::net::Ipv4Addr::UNSPECIFIED.into();
            format!("{}:{}", client.address.unwrap_or(any), client.port)
        });
        let ports = format!("{host}:{port}:{election}");
        lines.insert(
            server.0,
            Line {
                ports,
                role,
                client,
            },
        );
    }
    lines
}

/// The text of these members, but for the version.
pub fn text_of(members: &Membership) -> String {
    let mut text = String::new();
    for (server, line) in lines_of(members) {
        text += &format!("server.{server}={}:{}", line.ports, line.role);
        if !line.client.is_empty() {
            text += &format!(";{}", line.client);
        }
        text.push('\n');
    }
    let shares = shares_of(members);
    let groups: BTreeSet<u32> = shares.values().map(|(group, _)| *group).collect();
    for group in groups {
        let within = shares.iter().filter(|(_, (of, _))| *of == group);
        let within: Vec<String> = within.map(|(server, _)| server.to_string()).collect();
        text += &format!("group.{group}={}\n", within.join(":"));
    }
    for (server, (_, weight)) in shares {
        text += &format!("weight.{server}={weight}\n");
    }
    text
}

/// The groups and weights in these pieces of a list, each of `voters` with its own; if none is
/// there, nobody has any.
fn shares_in(pieces: &[String], voters: &BTreeSet<u8>) -> Option<Shares> {
    let (mut groups, mut weights) = (BTreeMap::new(), BTreeMap::new());
    let mut numbers = BTreeSet::new();
    for piece in pieces {
        let (key, value) = piece.split_once('=')?;
        if let Some(number) = key.strip_prefix("group.") {
            let number: u32 = number.parse().ok()?;
            let is_new = numbers.insert(number);
            for server in value.split(':') {
                let server: u8 = server.parse().ok()?;
                if !is_new || groups.insert(server, number).is_some() {
                    return None;
                }
            }
        } else if let Some(server) = key.strip_prefix("weight.") {
            let (server, weight): (u8, u32) = (server.parse().ok()?, value.parse().ok()?);
            if weights.insert(server, weight).is_some() {
                return None;
            }
        }
    }
    if groups.is_empty() && weights.is_empty() {
        return Some(Shares::new());
    }
    let in_groups: BTreeSet<u8> = groups.keys().copied().collect();
    let weighs = |server: &u8| weights.get(server).copied().unwrap_or(1);
    let is_sound = in_groups == *voters
        && weights.keys().all(|server| voters.contains(server))
        && voters.iter().any(|server| weighs(server) > 0);
    let shares = groups.iter();
    let shares = shares.map(|(server, group)| (*server, (*group, weighs(server))));
    is_sound.then(|| shares.collect())
}

/// Reads `server.N=host:port:port[:role];[address:]port`; the whole list may leave the latter out.
fn line(text: &str, is_whole: bool) -> Option<(u8, Line)> {
    let (key, value) = text.trim().split_once('=')?;
    let server: u8 = key.trim().strip_prefix("server.")?.parse().ok()?;
    let (peer, client) = match value.split_once(';') {
        Some((peer, client)) => (peer, client.trim().to_owned()),
        None if is_whole => (value, String::new()),
        None => return None,
    };
    let parts: Vec<&str> = peer.trim().split(':').collect();
    let (host, port, election, role) = match parts[..] {
        [host, port, election] => (host, port, election, "participant"),
        [host, port, election, "participant"] => (host, port, election, "participant"),
        [host, port, election, "observer"] => (host, port, election, "observer"),
        _ => return None,
    };
    if server == 0 || host.is_empty() || port.parse::<u16>().is_err() {
        return None;
    }
    election.parse::<u16>().ok()?;
    let client = match client.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) => client,
    };
    let ports = format!("{host}:{port}:{election}");
    Some((
        server,
        Line {
            ports,
            role,
            client,
        },
    ))
}

/// The servers that a wish names, and their groups, if it can be understood.
fn wished(wish: &Wish, members: &Membership) -> Option<(Lines, Shares)> {
    let (mut lines, mut listed) = (Lines::new(), Vec::new());
    let pieces = |text: &str| -> Vec<String> {
        let pieces = text.split([',', '\n']).map(|piece| piece.trim().to_owned());
        pieces.filter(|piece| !piece.is_empty()).collect()
    };
    if let Some(all) = &wish.members {
        for piece in pieces(all) {
            if piece.starts_with("group.") || piece.starts_with("weight.") {
                listed.push(piece);
            } else if !piece.starts_with("version=") {
                let (server, line) = line(&piece, true)?;
                lines.insert(server, line);
            }
        }
    } else if !shares_of(members).is_empty() {
        // Nobody would know in which group who joins is.
        return None;
    } else {
        lines = lines_of(members);
        for piece in pieces(wish.leaving.as_deref().unwrap_or_default()) {
            let server: i64 = piece.parse().ok()?;
            lines.retain(|known, _| i64::from(*known) != server);
        }
        for piece in pieces(wish.joining.as_deref().unwrap_or_default()) {
            let (server, line) = line(&piece, false)?;
            lines.insert(server, line);
        }
    }
    let mut places: Vec<&str> = lines
        .values()
        .filter_map(|line| line.ports.rsplit_once(':').map(|(place, _)| place))
        .collect();
    places.sort_unstable();
    let stands_once = places.windows(2).all(|two| two[0] != two[1]);
    let votes = lines.iter().filter(|(_, line)| line.role == "participant");
    let voters: BTreeSet<u8> = votes.map(|(server, _)| *server).collect();
    let shares = shares_in(&listed, &voters)?;
    (voters.len() >= 2 && stands_once).then_some((lines, shares))
}

/// What may come of a wish: the refusal, or the members that the leader has granted. Whether a
/// quorum of them was there only the leader knew, so it may always have refused for that; and what
/// it granted must be what was wished, agreed by the old voters and the new.
pub fn judged(
    wish: &Wish,
    decision: &Decision,
    before: &Membership,
    version: Zxid,
    may_write: bool,
) -> Result<Membership, Code> {
    if before.members().len() < 2 {
        return Err(Code::Unimplemented);
    }
    if before.incoming.is_some() {
        return Err(Code::ReconfigInProgress);
    }
    if wish.version != -1 && wish.version != version.to_wire() {
        return Err(Code::BadVersion);
    }
    let (lines, shares) = wished(wish, before).ok_or(Code::BadArguments)?;
    if *decision == Decision::Refused(Code::NewConfigNoQuorum) {
        return Err(Code::NewConfigNoQuorum);
    }
    if !may_write {
        return Err(Code::NoAuth);
    }
    // Anything but the right members is an error that no leader tells.
    let Decision::Granted(after) = decision else {
        return Err(Code::DataInconsistency);
    };
    let votes = |server: &ServerId| lines.get(&server.0).map(|line| line.role);
    let voters = after.incoming.as_ref().unwrap_or(&after.voters);
    let is_right = lines_of(after) == lines
        && shares_of(after) == shares
        && after.voters == before.voters
        && after.incoming.as_ref() != Some(&before.voters)
        && voters
            .iter()
            .all(|server| votes(server) == Some("participant"))
        && after
            .learners
            .iter()
            .all(|server| votes(server) == Some("observer"))
        && before
            .directories
            .iter()
            .all(|(server, directory)| after.knows(*server, *directory));
    match is_right {
        true => Ok(after.clone()),
        false => Err(Code::DataInconsistency),
    }
}
