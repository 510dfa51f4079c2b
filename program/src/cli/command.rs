//! The commands of the shell: zkCli's, as far as the client can do them.

use clap::{Args, Parser};

/// A command and its arguments.
#[derive(Clone, PartialEq, Eq, Debug, Parser)]
#[command(
    multicall = true,
    disable_help_subcommand = true,
    infer_subcommands = false
)]
#[command(override_usage = "COMMAND [ARGUMENTS]")]
pub enum Command {
    /// List the children of a znode
    #[command(name = "ls")]
    Ls(Ls),
    /// Create a znode; the data may be left out
    #[command(name = "create")]
    Create(Create),
    /// Show the data of a znode
    #[command(name = "get")]
    Get(Get),
    /// Replace the data of a znode
    #[command(name = "set")]
    Set(Set),
    /// Delete a znode that has no children
    #[command(name = "delete")]
    Delete(Delete),
    /// Delete a znode and everything below it, in several transactions
    #[command(name = "deleteall", alias = "rmr")]
    DeleteAll(DeleteAll),
    /// Show the Stat of a znode
    #[command(name = "stat")]
    Stat(Stat),
    /// Leave a watch that stays; a conversation tells all that it sees
    #[command(name = "addWatch")]
    AddWatch(AddWatch),
    /// Remove watches of this session from a znode
    #[command(name = "removewatches")]
    RemoveWatches(RemoveWatches),
    /// Show the access control list of a znode
    #[command(name = "getAcl")]
    GetAcl(GetAcl),
    /// Replace the access control list of a znode
    #[command(name = "setAcl")]
    SetAcl(SetAcl),
    /// Limit the znodes and the bytes of data below a path
    #[command(name = "setquota")]
    SetQuota(SetQuota),
    /// Show the limits of a path, and what is there
    #[command(name = "listquota")]
    ListQuota {
        /// The znode at the top
        path: String,
    },
    /// Remove the limits of a path, or one of them
    #[command(name = "delquota")]
    DelQuota(DelQuota),
    /// List the ephemeral znodes of this session
    #[command(name = "getEphemerals")]
    GetEphemerals {
        /// Only those whose paths begin so
        #[arg(default_value = "/")]
        path: String,
    },
    /// Count the znodes below a znode
    #[command(name = "getAllChildrenNumber")]
    GetAllChildrenNumber {
        /// The znode
        path: String,
    },
    /// Show as whom this session has authenticated
    #[command(name = "whoami")]
    WhoAmI,
    /// Show the configuration of the ensemble
    #[command(name = "config")]
    Config(Config),
    /// Change the members of the ensemble
    #[command(name = "reconfig")]
    Reconfig(Reconfig),
    /// Wait until the server knows everything that was written before
    #[command(name = "sync")]
    Sync {
        /// Any path
        #[arg(default_value = "/")]
        path: String,
    },
    /// Take on an identity
    #[command(name = "addauth")]
    AddAuth {
        /// digest, for example
        scheme: String,
        /// user:password, for digest
        #[arg(default_value = "")]
        credential: String,
    },
    /// Open a new session, at other servers if they are given
    #[command(name = "connect")]
    Connect {
        /// HOST:PORT, separated by commas
        #[arg(value_delimiter = ',')]
        server: Vec<String>,
    },
    /// End the session; `connect` opens another one
    #[command(name = "close")]
    Close,
    /// Show the session and the server's position
    #[command(name = "session")]
    Session,
    /// Show the commands of this conversation, with their numbers
    #[command(name = "history")]
    History,
    /// Do the command with this number again
    #[command(name = "redo")]
    Redo {
        /// As `history` shows it
        number: usize,
    },
    /// Show the version of this program
    #[command(name = "version")]
    Version,
    /// Leave
    #[command(name = "quit", alias = "exit")]
    Quit,
}

/// `ls`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Ls {
    /// Show the Stat, too
    #[arg(short)]
    pub stat: bool,
    /// Wait for a change of the children
    #[arg(short, conflicts_with = "recursive")]
    pub watch: bool,
    /// Show all znodes below, with their paths
    #[arg(short = 'R')]
    pub recursive: bool,
    /// The znode
    #[arg(default_value = "/")]
    pub path: String,
}

/// `create`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Create {
    /// The server adds a number to the name
    #[arg(short)]
    pub sequential: bool,
    /// It goes with the session, which ends with a one-shot command
    #[arg(short)]
    pub ephemeral: bool,
    /// Create what is missing above it, without data
    #[arg(short)]
    pub parents: bool,
    /// The znode
    pub path: String,
    /// Its data
    #[arg(default_value = "", allow_hyphen_values = true)]
    pub data: String,
    /// Its access control list: world:anyone:cdrwa, several separated by commas
    pub acl: Option<String>,
}

/// `get`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Get {
    /// Show the Stat, too
    #[arg(short)]
    pub stat: bool,
    /// Wait for a change of the data
    #[arg(short)]
    pub watch: bool,
    /// The znode
    pub path: String,
}

