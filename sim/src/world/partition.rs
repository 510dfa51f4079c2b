//! A cut between servers, of any shape, which stays or comes and goes.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::plan::Direction;
use crate::world::agenda::Agenda;
use crate::world::connection::MachineId;
use crate::world::net::Net;

/// The ways that a cut between the pairs stops; `direction` is seen from the first of each.
pub fn ways(pairs: &[(MachineId, MachineId)], direction: Direction) -> Vec<(MachineId, MachineId)> {
    let mut ways = Vec::new();
    for (one, other) in pairs {
        if direction != Direction::To {
            ways.push((*one, *other));
        }
        if direction != Direction::From {
            ways.push((*other, *one));
        }
    }
    ways
}

/// Every pair of one of these and one of those.
pub fn between<T: Copy>(these: &[T], those: &[T]) -> Vec<(T, T)> {
    let with = |one: &T| {
        let one = *one;
        those.iter().map(move |other| (one, *other))
    };
    these.iter().flat_map(with).collect()
}

/// Every pair of one of the lower half and one of the upper, if all but the bridge are given.
pub fn bridged<T: Copy>(others: &[T]) -> Vec<(T, T)> {
    let (lower, upper) = others.split_at(others.len() / 2);
    between(lower, upper)
}

/// Every pair that are no neighbours in the ring of all.
pub fn across<T: Copy>(all: &[T]) -> Vec<(T, T)> {
    let mut pairs = Vec::new();
    for (place, one) in all.iter().enumerate() {
        for (other_place, other) in all.iter().enumerate().skip(place + 2) {
            let close_the_ring = place == 0 && other_place == all.len() - 1;
            if !close_the_ring {
                pairs.push((*one, *other));
            }
        }
    }
    pairs
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Cut,
    Open,
    Over,
}

/// One cut that is in force. A handle: all clones are the same.
#[derive(Clone)]
pub struct Partition {
    net: Net,
    ways: Arc<[(MachineId, MachineId)]>,
    phase: Arc<Mutex<Phase>>,
}

impl Partition {
    /// Cuts these ways.
    pub fn begin(net: &Net, ways: Vec<(MachineId, MachineId)>) -> Partition {
        let partition = Partition {
            net: net.clone(),
            ways: ways.into(),
            phase: Arc::new(Mutex::new(Phase::Cut)),
        };
        partition.cut();
        partition
    }

    /// From now on it comes and goes: half of each `period` it is open.
    pub fn flap(&self, agenda: &Agenda, period: Duration) {
        let (partition, again) = (self.clone(), agenda.clone());
        agenda.at(agenda.now() + period / 2, move || {
            if partition.turn() != Phase::Over {
                partition.flap(&again, period);
            }
        });
    }

    /// It is over.
    pub fn end(&self) {
        let mut phase = self.phase();
        if *phase == Phase::Cut {
            self.mend();
        }
        *phase = Phase::Over;
    }

    fn turn(&self) -> Phase {
        let mut phase = self.phase();
        *phase = match *phase {
            Phase::Cut => {
                self.mend();
                Phase::Open
            }
            Phase::Open => {
                self.cut();
                Phase::Cut
            }
            Phase::Over => Phase::Over,
        };
        *phase
    }

    fn cut(&self) {
        for (from, to) in self.ways.iter() {
            self.net.cut_way(*from, *to);
        }
    }

    fn mend(&self) {
        for (from, to) in self.ways.iter() {
            self.net.mend_way(*from, *to);
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("no panic within")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines(count: usize) -> Vec<MachineId> {
        (0..count).map(MachineId).collect()
    }

    #[test]
    fn shapes_cut_what_they_say() {
        let all = machines(5);
        let pair = |one: usize, other: usize| (MachineId(one), MachineId(other));
        let ring = [pair(0, 2), pair(0, 3), pair(1, 3), pair(1, 4), pair(2, 4)];
        assert_eq!(across(&all), ring);
        assert_eq!(across(&machines(4)), [pair(0, 2), pair(1, 3)]);
        assert_eq!(across(&machines(3)), []);
        let bridge = between(&all[..2], &all[3..]);
        assert_eq!(bridge, [pair(0, 3), pair(0, 4), pair(1, 3), pair(1, 4)]);
        let one = [pair(0, 1)];
        assert_eq!(ways(&one, Direction::Both), [pair(0, 1), pair(1, 0)]);
        assert_eq!(ways(&one, Direction::From), [pair(0, 1)]);
        assert_eq!(ways(&one, Direction::To), [pair(1, 0)]);
    }
}
