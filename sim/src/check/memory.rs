//! Whether anybody remembers: when the last disk that held any of the ensemble's log is lost, what
//! was agreed is gone from the world. The blank servers that are left cannot know that there was
//! an ensemble, and may found one. It owes nothing to the first one's clients, so a run is judged
//! up to there.

use std::borrow::Cow;
use std::collections::BTreeSet;

use althing_core::ids::Zxid;
use althing_core::node::event::Event;

use crate::history::{History, What};

/// The history up to the loss of the last disk that held anything; mostly all of it.
pub fn remembered(history: &History) -> Cow<'_, History> {
    let mut holds = BTreeSet::new();
    for (index, moment) in history.moments.iter().enumerate() {
        match &moment.what {
            What::Durable { server, .. }
            | What::Said {
                server,
                event: Event::Installed { .. },
            } => drop(holds.insert(*server)),
            What::Cut { server, after } if *after == Zxid::ZERO => drop(holds.remove(server)),
            What::DiskLost { server } if holds.remove(server) && holds.is_empty() => {
                let moments = history.moments[..=index].to_vec();
                return Cow::Owned(History { moments });
            }
            _ => {}
        }
    }
    Cow::Borrowed(history)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use althing_core::ids::ServerId;

    use super::*;
    use crate::history::Moment;

    /// How much of a script is judged: `d1` server 1 saves something, `l1` it loses its disk, `c1`
    /// it takes everything back.
    fn judged(script: &str) -> usize {
        let moments = script.split_whitespace().map(|word| {
            let server = ServerId(word[1..].parse().expect("a server"));
            let zxid = Zxid(1 << 32);
            let what = match &word[..1] {
                "d" => What::Durable { server, zxid },
                "l" => What::DiskLost { server },
                _ => What::Cut {
                    server,
                    after: Zxid::ZERO,
                },
            };
            let at = Duration::ZERO;
            Moment { at, what }
        });
        let moments = moments.collect();
        remembered(&History { moments }).moments.len()
    }

    #[test]
    fn one_disk_that_remembers_is_enough() {
        assert_eq!(judged("d1 d2 l1 d3 l2 l1"), 6);
        assert_eq!(judged("l1 d1 d2"), 3, "nothing was there to be forgotten");
    }

    #[test]
    fn with_the_last_disk_the_ensemble_ends() {
        assert_eq!(judged("d1 d2 l1 l2 d3 d3"), 4);
        assert_eq!(judged("d1 d2 c2 l1 d3"), 4, "server 2 holds nothing");
    }
}