/// `set`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Set {
    /// Show the Stat
    #[arg(short)]
    pub stat: bool,
    /// Only at this version of the data
    #[arg(short, value_name = "VERSION")]
    pub version: Option<i32>,
    /// The znode
    pub path: String,
    /// Its new data
    #[arg(allow_hyphen_values = true)]
    pub data: String,
}

/// `delete`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Delete {
    /// Only at this version of the data
    #[arg(short, value_name = "VERSION")]
    pub version: Option<i32>,
    /// The znode
    pub path: String,
}

/// `deleteall`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct DeleteAll {
    /// How many znodes go in one transaction
    #[arg(short, value_name = "NUMBER", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// The znode at the top
    pub path: String,
}

/// `stat`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Stat {
    /// Wait until it is created or deleted, or its data is set
    #[arg(short)]
    pub watch: bool,
    /// The znode
    pub path: String,
}

/// `addWatch`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct AddWatch {
    /// Of the znode alone, or of everything below it, too
    #[arg(
        short,
        value_enum,
        ignore_case = true,
        default_value = "PERSISTENT_RECURSIVE"
    )]
    pub mode: Mode,
    /// The znode; it need not be there
    pub path: String,
}

/// How far a watch that stays sees, in zkCli's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Mode {
    /// The znode, its data and its set of children.
    #[value(name = "PERSISTENT")]
    Persistent,
    /// The znode and everything below it, and their data.
    #[value(name = "PERSISTENT_RECURSIVE")]
    Recursive,
}

/// `removewatches`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[command(group = clap::ArgGroup::new("kind"))]
pub struct RemoveWatches {
    /// Those left by `ls -w`
    #[arg(short = 'c', group = "kind")]
    pub children: bool,
    /// Those left by `get -w` and `stat -w`
    #[arg(short = 'd', group = "kind")]
    pub data: bool,
    /// Those of every kind, as without a letter
    #[arg(short = 'a', group = "kind")]
    pub all: bool,
    /// Those left by `addWatch -m PERSISTENT`
    #[arg(short = 'p', group = "kind")]
    pub persistent: bool,
    /// Those left by `addWatch -m PERSISTENT_RECURSIVE`
    #[arg(short = 'r', group = "kind")]
    pub recursive: bool,
    /// The znode
    pub path: String,
}

/// `getAcl`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct GetAcl {
    /// Show the Stat, too
    #[arg(short)]
    pub stat: bool,
    /// The znode
    pub path: String,
}

/// `setAcl`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct SetAcl {
    /// Show the Stat
    #[arg(short)]
    pub stat: bool,
    /// Only at this version of the list
    #[arg(short, value_name = "VERSION", conflicts_with = "recursive")]
    pub version: Option<i32>,
    /// All znodes below it, too
    #[arg(short = 'R')]
    pub recursive: bool,
    /// The znode
    pub path: String,
    /// The list: world:anyone:cdrwa, several separated by commas
    pub acl: String,
}

/// `setquota`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[command(group = clap::ArgGroup::new("limit").required(true))]
pub struct SetQuota {
    /// More znodes than this are told of in the servers' logs
    #[arg(short = 'n', value_name = "NUMBER", group = "limit")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=i32::MAX as u64))]
    pub count: Option<u64>,
    /// More bytes of data than this are told of in the servers' logs
    #[arg(short = 'b', value_name = "BYTES", group = "limit")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub bytes: Option<u64>,
    /// More znodes than this are refused
    #[arg(short = 'N', value_name = "NUMBER", group = "limit")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=i32::MAX as u64))]
    pub count_hard: Option<u64>,
    /// More bytes of data than this are refused
    #[arg(short = 'B', value_name = "BYTES", group = "limit")]
    #[arg(value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub bytes_hard: Option<u64>,
    /// The znode at the top, which counts too
    pub path: String,
}

/// `delquota`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[command(group = clap::ArgGroup::new("limit"))]
pub struct DelQuota {
    /// Only the number of znodes that is told of
    #[arg(short = 'n', group = "limit")]
    pub count: bool,
    /// Only the bytes that are told of
    #[arg(short = 'b', group = "limit")]
    pub bytes: bool,
    /// Only the number of znodes beyond which is refused
    #[arg(short = 'N', group = "limit")]
    pub count_hard: bool,
    /// Only the bytes beyond which is refused
    #[arg(short = 'B', group = "limit")]
    pub bytes_hard: bool,
    /// The znode at the top
    pub path: String,
}

/// `config`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Config {
    /// Only the version, and where clients are served
    #[arg(short = 'c')]
    pub for_clients: bool,
    /// Show the Stat, too
    #[arg(short)]
    pub stat: bool,
    /// Wait until it changes
    #[arg(short)]
    pub watch: bool,
}

