//! Which message a standard queue delivers next.

use std::collections::BTreeSet;

/// A message's place in the queue: the ms at which it first became visible, then its number. A
/// message that comes back keeps its place.
pub(crate) type Place = (i64, u64);

/// The visible messages of a standard queue, in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct StandardOrder {
    visible: BTreeSet<Place>,
}

impl StandardOrder {
    pub(crate) fn add(&mut self, place: Place) {
        self.visible.insert(place);
    }

    pub(crate) fn remove(&mut self, place: Place) {
        self.visible.remove(&place);
    }

    pub(crate) fn len(&self) -> usize {
        self.visible.len()
    }

    /// The message at `position` of those waiting (0 is the head).
    pub(crate) fn pick(&self, position: usize) -> Option<u64> {
        self.visible.iter().nth(position).map(|(_, sequence)| *sequence)
    }
}
