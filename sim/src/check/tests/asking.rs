//! What the clients of the small service ask for, drawn at random.

use std::sync::Arc;

use althing_core::node::request::{Listing, Read, ReadPart, Request, Watching};
use althing_core::tree::acl::{Acl, Perms};
use althing_core::tree::data::Data;
use althing_core::tree::op::{ANY_VERSION, Create, Lifetime, Naming, Op, Telling};
use althing_core::tree::owner::Ttl;
use althing_core::tree::path::{Path, Place};
use althing_core::watch::{WatchMode, Whichever};

use crate::check::tests::service::Service;

impl Service {
    /// A path of the small tree that all clients share.
    pub fn path(&mut self) -> Path {
        let text = match self.below(12) {
            0 => "/".to_owned(),
            number @ 1..6 => format!("/{number}"),
            number => format!("/{}/{}", number % 5 + 1, self.below(4)),
        };
        Path::parse(&text).expect("a path")
    }

    fn version(&mut self) -> i32 {
        match self.below(3) {
            0 => self.below(3) as i32,
            _ => ANY_VERSION,
        }
    }

    fn data(&mut self) -> Option<Data> {
        match self.below(12) {
            0 => None,
            1 => Some(Data::default()),
            _ => Some(Data::from(format!("value {}", self.below(1000)).as_str())),
        }
    }

    fn acl(&mut self) -> Acl {
        match self.below(16) {
            0 => Acl::of(Perms::ALL, "auth", ""),
            1 => Acl::of(Perms::ALL, "ip", "10.0.0.1"),
            2 => Acl::of(Perms::WRITE, "world", "nobody"),
            _ => Acl::open(),
        }
    }

    fn op(&mut self) -> Op {
        match self.below(10) {
            0..4 => {
                let naming = match self.below(3) {
                    0 => Naming::Sequential,
                    _ => Naming::Exact,
                };
                let mut text = self.path().to_string();
                let place = match naming {
                    Naming::Exact if text == "/" => Place::exact("/1"),
                    Naming::Exact => Place::exact(&text),
                    Naming::Sequential => {
                        text += if text == "/" { "n-" } else { "/n-" };
                        Place::prefix(&text)
                    }
                };
                let lifetime = self.lifetime(naming);
                let telling = match (self.below(2), lifetime) {
                    (0, Lifetime::Ephemeral | Lifetime::Persistent) => Telling::Path,
                    _ => Telling::PathAndStat,
                };
                let place = place.expect("a place");
                let (data, acl) = (self.data(), self.acl());
                Op::Create(Create {
                    place,
                    data,
                    acl,
                    lifetime,
                    naming,
                    telling,
                })
            }
            4..6 => Op::Delete {
                path: self.path(),
                version: self.version(),
            },
            6..9 => Op::SetData {
                path: self.path(),
                data: self.data(),
                version: self.version(),
            },
            _ => Op::Check {
                path: self.path(),
                version: self.version(),
            },
        }
    }

    fn lifetime(&mut self, naming: Naming) -> Lifetime {
        match (self.below(8), naming) {
            (0..4, _) => Lifetime::Ephemeral,
            (4..6, _) => Lifetime::Persistent,
            (6, Naming::Exact) => Lifetime::Container,
            _ => {
                let ttl = Ttl::from_ms(u64::from(1 + self.below(3000)));
                Lifetime::Ttl(ttl.expect("a time to live"))
            }
        }
    }

    /// Anything that a client may ask of the tree.
    pub fn request(&mut self) -> Request {
        let watching = match self.below(2) {
            0 => Watching::No,
            _ => Watching::Once,
        };
        let path = self.path();
        match self.below(25) {
            20 => self.about_watches(path),
            21 => Request::Read(Read::GetEphemerals {
                prefix: Arc::from(path.as_str()),
            }),
            22 => Request::Read(Read::CountBelow { path }),
            23 => Request::Read(Read::WhoAmI),
            24 => Request::Read(Read::Several(vec![
                ReadPart::Data(path),
                ReadPart::Children(self.path()),
            ])),
            0..8 => Request::Write(self.op()),
            8..10 => Request::Multi((0..1 + self.below(4)).map(|_| self.op()).collect()),
            10 => {
                let (acl, version) = (self.acl(), self.version());
                Request::Write(Op::SetAcl { path, acl, version })
            }
            11..13 => Request::Read(Read::Exists { path, watching }),
            13..16 => Request::Read(Read::GetData { path, watching }),
            16..18 => {
                let listing = match self.below(2) {
                    0 => Listing::Names,
                    _ => Listing::NamesAndStat,
                };
                Request::Read(Read::GetChildren {
                    path,
                    watching,
                    listing,
                })
            }
            18 => Request::Read(Read::GetAcl { path }),
            _ => Request::Sync { path },
        }
    }

    /// A request about watches themselves.
    fn about_watches(&mut self, path: Path) -> Request {
        let mode = match self.below(2) {
            0 => WatchMode::Persistent,
            _ => WatchMode::Recursive,
        };
        let kinds = Whichever::from_number(1 + self.below(5) as i32).expect("five choices");
        match self.below(4) {
            0..2 => Request::AddWatch { path, mode },
            2 => Request::CheckWatches { path, kinds },
            _ => Request::RemoveWatches { path, kinds },
        }
    }
}
