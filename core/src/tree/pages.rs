//! A growing array in pages that clones share until one of them writes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::array;

/// Elements in a page: the unit that a write after a clone copies. Larger pages make that write
/// dearer, smaller ones cost memory. docs/tree.md measures this size; no other was tried.
const PAGE: usize = 32;

/// Pages in a sheaf: a clone counts one sheaf, a write after it copies one list of this length.
const SHEAF: usize = 128;

type Page<T> = Arc<[T; PAGE]>;
type Sheaf<T> = Arc<Vec<Page<T>>>;

/// An array that grows at its end only. Cloning costs one count for every 4096 elements; the
/// clones share each page until one of them writes to it.
#[derive(Clone)]
pub(super) struct Pages<T> {
    sheaves: Vec<Sheaf<T>>,
    len: usize,
}

impl<T: Clone + Default> Pages<T> {
    pub(super) const fn new() -> Pages<T> {
        Pages {
            sheaves: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> &T {
        assert!(index < self.len, "an element that was never pushed");
        &self.sheaves[index / PAGE / SHEAF][index / PAGE % SHEAF][index % PAGE]
    }

    /// The element for writing; copies its page if a clone shares it.
    pub(super) fn get_mut(&mut self, index: usize) -> &mut T {
        assert!(index < self.len, "an element that was never pushed");
        let sheaf = Arc::make_mut(&mut self.sheaves[index / PAGE / SHEAF]);
        &mut Arc::make_mut(&mut sheaf[index / PAGE % SHEAF])[index % PAGE]
    }

    pub(super) fn push(&mut self, element: T) {
        if self.len.is_multiple_of(PAGE) {
            if self.len.is_multiple_of(PAGE * SHEAF) {
                self.sheaves.push(Arc::default());
            }
            let last = self.sheaves.last_mut().expect("a sheaf was pushed first");
            Arc::make_mut(last).push(Arc::new(array::from_fn(|_| T::default())));
        }
        self.len += 1;
        *self.get_mut(self.len - 1) = element;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_until_one_writes() {
        let mut left = Pages::new();
        for element in 0..3 * PAGE * SHEAF + 5 {
            left.push(element);
        }
        let mut right = left.clone();
        *right.get_mut(PAGE * SHEAF + 1) = 7;
        right.push(11);
        assert_eq!(right.len(), left.len() + 1);
        assert_eq!(*right.get(left.len()), 11);
        for element in 0..left.len() {
            assert_eq!(*left.get(element), element);
            let expected = if element == PAGE * SHEAF + 1 {
                7
            } else {
                element
            };
            assert_eq!(*right.get(element), expected);
        }
        assert!(Arc::ptr_eq(&left.sheaves[0], &right.sheaves[0]));
        assert!(!Arc::ptr_eq(&left.sheaves[1], &right.sheaves[1]));
        assert!(Arc::ptr_eq(&left.sheaves[1][1], &right.sheaves[1][1]));
    }
}