/// `reconfig`
#[derive(Clone, PartialEq, Eq, Debug, Args)]
#[command(group = clap::ArgGroup::new("wanted").required(true).multiple(true))]
pub struct Reconfig {
    /// Show the Stat, too
    #[arg(short)]
    pub stat: bool,
    /// Only from this version of the configuration, in hexadecimal digits
    #[arg(short, value_name = "VERSION", value_parser = hexadecimal)]
    pub version: Option<u64>,
    /// A file with all servers
    #[arg(long, value_name = "FILE", group = "wanted", conflicts_with_all = ["members", "add", "remove"])]
    pub file: Option<std::path::PathBuf>,
    /// All servers: server.1=host:port:port[:role];port, several separated by commas
    #[arg(long, group = "wanted", conflicts_with_all = ["add", "remove"])]
    pub members: Option<String>,
    /// Servers that join, or have another address or role from here on
    #[arg(long, value_name = "SERVERS", group = "wanted")]
    pub add: Vec<String>,
    /// Numbers of servers that leave
    #[arg(long, value_name = "NUMBERS", group = "wanted")]
    pub remove: Vec<String>,
}

fn hexadecimal(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|error| error.to_string())
}

/// Reads a command from its words. Options that zkCli writes with one dash may be written so.
///
/// # Errors
/// What is wrong with it.
pub fn read(words: &[String]) -> Result<Command, clap::Error> {
    let is_reconfig = words.first().is_some_and(|word| word == "reconfig");
    let as_clap_reads = |word: &String| match word.as_str() {
        "-file" | "-members" | "-add" | "-remove" if is_reconfig => format!("-{word}"),
        _ => word.clone(),
    };
    Command::try_parse_from(words.iter().map(as_clap_reads))
}

/// The names of all commands.
pub fn names() -> Vec<String> {
    use clap::CommandFactory as _;
    let all = Command::command();
    let mut names: Vec<String> = all
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    names.push("help".to_owned());
    names.sort();
    names
}

/// What `help` says: all commands, or one of them.
pub fn help(of: Option<&str>) -> Option<String> {
    use clap::CommandFactory as _;
    let mut all = Command::command();
    let Some(name) = of else {
        let mut text = String::new();
        for command in all.get_subcommands() {
            let (name, about) = (command.get_name(), command.get_about());
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("{name:<10} {about}\n"));
        }
        text.push_str("`help COMMAND` tells more of one\n");
        return Some(text);
    };
    let command = all.find_subcommand_mut(name)?;
    Some(command.render_long_help().to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::words;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        read(&words::split(line).expect("words"))
    }

    #[test]
    fn commands_are_read_as_zkcli_writes_them() {
        Command::command().debug_assert();
        let read = parse("create -s -e /a 'two words' digest:u:h:cdrwa").expect("a command");
        let Command::Create(create) = read else {
            panic!("{read:?}")
        };
        assert!(create.sequential && create.ephemeral);
        assert_eq!((&*create.path, &*create.data), ("/a", "two words"));
        assert_eq!(create.acl.as_deref(), Some("digest:u:h:cdrwa"));
        let read = parse("set -v 3 /a -5").expect("a command");
        let Command::Set(set) = read else {
            panic!("{read:?}")
        };
        assert_eq!((set.version, &*set.data), (Some(3), "-5"));
        let read = parse("ls -R /").expect("a command");
        assert!(matches!(
            read,
            Command::Ls(Ls {
                recursive: true,
                ..
            })
        ));
        assert!(parse("exit").is_ok() && parse("rmr /a").is_ok());
        let read = parse("reconfig -v 1000000ab -add server.4=d:1:2;5 -remove 1,2");
        let Ok(Command::Reconfig(reconfig)) = read else {
            panic!("{read:?}")
        };
        assert_eq!(reconfig.version, Some(0x1_0000_00ab));
        assert_eq!(
            (&*reconfig.add, &*reconfig.remove),
            (
                &["server.4=d:1:2;5".to_owned()][..],
                &["1,2".to_owned()][..]
            )
        );
        assert!(parse("reconfig -members server.1=a:1:2").is_ok() && parse("config -c").is_ok());
        let read = parse("setquota -N 5 /a").expect("a command");
        let Command::SetQuota(quota) = read else {
            panic!("{read:?}")
        };
        assert_eq!((quota.count_hard, quota.count), (Some(5), None));
        assert!(parse("setquota -B 0 /a").is_ok() && parse("delquota /a").is_ok());
        assert!(parse("delquota -b /a").is_ok() && parse("listquota /a").is_ok());
        for line in [
            "get",
            "setquota /a",
            "setquota -n 0 /a",
            "setquota -b -1 /a",
            "setquota -n 1 -N 2 /a",
            "delquota -n -b /a",
            "listquota",
            "set /a",
            "lss /",
            "ls -w -R /",
            "delete -v x /a",
            "reconfig",
            "reconfig -members a -add b",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_knows_every_command() {
        for name in names() {
            assert!(name == "help" || help(Some(&name)).is_some(), "{name}");
        }
        assert!(help(None).expect("all").contains("deleteall"));
        assert!(help(Some("nonsense")).is_none());
    }
}
