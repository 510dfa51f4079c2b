//! The commands of the admin interface, by the names that ZooKeeper gives them.

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(or $alias:literal)*,)*) => {
        /// A command.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Command {
            $($(#[$doc])* $variant,)*
        }

        impl Command {
            /// All, in the order in which they are listed.
            pub const ALL: &'static [Command] = &[$(Command::$variant),*];

            /// The command of this name.
            pub fn parse(name: &str) -> Option<Command> {
                match name {
                    $($name $(| $alias)* => Some(Command::$variant),)*
                    _ => None,
                }
            }

            /// Its first name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Command::$variant => $name,)*
                }
            }
        }
    };
}

commands! {
    /// How the server is configured.
    Configuration = "configuration" or "conf" or "config",
    /// Counts anew what is counted of each client.
    ConnectionStatReset = "connection_stat_reset" or "crst",
    /// The clients at length.
    Connections = "connections" or "cons",
    /// The bytes of the data directory.
    Dirs = "dirs",
    /// Sessions and ephemeral znodes.
    Dump = "dump",
    /// The process.
    Environment = "environment" or "env" or "envi",
    /// The digest of the tree.
    Hash = "hash",
    /// The servers that the configuration lists.
    InitialConfiguration = "initial_configuration" or "icfg",
    /// Is the server read-only?
    IsReadOnly = "is_read_only" or "isro",
    /// The newest snapshot.
    LastSnapshot = "last_snapshot" or "lsnp",
    /// Who leads.
    Leader = "leader" or "lead",
    /// What is counted and measured.
    Monitor = "monitor" or "mntr",
    /// The servers of the ensemble, as gossip knows them.
    Peers = "peers",
    /// Are you ok?
    Ruok = "ruok",
    /// The server in short.
    ServerStats = "server_stats" or "srvr",
    /// Counts anew what the server counts.
    StatReset = "stat_reset" or "srst",
    /// The server and its clients in short.
    Stats = "stats" or "stat",
    /// Who votes.
    VotingView = "voting_view",
    /// Watches in short.
    WatchSummary = "watch_summary" or "wchs",
    /// Watches by session.
    Watches = "watches" or "wchc",
    /// Watches by path.
    WatchesByPath = "watches_by_path" or "wchp",
    /// The phase of the protocol.
    ZabState = "zabstate",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_names() {
        for command in Command::ALL {
            assert_eq!(Command::parse(command.name()), Some(*command));
        }
        assert_eq!(Command::parse("mntr"), Some(Command::Monitor));
        assert_eq!(Command::parse("restore"), None, "it has a route of its own");
    }
}
