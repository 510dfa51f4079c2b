//! What happened before what: the moments of a run as a graph whose arrows point from causes to
//! effects, and from any moment back to everything that it may go back to.
//!
//! There are two kinds of arrows. A process goes from one moment to the next; that is order, and
//! order alone makes almost the whole past of a chatty ensemble an ancestor. What a moment directly
//! goes back to (the message that was heard, the save that became durable, the frame that was
//! taken) is near; only near arrows lead to the few moments that a reader wants to see first.

/// The moments of a run, in an order in which no effect is before its cause.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The moment before, of the same life of the same process.
    before: Vec<Option<u32>>,
    /// What each moment directly goes back to.
    near: Vec<Vec<u32>>,
}

/// Which arrows are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrows {
    /// Only those that say why.
    Near,
    /// All: everything that happened before.
    All,
}

impl Graph {
    /// How many moments there are.
    pub fn len(&self) -> usize {
        self.before.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// The next moment; `before` is the one before it of the same process. Its number.
    pub fn add(&mut self, before: Option<usize>) -> usize {
        let index = self.before.len();
        assert!(
            before.is_none_or(|before| before < index),
            "a process goes forward"
        );
        self.before.push(before.map(short));
        self.near.push(Vec::new());
        index
    }

    /// `effect` directly goes back to `cause`.
    pub fn because(&mut self, effect: usize, cause: usize) {
        assert!(cause < effect, "no effect is before its cause");
        let near = &mut self.near[effect];
        if !near.contains(&short(cause)) {
            near.push(short(cause));
        }
    }

    /// What a moment directly goes back to.
    pub fn near(&self, effect: usize) -> impl Iterator<Item = usize> {
        self.near[effect].iter().map(|cause| *cause as usize)
    }

    /// Has it a direct cause?
    pub fn is_explained(&self, effect: usize) -> bool {
        !self.near[effect].is_empty()
    }

    /// For each moment: is it one of `effects`, or does one of them go back to it?
    pub fn cone(&self, effects: &[usize], arrows: Arrows) -> Vec<bool> {
        let mut within = vec![false; self.len()];
        for effect in effects {
            within[*effect] = true;
        }
        // Causes come first, so one way back finds them all.
        for effect in (0..self.len()).rev().filter(|_| !effects.is_empty()) {
            if !within[effect] {
                continue;
            }
            for cause in &self.near[effect] {
                within[*cause as usize] = true;
            }
            if let (Arrows::All, Some(before)) = (arrows, self.before[effect]) {
                within[before as usize] = true;
            }
        }
        within
    }
}

fn short(index: usize) -> u32 {
    u32::try_from(index).expect("a run has fewer moments than that")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(cone: &[bool]) -> Vec<usize> {
        let within = cone.iter().enumerate().filter(|(_, within)| **within);
        within.map(|(index, _)| index).collect()
    }

    /// Two processes of three moments each; the second moment of the first is told to the second.
    fn two() -> Graph {
        let mut graph = Graph::default();
        let a = graph.add(None);
        let b = graph.add(Some(a));
        let x = graph.add(None);
        let heard = graph.add(Some(x));
        let c = graph.add(Some(b));
        let after = graph.add(Some(heard));
        graph.because(heard, b);
        graph.because(after, heard);
        assert_eq!((c, after), (4, 5));
        graph
    }

    #[test]
    fn a_message_carries_the_past_of_who_sent_it() {
        let graph = two();
        assert_eq!(members(&graph.cone(&[5], Arrows::All)), [0, 1, 2, 3, 5]);
        assert_eq!(members(&graph.cone(&[5], Arrows::Near)), [1, 3, 5]);
        assert_eq!(members(&graph.cone(&[4], Arrows::All)), [0, 1, 4]);
        assert_eq!(members(&graph.cone(&[4], Arrows::Near)), [4]);
        assert!(members(&graph.cone(&[], Arrows::All)).is_empty());
    }

    #[test]
    fn a_cause_counts_once() {
        let mut graph = two();
        graph.because(5, 3);
        assert_eq!(graph.near(5).collect::<Vec<_>>(), [3]);
        assert!(graph.is_explained(5) && !graph.is_explained(0));
    }

    #[test]
    #[should_panic(expected = "no effect is before its cause")]
    fn nothing_goes_back_to_what_comes_later() {
        two().because(1, 2);
    }

    proptest! {
        /// Against the definition: a moment is in the cone if a way of arrows leads from it there.
        #[test]
        fn the_cone_is_what_arrows_lead_from(
            arrows in proptest::collection::vec((0..30_usize, 0..30_usize), 0..60),
            lives in proptest::collection::vec(0..4_usize, 30),
            effect in 0..30_usize,
        ) {
            let mut graph = Graph::default();
            let mut last = [None; 4];
            let mut edges = Vec::new();
            for (index, life) in lives.iter().enumerate() {
                let before = last[*life].replace(index);
                graph.add(before);
                edges.extend(before.map(|before| (before, index)));
            }
            for (a, b) in arrows.into_iter().filter(|(a, b)| a != b) {
                graph.because(a.max(b), a.min(b));
                edges.push((a.min(b), a.max(b)));
            }
            let mut expected = vec![false; 30];
            expected[effect] = true;
            for _ in 0..30 {
                for (cause, effect) in &edges {
                    expected[*cause] |= expected[*effect];
                }
            }
            prop_assert_eq!(graph.cone(&[effect], Arrows::All), expected);
        }
    }
}
