//! The block pool: buffers that sockets and files are read into, handed out as
//! [`Bytes`] and taken back when the last slice is dropped.
//!
//! A peer task takes a [`PooledBuffer`], reads into it, freezes it and hands out
//! slices; a disk worker does the same with file contents on the way up. Fresh
//! memory costs a page fault every 4 KiB, so buffers come back last in, first
//! out and are reused while they are warm. [`BufferPool::trim`], called now
//! and then, gives back what a quiet engine no longer needs.
//!
//! A slice keeps its whole buffer alive. Take the size that will be filled:
//! [`BufferClass::Small`] where one block at a time trickles in,
//! [`BufferClass::Large`] where a wake reads many.

pub(crate) mod receive;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// The sizes that a pool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferClass {
    /// 32 KiB: one block and the frames around it.
    Small,
    /// 256 KiB: a full socket read, or a read job of many blocks.
    Large,
}

impl BufferClass {
    /// Bytes in a buffer of this class.
    pub const fn size(self) -> usize {
        match self {
            Self::Small => 32 * 1024,
            Self::Large => 256 * 1024,
        }
    }

    /// The smallest class that holds `length` bytes, or the large one where
    /// none does.
    pub const fn fitting(length: usize) -> Self {
        if length <= Self::Small.size() {
            Self::Small
        } else {
            Self::Large
        }
    }
}

/// A pool of buffers. Clones share it.
#[derive(Clone)]
pub struct BufferPool {
    classes: Arc<SizeClasses>,
}

struct SizeClasses {
    small: Mutex<SizeClass>,
    large: Mutex<SizeClass>,
    /// Bytes of all buffers that are handed out.
    outstanding: AtomicUsize,
    /// Bytes that are kept for what was received.
    pinned: AtomicUsize,
}

/// The idle buffers of one class.
struct SizeClass {
    free: Vec<Box<[u8]>>,
    /// No more than this many are kept.
    retain: usize,
    /// The fewest that were idle since the last trim.
    idle: usize,
}

impl SizeClass {
    fn new(retain: usize) -> Mutex<Self> {
        Mutex::new(Self {
            free: Vec::new(),
            retain,
            idle: 0,
        })
    }
}

impl SizeClasses {
    fn of_class(&self, class: BufferClass) -> &Mutex<SizeClass> {
        match class {
            BufferClass::Small => &self.small,
            BufferClass::Large => &self.large,
        }
    }
}

impl BufferPool {
    /// A pool that keeps up to `small` and `large` idle buffers of each class
    /// (a count, not bytes) and lends out as many as are asked for.
    pub fn new(small: usize, large: usize) -> Self {
        Self {
            classes: Arc::new(SizeClasses {
                small: SizeClass::new(small),
                large: SizeClass::new(large),
                outstanding: AtomicUsize::new(0),
                pinned: AtomicUsize::new(0),
            }),
        }
    }

    /// A buffer of `class`. It is initialised, with contents left over from
    /// its last use.
    pub fn take(&self, class: BufferClass) -> PooledBuffer {
        let mut free_list = self.classes.of_class(class).lock();
        let reused = free_list.free.pop();
        free_list.idle = free_list.idle.min(free_list.free.len());
        drop(free_list);
        self.lend(reused.unwrap_or_else(|| vec![0; class.size()].into_boxed_slice()))
    }

    /// A buffer of at least `length` bytes. One beyond the large class is made
    /// for the occasion and not kept.
    pub fn take_at_least(&self, length: usize) -> PooledBuffer {
        if length <= BufferClass::Large.size() {
            self.take(BufferClass::fitting(length))
        } else {
            self.take_exact(length)
        }
    }

    /// A buffer of exactly `length` bytes, made for the occasion and not kept.
    pub fn take_exact(&self, length: usize) -> PooledBuffer {
        self.lend(vec![0; length].into_boxed_slice())
    }

    fn lend(&self, data: Box<[u8]>) -> PooledBuffer {
        let outstanding = &self.classes.outstanding;
        outstanding.fetch_add(data.len(), Ordering::Relaxed);
        PooledBuffer {
            data,
            classes: self.classes.clone(),
        }
    }

    /// A copy of received `bytes` that keeps no more memory than they need. It
    /// counts as pinned until it is dropped.
    pub fn copy(&self, bytes: &[u8]) -> Bytes {
        let data = Box::from(bytes);
        let pin = Pin::new(bytes.len(), &self.classes);
        Bytes::from_owner(Copied { data, _pin: pin })
    }

    /// Bytes that received payload keeps, whole buffers however little of one
    /// is in use: of [`PooledBuffer::pin`] and [`Self::copy`].
    pub fn pinned_bytes(&self) -> usize {
        self.classes.pinned.load(Ordering::Relaxed)
    }

