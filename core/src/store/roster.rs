//! ZooKeeper's dynamic configuration: the text of `/zookeeper/config`, and what a client's
//! `reconfig` makes of the servers that it lists.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use crate::code::Code;
use crate::ids::{ServerId, Zxid};
use crate::listed::{self, Address, ListedServer, PeerRole};
use crate::membership::Membership;
use crate::voters::{Groups, Voters};

/// Stands for whichever configuration there is.
pub const ANY_CONFIG: i64 = -1;

/// Most bytes of each text of a wish: lines for every server that there can be, and far more than
/// anybody's names need.
pub const WISH_BYTES_MAX: usize = 64 * 1024;

/// What a client asks for with ZooKeeper's `reconfig`, as it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Servers that join, or have another address or role from here on: `server.N=...`, separated
    /// by commas.
    pub joining: Option<Arc<str>>,
    /// Numbers of the servers that leave, separated by commas.
    pub leaving: Option<Arc<str>>,
    /// All servers, separated by commas or on lines of their own. If it is there, who joins or
    /// leaves is not looked at.
    pub members: Option<Arc<str>>,
    /// Only if the configuration has this version, or [`ANY_CONFIG`].
    pub version: i64,
}

impl Wish {
    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let texts = [&self.joining, &self.leaving, &self.members];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

/// What the leader made of a wish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing yet: it is on its way to the leader.
    Open,
    /// It is refused, and nothing changes.
    Refused(Code),
    /// These are the members from here on.
    Granted(Membership),
}

/// The servers of a configuration, each with its address and role.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    servers: BTreeMap<ServerId, ListedServer>,
    /// Those of them that vote, perhaps in groups.
    pub voters: Voters,
}

impl Roster {
    /// Those that are members when a change that has begun is done.
    pub fn of(membership: &Membership) -> Roster {
        Roster {
            servers: membership.listed(),
            voters: membership.wanted_voters().clone(),
        }
    }

    /// A line for each, and for groups and weights, as ZooKeeper writes it, without the version.
    pub fn lines(&self) -> String {
        let line = |(id, server): (&ServerId, &ListedServer)| format!("server.{id}={server}\n");
        let servers: String = self.servers.iter().map(line).collect();
        servers + &self.voters.group_lines()
    }

    /// The whole text of the configuration that the transaction at `zxid` brought.
    pub fn text(&self, zxid: Zxid) -> String {
        format!("{}version={:x}", self.lines(), zxid.0)
    }

