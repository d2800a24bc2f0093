//! Which message a FIFO queue delivers next: strict order within a group, and no message of a
//! group while another one of it is in flight.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The messages of a FIFO queue by group.
#[derive(Debug, Default)]
pub(crate) struct FifoOrder {
    groups: HashMap<Arc<str>, Group>,
    /// The groups that can be received from, by the number of their first message.
    ready: BTreeMap<u64, Arc<str>>,
    visible: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// Messages not in flight by number, and whether they are visible (or still delayed).
    waiting: BTreeMap<u64, bool>,
    in_flight: usize,
    /// The group's key in `ready`, while it has one.
    ready_as: Option<u64>,
}

impl FifoOrder {
    /// A message arrives, new or moved in.
    pub(crate) fn add(&mut self, group: &Arc<str>, sequence: u64, visible: bool) {
        self.groups.entry(Arc::clone(group)).or_default().waiting.insert(sequence, visible);
        self.visible += usize::from(visible);
        self.settle(group);
    }

    /// A delayed message becomes visible.
    pub(crate) fn show(&mut self, group: &Arc<str>, sequence: u64) {
        let Some(waiting) = self.groups.get_mut(group).and_then(|group| group.waiting.get_mut(&sequence)) else {
            return;
        };
        if !std::mem::replace(waiting, true) {
            self.visible += 1;
        }
        self.settle(group);
    }

    /// A message is delivered. Its group stays listed until [`Self::settle`], so that one receive
    /// can take several messages of a group.
    pub(crate) fn take(&mut self, group: &Arc<str>, sequence: u64) {
        if let Some(group) = self.groups.get_mut(group)
            && let Some(visible) = group.waiting.remove(&sequence)
        {
            self.visible -= usize::from(visible);
            group.in_flight += 1;
        }
    }

    /// A message in flight comes back to its old place.
    pub(crate) fn put_back(&mut self, group: &Arc<str>, sequence: u64) {
        if let Some(group) = self.groups.get_mut(group) {
            group.in_flight = group.in_flight.saturating_sub(1);
            group.waiting.insert(sequence, true);
            self.visible += 1;
        }
        self.settle(group);
    }

    /// A message in flight is gone for good.
    pub(crate) fn finish(&mut self, group: &Arc<str>) {
        if let Some(group) = self.groups.get_mut(group) {
            group.in_flight = group.in_flight.saturating_sub(1);
        }
        self.settle(group);
    }

    /// A waiting message is gone for good.
    pub(crate) fn remove(&mut self, group: &Arc<str>, sequence: u64) {
        if let Some(group) = self.groups.get_mut(group)
            && let Some(visible) = group.waiting.remove(&sequence)
        {
            self.visible -= usize::from(visible);
        }
        self.settle(group);
    }

    /// The group to receive from next.
    pub(crate) fn first_ready(&self) -> Option<Arc<str>> {
        self.ready.first_key_value().map(|(_, group)| Arc::clone(group))
    }

    /// The group's first message, when it is visible.
    pub(crate) fn first_of(&self, group: &Arc<str>) -> Option<u64> {
        let (sequence, visible) = self.groups.get(group)?.waiting.first_key_value()?;
        visible.then_some(*sequence)
    }

    /// Whether any message could be received.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many messages are visible, those of blocked groups included (as AWS counts them).
    pub(crate) fn len(&self) -> usize {
        self.visible
    }

    /// Lists the group, or not, after a change to it; forgets it when it is empty.
    pub(crate) fn settle(&mut self, key: &Arc<str>) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        let ready_as = match group.waiting.first_key_value() {
            Some((sequence, true)) if group.in_flight == 0 => Some(*sequence),
            _ => None,
        };
        let was = std::mem::replace(&mut group.ready_as, ready_as);
        let empty = group.waiting.is_empty() && group.in_flight == 0;
        if was != ready_as {
            if let Some(was) = was {
                self.ready.remove(&was);
            }
            if let Some(ready_as) = ready_as {
                self.ready.insert(ready_as, Arc::clone(key));
            }
        }
        if empty {
            self.groups.remove(key);
        }
    }
}
