//! Datagrams that were heard before: an old answer must not make a dead server look alive.

use crate::gossip::incarnation::Incarnation;

/// The numbers of the last 64 datagrams of one sender that were heard, as in IPsec and DTLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    incarnation: Incarnation,
    greatest: u64,
    /// The lowest bit stands for `greatest`, the next for the number before it.
    seen: u64,
}

impl Heard {
    /// Is this datagram new? From then on it is not.
    ///
    /// Those of an older life than the newest known are always new: they need an answer, which
    /// tells their sender to outlive it, and SWIM believes nothing of them.
    pub fn is_new(&mut self, incarnation: Incarnation, number: u64) -> bool {
        if incarnation < self.incarnation {
            return true;
        }
        if incarnation > self.incarnation {
            // Also for the first datagram ever: the birth of a life is not zero.
            *self = Heard {
                incarnation,
                greatest: number,
                seen: 1,
            };
            return true;
        }
        if let Some(ahead) = number.checked_sub(self.greatest).filter(|ahead| *ahead > 0) {
            let shifted = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.seen.checked_shl(by));
            self.seen = shifted.unwrap_or(0) | 1;
            self.greatest = number;
            return true;
        }
        let behind = self.greatest - number;
        let bit = u32::try_from(behind)
            .ok()
            .and_then(|by| 1_u64.checked_shl(by));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::collection::vec as many;
    use proptest::prelude::*;

    use super::*;

    const LIFE: Incarnation = Incarnation {
        number: 3,
        birth: 9,
    };

    #[test]
    fn a_newer_life_begins_anew_and_an_older_one_is_always_new() {
        let mut heard = Heard::default();
        assert!(heard.is_new(LIFE, 5));
        assert!(!heard.is_new(LIFE, 5));
        let older = Incarnation {
            number: 2,
            birth: 77,
        };
        assert!(heard.is_new(older, 5) && heard.is_new(older, 5));
        let newer = Incarnation {
            number: 3,
            birth: 10,
        };
        assert!(heard.is_new(newer, 0) && !heard.is_new(newer, 0));
        assert!(heard.is_new(LIFE, 6), "which is an older life now");
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice_and_what_is_not_far_behind_is_new_once(
            numbers in many(0_u64..200, 1..300),
        ) {
            let mut heard = Heard::default();
            let mut before = BTreeSet::new();
            for number in numbers {
                let greatest = before.last().copied().unwrap_or(0);
                let within = number + 63 >= greatest;
                let expected = within && !before.contains(&number);
                prop_assert_eq!(heard.is_new(LIFE, number), expected);
                if expected {
                    before.insert(number);
                }
            }
        }
    }
}
