//! Numbered places for things of one kind; a place that was given back is given out again.

use core::num::NonZeroU32;
use core::ops::{Index, IndexMut};

use crate::tree::pages::Pages;

/// Most things in a slab: what 32 bits can number. A tree of that many znodes needs a terabyte.
pub(super) const SLAB_MAX: usize = u32::MAX as usize - 1;

/// A place in a slab. Never observable: two servers may number the same thing differently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Slot(NonZeroU32);

impl Slot {
    /// The first place of every slab.
    pub(super) const FIRST: Slot = Slot(NonZeroU32::MIN);

    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    pub(super) fn from_number(number: u32) -> Slot {
        Slot(NonZeroU32::new(number).expect("places are numbered from 1"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Clone)]
enum Place<T> {
    Taken(T),
    /// Given back; the place that was given back before it.
    Free(Option<Slot>),
}

impl<T> Default for Place<T> {
    fn default() -> Place<T> {
        Place::Free(None)
    }
}

/// Things at numbered places; cloning is cheap. Memory is kept for re-use, never given back.
#[derive(Clone)]
pub(super) struct Slab<T> {
    places: Pages<Place<T>>,
    /// The place that was given back last.
    free: Option<Slot>,
    count: usize,
}

impl<T: Clone> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab {
            places: Pages::new(),
            free: None,
            count: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the place that was given back last, or a new one.
    ///
    /// # Panics
    /// If there are [`SLAB_MAX`] things already.
    pub(super) fn insert(&mut self, thing: T) -> Slot {
        assert!(self.count < SLAB_MAX, "a slab is full");
        self.count += 1;
        let Some(slot) = self.free else {
            self.places.push(Place::Taken(thing));
            let number = u32::try_from(self.places.len()).expect("a slab is bounded");
            return Slot::from_number(number);
        };
        let place = self.places.get_mut(slot.index());
        match core::mem::replace(place, Place::Taken(thing)) {
            Place::Free(before) => self.free = before,
            Place::Taken(_) => unreachable!("a free place is free"),
        }
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> T {
        let place = self.places.get_mut(slot.index());
        match core::mem::replace(place, Place::Free(self.free)) {
            Place::Taken(thing) => {
                self.free = Some(slot);
                self.count -= 1;
                thing
            }
            Place::Free(_) => panic!("a place was given back twice"),
        }
    }

    /// All things, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.iter_after(0)
    }

    /// The things at places with larger numbers than `number`, in the order of their places.
    pub(super) fn iter_after(&self, number: u32) -> impl Iterator<Item = (Slot, &T)> {
        (number as usize..self.places.len()).filter_map(|index| match self.places.get(index) {
            Place::Taken(thing) => {
                let number = u32::try_from(index + 1).expect("a slab is bounded");
                Some((Slot::from_number(number), thing))
            }
            Place::Free(_) => None,
        })
    }
}

impl<T: Clone> Index<Slot> for Slab<T> {
    type Output = T;

    fn index(&self, slot: Slot) -> &T {
        match self.places.get(slot.index()) {
            Place::Taken(thing) => thing,
            Place::Free(_) => panic!("a free place holds nothing"),
        }
    }
}

impl<T: Clone> IndexMut<Slot> for Slab<T> {
    fn index_mut(&mut self, slot: Slot) -> &mut T {
        match self.places.get_mut(slot.index()) {
            Place::Taken(thing) => thing,
            Place::Free(_) => panic!("a free place holds nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_last_place_given_back_is_the_next_given_out() {
        let mut slab = Slab::new();
        let slots: Vec<Slot> = (0..100).map(|thing| slab.insert(thing)).collect();
        assert_eq!(slots[0], Slot::FIRST);
        assert_eq!(slab.remove(slots[7]), 7);
        assert_eq!(slab.remove(slots[50]), 50);
        assert_eq!(slab.count(), 98);
        assert!(slab.iter().all(|(_, thing)| *thing != 7 && *thing != 50));
        assert_eq!(slab.insert(1050), slots[50]);
        assert_eq!(slab.insert(1007), slots[7]);
        assert_eq!(slab.insert(100).number(), 101);
        slab[slots[7]] += 1;
        assert_eq!(slab[slots[7]], 1008);
        assert_eq!(slab.iter().count(), slab.count());
    }
}
