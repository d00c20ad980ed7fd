//! A table with a slot for each block of a piece.
//!
//! A piece may have 32,768 blocks (512 MiB), of which one is here: only the
//! parts of the table that were written to take memory.

/// Slots in one part.
const PART: usize = 128;

/// Slots from 0 on, each with its default until it is written to.
#[derive(Clone, Debug, Default)]
pub struct BlockTable<T> {
    length: u32,
    parts: Vec<Option<Box<[T]>>>,
}

impl<T: Default> BlockTable<T> {
    /// `length` slots.
    pub fn new(length: u32) -> Self {
        let mut parts = Vec::new();
        parts.resize_with((length as usize).div_ceil(PART), || None);
        Self { length, parts }
    }

    /// How many slots there are.
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The slot `index`; `None` where nothing was written near it.
    pub fn get(&self, index: u32) -> Option<&T> {
        let at = index as usize;
        self.parts.get(at / PART)?.as_ref()?.get(at % PART)
    }

    /// The slot `index`, to write to; `None` when there is no such slot.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let at = index as usize;
        let room = (self.length as usize).saturating_sub(at / PART * PART);
        let part = self.parts.get_mut(at / PART)?;
        let part = part.get_or_insert_with(|| {
            let slots = std::iter::repeat_with(T::default);
            slots.take(room.min(PART)).collect()
        });
        part.get_mut(at % PART)
    }

    /// The slots in parts that were written to, with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(|(at, part)| {
            let first = (at * PART) as u32;
            (first..)
                .zip(part.iter().flat_map(|part| part.iter()))
                .inspect(|_| visit())
        })
    }

    /// The same, to write to.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let parts = self.parts.iter_mut().enumerate();
        parts.flat_map(|(at, part)| {
            let first = (at * PART) as u32;
            (first..).zip(part.iter_mut().flat_map(|part| part.iter_mut()))
        })
    }
}

/// Counts a slot that is looked at, where a test wants to know the cost.
pub(crate) fn visit() {
    #[cfg(test)]
    crate::testing::blocks_visited::add();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_to_takes_no_memory() {
        let mut slots = BlockTable::<u64>::new(1000);
        assert_eq!((slots.len(), slots.get(5)), (1000, None));
        for (index, value) in [(999, 1), (130, 2), (0, 3)] {
            *slots.get_mut(index).unwrap() = value;
            assert_eq!(slots.get(index), Some(&value));
        }
        assert_eq!(slots.get_mut(1000), None);
        assert_eq!(slots.get(1000), None);
        assert_eq!(slots.parts.iter().flatten().count(), 3);
        assert_eq!(slots.parts.last().unwrap().as_ref().unwrap().len(), 104);
        slots.iter_mut().for_each(|(_, value)| *value *= 2);
        let written = slots.iter().filter(|(_, value)| **value > 0);
        let written: Vec<_> = written.map(|(at, value)| (at, *value)).collect();
        assert_eq!(written, [(0, 6), (130, 4), (999, 2)]);
    }
}
