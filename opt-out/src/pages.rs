//! Memory that is read at random places: the filter's blocks and the exact set's buckets.
//!
//! It owns where such memory comes from, huge pages where the system gives them. It must never fail for want of them.
//!
//! A look-up in a gigabyte waits for memory once for the cache line, and with pages of 4 KiB again for the page table's entry, which is in no
//! cache either. With pages of 2 MiB the whole table of pages stays in the processor. Linux gives them to memory that asks (`madvise`) unless
//! `/sys/kernel/mm/transparent_hugepage/enabled` says `never`; then, on another system, or where mapping is refused, the pages are plain and
//! all else is the same.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Size of a huge page, bytes: on x86-64, and on aarch64 with base pages of 4 KiB.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Zeroed bytes, which stay where they are.
pub(crate) struct Pages {
    memory: Memory,
    /// Asked for; a mapping is larger.
    len: usize,
}

enum Memory {
    /// Of one huge page or more, and a multiple of it: the kernel aligns such mappings.
    Mapped(MmapMut),
    Heap(Box<[u8]>),
}

impl Pages {
    /// So many zeros. Only what is written takes memory, up to the end of its page.
    pub(crate) fn zeroed(len: usize) -> Self {
        let memory = if len < HUGE_PAGE_BYTES { None } else { mapped(len) };
        Self { memory: memory.unwrap_or_else(|| Memory::Heap(vec![0; len].into_boxed_slice())), len }
    }

    /// Bytes that it takes once all are written.
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.memory {
            Memory::Mapped(map) => map.len(),
            Memory::Heap(bytes) => bytes.len(),
        }
    }
}

/// A mapping for which huge pages are asked.
fn mapped(len: usize) -> Option<Memory> {
    let map = MmapMut::map_anon(len.checked_next_multiple_of(HUGE_PAGE_BYTES)?).ok()?;
    // A kernel without them says no, and gives plain ones.
    #[cfg(target_os = "linux")]
    let _plain_ones_do = map.advise(memmap2::Advice::HugePage);
    Some(Memory::Mapped(map))
}

impl Deref for Pages {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.memory {
            Memory::Mapped(map) => map,
            Memory::Heap(bytes) => bytes,
        };
        all.get(..self.len).unwrap_or(all)
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        let all: &mut [u8] = match &mut self.memory {
            Memory::Mapped(map) => map,
            Memory::Heap(bytes) => bytes,
        };
        let len = self.len.min(all.len());
        all.split_at_mut(len).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lengths_are_zero_at_first_and_hold_what_is_written() {
        for len in [0, 1, 4_096, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES + 12_345] {
            let mut pages = Pages::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|byte| *byte == 0));
            assert_eq!(matches!(pages.memory, Memory::Mapped(_)), len >= HUGE_PAGE_BYTES);
            assert!((len..len + HUGE_PAGE_BYTES).contains(&pages.memory_bytes()));
            for (place, byte) in pages.iter_mut().enumerate() {
                *byte = place as u8;
            }
            assert!(pages.iter().enumerate().all(|(place, byte)| *byte == place as u8));
        }
    }

    #[test]
    fn no_memory_to_map_leaves_the_heap() {
        assert!(mapped(usize::MAX).is_none() && mapped(usize::MAX / 2).is_none());
    }
}