    /// Bytes of all buffers handed out now, whole buffers however little of one
    /// is in use.
    pub fn outstanding_bytes(&self) -> usize {
        self.classes.outstanding.load(Ordering::Relaxed)
    }

    /// Bytes of idle buffers kept for reuse.
    pub fn idle_bytes(&self) -> usize {
        let small = self.classes.small.lock().free.len() * BufferClass::Small.size();
        small + self.classes.large.lock().free.len() * BufferClass::Large.size()
    }

    /// Frees half of the buffers that were not needed since the last call. Call
    /// it every few seconds: a busy pool is left alone, a quiet one empties.
    pub fn trim(&self) {
        for free_list in [&self.classes.small, &self.classes.large] {
            let surplus = {
                let mut free_list = free_list.lock();
                let surplus = free_list.idle.div_ceil(2).min(free_list.free.len());
                // The oldest lie at the bottom.
                let surplus: Vec<_> = free_list.free.drain(..surplus).collect();
                free_list.idle = free_list.free.len();
                surplus
            };
            drop(surplus);
        }
    }
}

impl Default for BufferPool {
    /// A pool for one engine: up to 8 MiB of small and 100 MiB of large
    /// buffers are kept, as many as a full disk queue comes in.
    fn default() -> Self {
        Self::new(256, 400)
    }
}

/// A buffer on loan, writable by its one owner. Returns to its pool when
/// dropped.
pub struct PooledBuffer {
    data: Box<[u8]>,
    classes: Arc<SizeClasses>,
}

impl PooledBuffer {
    /// The first `length` bytes (at most the buffer) as shareable bytes. The
    /// buffer returns to its pool when the last slice of them is dropped.
    pub fn freeze(self, length: usize) -> Bytes {
        let length = length.min(self.data.len());
        Bytes::from_owner(Frozen {
            buffer: self,
            length,
            _pin: None,
        })
    }

    /// The same for what was received: the whole buffer counts as pinned
    /// ([`BufferPool::pinned_bytes`]) until the last slice is dropped.
    pub fn pin(self, length: usize) -> Bytes {
        let length = length.min(self.data.len());
        let pin = Pin::new(self.data.len(), &self.classes);
        Bytes::from_owner(Frozen {
            buffer: self,
            length,
            _pin: Some(pin),
        })
    }
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        self.classes
            .outstanding
            .fetch_sub(data.len(), Ordering::Relaxed);
        let class = BufferClass::fitting(data.len());
        if data.len() != class.size() {
            return;
        }
        let mut free_list = self.classes.of_class(class).lock();
        if free_list.free.len() < free_list.retain {
            free_list.free.push(data);
        }
    }
}

/// Counts bytes as pinned while it lives.
struct Pin {
    bytes: usize,
    classes: Arc<SizeClasses>,
}

impl Pin {
    fn new(bytes: usize, classes: &Arc<SizeClasses>) -> Self {
        classes.pinned.fetch_add(bytes, Ordering::Relaxed);
        Self {
            bytes,
            classes: classes.clone(),
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.classes.pinned.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Copied {
    data: Box<[u8]>,
    _pin: Pin,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

struct Frozen {
    buffer: PooledBuffer,
    length: usize,
    _pin: Option<Pin>,
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_with_its_last_slice() {
        let pool = BufferPool::new(1, 1);
        let mut buffer = pool.take(BufferClass::Large);
        buffer[..3].copy_from_slice(b"abc");
        let bytes = buffer.freeze(3);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!(slice, &b"bc"[..]);
        assert_eq!(pool.outstanding_bytes(), 256 * 1024);
        assert_eq!(pool.idle_bytes(), 0);
        drop(slice);
        assert_eq!(pool.outstanding_bytes(), 0);
        assert_eq!(pool.idle_bytes(), 256 * 1024);
        assert_eq!(pool.take(BufferClass::Large)[..3], *b"abc");
    }

    #[test]
    fn no_more_than_the_bound_is_kept_and_trim_empties_a_quiet_pool() {
        let pool = BufferPool::new(3, 0);
        let lent: Vec<_> = (0..5).map(|_| pool.take(BufferClass::Small)).collect();
        drop(pool.take(BufferClass::Large));
        drop(lent);
        assert_eq!(pool.idle_bytes(), 3 * 32 * 1024);
        // The first call only learns how much is idle.
        for expected in [3, 1, 0] {
            pool.trim();
            assert_eq!(pool.idle_bytes(), expected * 32 * 1024);
        }
    }

    #[test]
    fn a_buffer_freezes_to_no_more_than_itself() {
        let pool = BufferPool::new(0, 0);
        let bytes = pool.take(BufferClass::fitting(1)).freeze(usize::MAX);
        assert_eq!(bytes.len(), BufferClass::Small.size());
        assert_eq!(BufferClass::fitting(40_000), BufferClass::Large);
    }
}