    /// Those that have this role.
    pub fn with(&self, role: PeerRole) -> BTreeSet<ServerId> {
        let all = self.servers.iter();
        all.filter(|(_, server)| server.role == role)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Where each of them is.
    pub fn addresses(&self) -> impl Iterator<Item = (ServerId, Address)> {
        let all = self.servers.iter();
        all.map(|(id, server)| (*id, server.at.clone()))
    }

    /// The servers that are wished for.
    ///
    /// # Errors
    /// `BadArguments` if a text cannot be understood, a server that joins has no port for clients
    /// (ZooKeeper wants all three), two servers have one address, the groups do not fit the voters,
    /// or fewer than two would vote; also if servers are to join or leave and there are groups: as
    /// in ZooKeeper, only a whole list says in which.
    pub fn wanted(&self, wish: &Wish) -> Result<Roster, Code> {
        let wanted = match &wish.members {
            Some(members) => Roster::whole(members)?,
            None => self.changed(wish)?,
        };
        match wanted.voters.len() >= 2 {
            true => Ok(wanted),
            false => Err(Code::BadArguments),
        }
    }

    /// All servers, as they are listed.
    fn whole(members: &str) -> Result<Roster, Code> {
        let (mut roster, mut groups) = (Roster::default(), Groups::default());
        for line in items(members, [',', '\n']) {
            let (key, value) = line.split_once('=').ok_or(Code::BadArguments)?;
            let (key, value) = (key.trim(), value.trim());
            let taken = match key.split_once('.') {
                Some(("group", number)) => groups.put_group(number, value),
                Some(("weight", server)) => groups.put_weight(server, value),
                // The version of what was copied here is ZooKeeper's affair, not the wisher's.
                None if key == "version" => Ok(()),
                _ => {
                    let (id, server) = listed_in(line)?;
                    roster.put(id, server)?;
                    Ok(())
                }
            };
            taken.map_err(|_| Code::BadArguments)?;
        }
        let voters = groups.settle(roster.with(PeerRole::Voter));
        roster.voters = voters.map_err(|_| Code::BadArguments)?;
        Ok(roster)
    }

    fn changed(&self, wish: &Wish) -> Result<Roster, Code> {
        if !self.voters.shares().is_empty() {
            return Err(Code::BadArguments);
        }
        let mut roster = self.clone();
        for leaving in items(wish.leaving.as_deref().unwrap_or(""), [',', ',']) {
            // Whoever has a number that no server can have is no member either.
            let number: i64 = leaving.parse().map_err(|_| Code::BadArguments)?;
            if let Ok(number) = u8::try_from(number) {
                roster.servers.remove(&ServerId(number));
            }
        }
        for joining in items(wish.joining.as_deref().unwrap_or(""), [',', ',']) {
            let (id, server) = listed_in(joining)?;
            if server.at.client.is_none() || server.at.election_port.is_none() {
                return Err(Code::BadArguments);
            }
            roster.put(id, server)?;
        }
        roster.voters = Voters::from(roster.with(PeerRole::Voter));
        Ok(roster)
    }

    fn put(&mut self, id: ServerId, server: ListedServer) -> Result<(), Code> {
        let mut others = self.servers.iter().filter(|(other, _)| **other != id);
        if others.any(|(_, other)| other.at.collides(&server.at)) {
            return Err(Code::BadArguments);
        }
        self.servers.insert(id, server);
        Ok(())
    }
}

/// What stands between separators, but for blank pieces.
fn items(text: &str, separators: [char; 2]) -> impl Iterator<Item = &str> {
    let all = text.split(separators).map(str::trim);
    all.filter(|item| !item.is_empty())
}

/// Reads `server.N=...`.
fn listed_in(line: &str) -> Result<(ServerId, ListedServer), Code> {
    let (key, server) = line.split_once('=').ok_or(Code::BadArguments)?;
    let id = key
        .trim()
        .strip_prefix("server.")
        .ok_or(Code::BadArguments)?;
    let id = listed::id(id).map_err(|_| Code::BadArguments)?;
    let server = ListedServer::parse(server.trim()).map_err(|_| Code::BadArguments)?;
    Ok((id, server))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = "server.1=a:1:2;5\nserver.2=b:1:2;5\nserver.3=c:1:2:observer;5";

    fn three() -> Roster {
        Roster::whole(THREE).expect("three servers")
    }

    fn wish(joining: &str, leaving: &str) -> Wish {
        Wish {
            joining: Some(Arc::from(joining)),
            leaving: Some(Arc::from(leaving)),
            members: None,
            version: ANY_CONFIG,
        }
    }

    fn whole(members: &str) -> Wish {
        Wish {
            members: Some(Arc::from(members)),
            // Not looked at: the members are listed.
            ..wish("nonsense", "nonsense")
        }
    }

    #[test]
    fn the_text_is_zookeepers() {
        assert_eq!(
            three().text(Zxid(0x1_0000_00ab)),
            "server.1=a:1:2:participant;0.0.0.0:5\n\
             server.2=b:1:2:participant;0.0.0.0:5\n\
             server.3=c:1:2:observer;0.0.0.0:5\n\
             version=1000000ab"
        );
        assert_eq!(
            Roster::default().text(Zxid(0x1_0000_0000)),
            "version=100000000"
        );
    }

    #[test]
    fn servers_join_leave_move_and_change_their_roles() {
        let joined = three().wanted(&wish("server.4=d:1:2:observer;5,server.3=c:1:2;5", " 2 ,9"));
        assert_eq!(
            joined.expect("a good wish").lines(),
            "server.1=a:1:2:participant;0.0.0.0:5\n\
             server.3=c:1:2:participant;0.0.0.0:5\n\
             server.4=d:1:2:observer;0.0.0.0:5\n"
        );
        let moved = three().wanted(&wish("server.2=b2:1:2;6", ""));
        assert!(
            moved
                .expect("a good wish")
                .lines()
                .contains("server.2=b2:1:2:participant")
        );
        let text = three().text(Zxid(7));
        let copied = three().wanted(&whole(&text)).expect("a good wish");
        assert_eq!(copied.lines(), three().lines(), "a copy of the text");
        let two = three().wanted(&whole("server.1=a:1:2,server.3=c:1:2"));
        assert_eq!(
            two.expect("a good wish").voters,
            [1, 3].map(ServerId).into()
        );
    }

    #[test]
    fn groups_and_weights_come_with_the_whole_list_and_go_with_it() {
        let grouped = whole(
            "weight.2=0,group.2=2,server.1=a:1:2;5,server.2=b:1:2;5,server.3=c:1:2:observer;5,\
             group.7=1",
        );
        let grouped = three().wanted(&grouped).expect("a good wish");
        let lines = "server.1=a:1:2:participant;0.0.0.0:5\n\
                     server.2=b:1:2:participant;0.0.0.0:5\n\
                     server.3=c:1:2:observer;0.0.0.0:5\n\
                     group.2=2\n\
                     group.7=1\n\
                     weight.1=1\n\
                     weight.2=0\n";
        assert_eq!(grouped.lines(), lines);
        let copied = grouped.wanted(&whole(&grouped.text(Zxid(7))));
        assert_eq!(copied.expect("a good wish").lines(), lines, "a copy");
        let joins = wish("server.4=d:1:2:observer;5", "");
        assert_eq!(grouped.wanted(&joins), Err(Code::BadArguments));
        assert_eq!(grouped.wanted(&wish("", "3")), Err(Code::BadArguments));
        let plain = grouped.wanted(&whole(THREE)).expect("a good wish");
        assert_eq!(plain, three());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in [
            wish("server.4=d:1:2", ""),
            wish("server.4=d:1;5", ""),
            wish("4=d:1:2;5", ""),
            wish("server.4", ""),
            wish("server.0=d:1:2;5", ""),
            wish("server.4=d:1:2:boss;5", ""),
            wish("server.4=A:1:9;6", ""),
            wish("", "two"),
            wish("", "1"),
            whole("server.1=a:1:2"),
            whole("server.1=a:1:2,server.2=a:1:3"),
            whole("server.1=a:1:2,server.2=b:1:2,group.1=1"),
            whole("server.1=a:1:2,server.2=b:1:2,weight.1=1"),
            whole("server.1=a:1:2,server.2=b:1:2,group.1=1:2,group.2=2"),
            whole("server.1=a:1:2,server.2=b:1:2,group.1=1:2,weight.2=heavy"),
            whole("server.1=a:1:2,server.2=b:1:2,group=1:2"),
            whole(""),
        ] {
            assert_eq!(three().wanted(&wrong), Err(Code::BadArguments), "{wrong:?}");
        }
    }
}
