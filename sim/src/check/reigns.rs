//! Who led when, as servers say of themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::ids::{Epoch, ServerId};
use althing_core::node::event::Event;

use crate::history::{History, What};

/// One leader's time.
#[derive(Clone, Copy, Debug)]
pub struct Reign {
    /// Who.
    pub leader: ServerId,
    /// When it was elected.
    pub from: Duration,
    /// When it executed the transaction that opens its epoch, and began to serve.
    pub opened: Option<Duration>,
    /// When it knew that it leads no more.
    pub until: Option<Duration>,
}

impl Reign {
    /// When sessions began to have their full time-out.
    pub fn began(&self) -> Duration {
        self.opened.unwrap_or(self.from)
    }
}

/// All leaders of a run.
#[derive(Clone, Debug, Default)]
pub struct Reigns {
    by_epoch: BTreeMap<Epoch, Reign>,
}

impl Reigns {
    /// As a run tells.
    pub fn of(history: &History) -> Reigns {
        let mut reigns = Reigns::default();
        for moment in &history.moments {
            let at = moment.at;
            match &moment.what {
                What::Said { server, event } => match event {
                    Event::Elected { epoch, leader } if leader == server => {
                        let reign = Reign {
                            leader: *leader,
                            from: at,
                            opened: None,
                            until: None,
                        };
                        reigns.by_epoch.entry(*epoch).or_insert(reign);
                    }
                    Event::EpochOpened { epoch } => {
                        if let Some(reign) = reigns.by_epoch.get_mut(epoch)
                            && reign.leader == *server
                        {
                            reign.opened = reign.opened.or(Some(at));
                        }
                    }
                    Event::Deposed { .. } | Event::Followed { .. } => reigns.ended(*server, at),
                    _ => {}
                },
                What::Killed { server } | What::Stopped { server, .. } => {
                    reigns.ended(*server, at);
                }
                _ => {}
            }
        }
        reigns
    }

    fn ended(&mut self, server: ServerId, at: Duration) {
        let mut reigns = self.by_epoch.values_mut().rev();
        if let Some(reign) = reigns.find(|reign| reign.leader == server) {
            reign.until = reign.until.or(Some(at));
        }
    }

    /// The leader of an epoch.
    pub fn of_epoch(&self, epoch: Epoch) -> Option<&Reign> {
        self.by_epoch.get(&epoch)
    }

    /// The leaders in the order of their epochs.
    pub fn all(&self) -> impl Iterator<Item = (Epoch, &Reign)> {
        self.by_epoch.iter().map(|(epoch, reign)| (*epoch, reign))
    }

    /// Did this server believe then that it leads?
    pub fn leads(&self, server: ServerId, at: Duration) -> bool {
        let reigns = self.by_epoch.values();
        let mut of_server = reigns.filter(|reign| reign.leader == server);
        of_server.any(|reign| reign.from <= at && reign.until.is_none_or(|until| at <= until))
    }
}
