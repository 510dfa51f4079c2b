//! Which scenario plays next when time is limited. Under `--search coverage` those whose last seeds
//! reached something new get most of the time, and every fourth turn goes to the one that had
//! least, so that none is given up. The order depends on what runs reached and never on clocks.

/// Every so manieth turn goes to the scenario that had least.
const FAIR_EVERY: u64 = 4;

/// How a campaign with a time limit shares it between scenarios, and between seeds of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Search {
    /// Most to scenarios that still reach new marks and combinations, half of it to their seeds in
    /// order and half to seeds whose plans promise such.
    #[default]
    Coverage,
    /// The same to each, and their seeds in order.
    Uniform,
}

#[derive(Clone, Debug, Default)]
struct Arm {
    turns: u64,
    /// How much work its runs were, in events.
    events: u64,
    /// New things for a million events, of late.
    yields: f64,
    is_exhausted: bool,
}

/// The scenarios, as far as their turns are concerned.
#[derive(Clone, Debug)]
pub struct Portfolio {
    search: Search,
    arms: Vec<Arm>,
    turns: u64,
}

impl Portfolio {
    /// One of so many scenarios.
    pub fn new(search: Search, count: usize) -> Portfolio {
        Portfolio {
            search,
            arms: vec![Arm::default(); count],
            turns: 0,
        }
    }

    /// Whose turn it is; nobody's if no scenario has seeds left.
    pub fn take_turn(&mut self) -> Option<usize> {
        let open = || {
            let arms = self.arms.iter().enumerate();
            arms.filter(|(_, arm)| !arm.is_exhausted)
        };
        let unplayed = open().find(|(_, arm)| arm.turns == 0);
        let fair = match self.search {
            Search::Coverage => self.turns.is_multiple_of(FAIR_EVERY),
            Search::Uniform => true,
        };
        let least = open().min_by_key(|(place, arm)| (arm.events, *place));
        // The first of those that yield the same.
        let best = open()
            .rev()
            .max_by(|(_, a), (_, b)| a.yields.total_cmp(&b.yields));
        let chosen = unplayed.or(if fair { least } else { best });
        let chosen = chosen.map(|(place, _)| place)?;
        self.turns += 1;
        Some(chosen)
    }

    /// What came of a turn: so many new things in so many events.
    pub fn note(&mut self, place: usize, new: usize, events: u64) {
        let arm = &mut self.arms[place];
        let latest = new as f64 * 1e6 / events.max(1) as f64;
        arm.yields = match arm.turns {
            0 => latest,
            _ => (arm.yields + latest) / 2.0,
        };
        arm.turns += 1;
        arm.events += events;
    }

    /// It has no seeds left, or has seen enough.
    pub fn close(&mut self, place: usize) {
        self.arms[place].is_exhausted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_still_reaches_something_new_gets_most_and_nobody_is_given_up() {
        let mut portfolio = Portfolio::new(Search::Coverage, 3);
        let mut turns = [0_u32; 3];
        for _ in 0..400 {
            let place = portfolio.take_turn().expect("seeds are left");
            turns[place] += 1;
            // The second goes on finding something, the first did only at its beginning.
            let new = match place {
                0 if turns[0] < 3 => 100,
                1 => 5,
                _ => 0,
            };
            portfolio.note(place, new, 1_000);
        }
        assert!(turns[1] > 250, "{turns:?}");
        assert!(turns[0] > 30 && turns[2] > 30, "{turns:?}");
    }

    #[test]
    fn the_same_work_falls_to_each_if_that_is_wanted() {
        let mut portfolio = Portfolio::new(Search::Uniform, 2);
        let mut events = [0_u64; 2];
        for _ in 0..60 {
            let place = portfolio.take_turn().expect("seeds are left");
            let work = [1_000, 3_000][place];
            events[place] += work;
            portfolio.note(place, place, work);
        }
        assert!(events[0].abs_diff(events[1]) <= 3_000, "{events:?}");
    }

    #[test]
    fn closed_ones_have_no_turns() {
        let mut portfolio = Portfolio::new(Search::Coverage, 2);
        assert_eq!(portfolio.take_turn(), Some(0));
        portfolio.note(0, 10, 1_000);
        portfolio.close(0);
        for _ in 0..5 {
            assert_eq!(portfolio.take_turn(), Some(1));
            portfolio.note(1, 0, 1_000);
        }
        portfolio.close(1);
        assert_eq!(portfolio.take_turn(), None);
    }
}
