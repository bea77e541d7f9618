//! Where pipes are kept: found by number, added and removed in constant time.

/// A pipe of one socket. A slot is used again, an id is not: whoever still names a pipe that is
/// gone, as an inproc peer may for a moment, finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PipeId {
    index: usize,
    generation: u64,
}

impl PipeId {
    /// No pipe: the socket itself, as the owner of its own subscriptions.
    pub(crate) const OWN: Self = Self {
        index: usize::MAX,
        generation: 0,
    };

    #[cfg(test)]
    pub(crate) const fn new(index: usize) -> Self {
        Self {
            index,
            generation: 0,
        }
    }

    #[cfg(test)]
    pub(crate) const fn index(self) -> usize {
        self.index
    }
}

#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u64,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, value: T) -> PipeId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.value = Some(value);
        PipeId {
            index,
            generation: slot.generation,
        }
    }

    pub(super) fn get(&self, id: PipeId) -> Option<&T> {
        let slot = self.slots.get(id.index)?;
        slot.value
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: PipeId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index)?;
        slot.value
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: PipeId) -> Option<T> {
        self.get(id)?;
        let slot = self.slots.get_mut(id.index)?;
        slot.generation += 1;
        self.free.push(id.index);
        slot.value.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PipeId, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let generation = slot.generation;
            Some((PipeId { index, generation }, slot.value.as_ref()?))
        })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_and_an_id_is_not() {
        let mut slots = Slots::new();
        let [a, b] = ["a", "b"].map(|value| slots.insert(value));
        assert_eq!(slots.remove(a), Some("a"));
        assert_eq!(slots.remove(a), None);
        let c = slots.insert("c");
        assert_eq!((c.index(), slots.slots.len()), (a.index(), 2));
        assert!(slots.get(a).is_none() && slots.get_mut(a).is_none());
        assert_eq!(slots.remove(a), None, "the old id frees nothing");
        let all: Vec<_> = slots.iter().collect();
        assert_eq!(all, [(c, &"c"), (b, &"b")]);
        assert!(slots.get(PipeId::OWN).is_none());
    }
}
