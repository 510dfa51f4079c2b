//! Draws the rarer deeds of a random mixture.

use std::sync::Arc;
use std::time::Duration;

use althing_client::znode::CreateMode;
use althing_core::node::request::ReadPart;
use althing_core::tree::acl::{Acl, AclEntry, Identity, Perms};
use althing_core::tree::path::Path;
use althing_core::watch::{WatchMode, Whichever};

use crate::workload::deeds::{DIRECTORY, Dice};
use crate::workload::rare::Rare;

impl Dice {
    /// One of the rarer requests.
    pub(super) fn rare_deed(&mut self) -> Rare {
        match self.random.below(100) {
            0..18 => Rare::AddWatch(self.watched(), self.watch_mode()),
            18..21 => Rare::CreateWithAcl(self.path(), self.payload(), self.odd_acl()),
            21..23 => Rare::SetAcl(self.path(), self.odd_acl()),
            23..25 => Rare::Reads(self.reading()),
            25..35 => Rare::HasWatches(self.watched(), self.kinds()),
            35..45 => Rare::RemoveWatches(self.watched(), self.kinds()),
            45..58 => Rare::Ephemerals(self.listed()),
            58..68 => Rare::CountBelow(self.listed()),
            68..75 => Rare::WhoAmI,
            75..83 => {
                let parts = 1 + self.random.below(4);
                Rare::ReadSeveral((0..parts).map(|_| self.part()).collect())
            }
            83..86 => Rare::Check(self.path(), self.version()),
            86..90 => Rare::Set(self.of_container(), self.payload()),
            90..95 => Rare::Create(self.of_container(), self.payload(), self.passing()),
            95..97 => Rare::Create(self.prefix(), self.payload(), self.passing_number()),
            _ => Rare::Create(self.container(), self.payload(), CreateMode::Container),
        }
    }

    fn container(&mut self) -> String {
        format!("{DIRECTORY}/box-{}", self.random.below(3))
    }

    /// A child of a container that may be there; it does not stay long, so containers empty.
    fn of_container(&mut self) -> String {
        format!("{}/c-{}", self.container(), self.random.below(2))
    }

    fn passing(&mut self) -> CreateMode {
        CreateMode::PersistentWithTtl(self.ttl())
    }

    fn passing_number(&mut self) -> CreateMode {
        CreateMode::PersistentSequentialWithTtl(self.ttl())
    }

    fn ttl(&mut self) -> Duration {
        Duration::from_millis(1 + self.random.below(8_000))
    }

    fn reading(&mut self) -> &'static str {
        match self.random.chance(0.7) {
            true => "reads=linearizable",
            false => "reads=local",
        }
    }

    /// Lists of which some are refused, and some are shown with a hash left out.
    fn odd_acl(&mut self) -> Acl {
        let (scheme, id) = match self.random.below(8) {
            0 => ("digest", "alice:hash"),
            1 => ("digest", "no colon"),
            2 => ("ip", "10.0.0.1"),
            3 => ("ip", "::/0"),
            4 => ("ip", "10.0.0.0/33"),
            5 => ("world", "somebody"),
            6 => ("strange", ""),
            _ => return Acl(Arc::from([])),
        };
        let who = Identity::new(scheme, id);
        let odd = AclEntry {
            perms: Perms::ALL,
            who,
        };
        match self.random.chance(0.8) {
            // Everybody may read it and its list, and change what is no list.
            true => {
                let perms = Perms::READ | Perms::WRITE | Perms::CREATE | Perms::DELETE;
                let open = Acl::of(perms, "world", "anyone");
                Acl(open.0.iter().cloned().chain([odd]).collect())
            }
            false => Acl(Arc::from([odd])),
        }
    }

    /// A znode that is watched by somebody, often by the same client again: the directory, or one
    /// of the first.
    fn watched(&mut self) -> String {
        match self.random.below(3) {
            0 => DIRECTORY.to_owned(),
            1 => format!("{DIRECTORY}/z-{}", self.random.below(2)),
            _ => self.path(),
        }
    }

    fn watch_mode(&mut self) -> WatchMode {
        match self.random.chance(0.5) {
            true => WatchMode::Persistent,
            false => WatchMode::Recursive,
        }
    }

    fn kinds(&mut self) -> Whichever {
        let number = 1 + self.random.below(5) as i32;
        Whichever::from_number(number).expect("there are five choices")
    }

    fn part(&mut self) -> ReadPart {
        let path = Path::parse(&self.listed()).expect("what is listed is a path");
        match self.random.chance(0.5) {
            true => ReadPart::Data(path),
            false => ReadPart::Children(path),
        }
    }
}
