//! One key with its value, deadline and access bits in ONE allocation reached by one pointer.
//!
//! ```text
//!  byte 0      4       6       8
//!      +------+-------+-------+----------+----------+-------------+-----------+--------------+
//!      | meta | key   | value | deadline | long key | word        | key bytes | value bytes  |
//!      | u32  | length| length| i64      | u64      | i64 or ptr  |           | (inline)     |
//!      +------+-------+-------+----------+----------+-------------+-----------+--------------+
//!                               if DEADLINE  if LONG_KEY  if not inline         if inline
//!  meta: bits 0..4 kind, bit 4 DEADLINE, bit 5 LONG_KEY, bit 6 RAW, bits 8..32 access bits
//! ```
//!
//! Invariants between calls: the allocation has `layout_bytes(header)` bytes, a jemalloc size
//! class, so that a value may grow and shrink in place within its class; the parts that the header
//! announces are initialised; a `Shared` word is one owned `Arc<Vec<u8>>`.
//!
//! This is the only place in the engine that touches raw memory. Its tests run under
//! AddressSanitizer (`cargo xtask sanitize`).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base::memory::size_class;
use base::num::{I64_TEXT_MAX, digits_of_i64, format_i64};
use base::time::UnixMillis;

/// Longest value kept inside the entry; longer ones are reference-counted buffers, which replies
/// borrow instead of copying.
pub const INLINE_BYTES_MAX: usize = 2048;

/// Longest string that Redis 8.2 calls `embstr`, together with its key and eight bytes for a
/// deadline (it keeps the three in one cache line then); longer ones, and modified ones, are `raw`.
const EMBEDDED_BYTES_MAX: usize = 41;

const HEADER_BYTES: usize = 8;
const KIND_MASK: u32 = 0b1111;
const DEADLINE: u32 = 1 << 4;
const LONG_KEY: u32 = 1 << 5;
const RAW: u32 = 1 << 6;
const ACCESS_SHIFT: u32 = 8;

const KIND_INLINE: u32 = 0;
const KIND_INT: u32 = 1;
const KIND_SHARED: u32 = 2;

/// The fixed start of an entry. Access bits change under a shared reference, hence the atomic;
/// the stripe's lock orders everything else.
#[repr(C)]
struct Header {
    meta: AtomicU32,
    key_len: u16,
    value_len: u16,
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES && align_of::<Header>() <= 8);

/// A value on its way into an entry.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// Text that is the canonical form of this integer.
    Int(i64),
    /// Bytes as a client sent them (`embstr` when short).
    Bytes(&'a [u8]),
    /// Bytes that a command has edited (`raw` even when short).
    Edited(&'a [u8]),
    /// A buffer to be taken over without a copy.
    Owned(Vec<u8>),
    /// A buffer that another entry or a reply may be holding too.
    Shared(Arc<Vec<u8>>),
}

/// What an entry holds, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// An integer stored in binary.
    Int(i64),
    /// A short string inside the entry.
    Inline(&'a [u8]),
    /// A long string; clone the `Arc` to keep it beyond the lease.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Value<'a> {
    /// The string; the digits of an integer are written to `digits`.
    #[inline]
    pub fn bytes(self, digits: &'a mut [u8; I64_TEXT_MAX]) -> &'a [u8] {
        match self {
            Value::Int(number) => format_i64(number, digits),
            Value::Inline(bytes) => bytes,
            Value::Shared(shared) => shared,
        }
    }

    /// Length of the string in bytes.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "nobody asks whether a value is empty"
    )]
    pub fn len(self) -> usize {
        match self {
            Value::Int(number) => digits_of_i64(number),
            Value::Inline(bytes) => bytes.len(),
            Value::Shared(shared) => shared.len(),
        }
    }
}

/// An owned entry; dropping it frees key and value.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns its allocation and the `Arc` in it, both of which may move between threads.
unsafe impl Send for Entry {}
// SAFETY: through a shared reference only the atomic access bits change.
unsafe impl Sync for Entry {}

/// The shape of an entry, from which every offset follows.
#[derive(Clone, Copy)]
struct Shape {
    flags: u32,
    key_len: usize,
    value_len: usize,
}

impl Shape {
    fn deadline_offset() -> usize {
        HEADER_BYTES
    }

    fn long_key_offset(self) -> usize {
        HEADER_BYTES + if self.flags & DEADLINE != 0 { 8 } else { 0 }
    }

    fn word_offset(self) -> usize {
        self.long_key_offset() + if self.flags & LONG_KEY != 0 { 8 } else { 0 }
    }

    fn key_offset(self) -> usize {
        self.word_offset()
            + if self.flags & KIND_MASK == KIND_INLINE {
                0
            } else {
                8
            }
    }

    fn value_offset(self) -> usize {
        self.key_offset() + self.key_len
    }

    /// Bytes the allocator gives for this shape.
    fn allocated(self) -> usize {
        size_class(self.value_offset() + self.value_len)
    }

    fn layout(self) -> Layout {
        // Invariant: keys are at most 512 MB and inline values 2 KiB, far below isize::MAX.
        Layout::from_size_align(self.allocated(), 8).expect("entry sizes are bounded")
    }
}

/// A `NewValue` sorted into the three stored forms.
enum Stored<'a> {
    Int(i64),
    Inline(&'a [u8], u32),
    Shared(Arc<Vec<u8>>),
}

impl<'a> Stored<'a> {
    fn of(value: &'a NewValue<'a>) -> Stored<'a> {
        match value {
            NewValue::Int(number) => Stored::Int(*number),
            NewValue::Bytes(bytes) => Stored::of_bytes(bytes, 0),
            NewValue::Edited(bytes) => Stored::of_bytes(bytes, RAW),
            NewValue::Owned(bytes) => Stored::of_bytes(bytes, 0),
            NewValue::Shared(shared) => Stored::Shared(Arc::clone(shared)),
        }
    }

    fn of_bytes(bytes: &'a [u8], raw: u32) -> Stored<'a> {
        if bytes.len() <= INLINE_BYTES_MAX {
            Stored::Inline(bytes, raw)
        } else {
            Stored::Shared(Arc::new(bytes.to_vec()))
        }
    }

    /// Takes buffers over where the caller gives them away.
    fn with<R>(value: NewValue<'_>, use_it: impl FnOnce(Stored<'_>) -> R) -> R {
        match value {
            NewValue::Owned(bytes) if bytes.len() > INLINE_BYTES_MAX => {
                use_it(Stored::Shared(Arc::new(bytes)))
            }
            NewValue::Shared(shared) => use_it(Stored::Shared(shared)),
            other => use_it(Stored::of(&other)),
        }
    }

    fn flags(&self) -> u32 {
        match self {
            Stored::Int(_) => KIND_INT,
            Stored::Inline(_, raw) => KIND_INLINE | raw,
            Stored::Shared(_) => KIND_SHARED,
        }
    }

    fn inline_len(&self) -> usize {
        match self {
            Stored::Inline(bytes, _) => bytes.len(),
            Stored::Int(_) | Stored::Shared(_) => 0,
        }
    }
}

impl Entry {
    /// A new entry. `access` are the 24 access bits (see `access.rs`).
    pub fn new(
        key: &[u8],
        value: NewValue<'_>,
        deadline: Option<UnixMillis>,
        access: u32,
    ) -> Entry {
        Stored::with(value, |stored| Entry::build(key, stored, deadline, access))
    }

    fn build(key: &[u8], stored: Stored<'_>, deadline: Option<UnixMillis>, access: u32) -> Entry {
        let mut flags = stored.flags();
        if deadline.is_some() {
            flags |= DEADLINE;
        }
        if key.len() >= usize::from(u16::MAX) {
            flags |= LONG_KEY;
        }
        let shape = Shape {
            flags,
            key_len: key.len(),
            value_len: stored.inline_len(),
        };
        let layout = shape.layout();
        // SAFETY: the layout is never zero-sized (the header alone has 8 bytes). Every part the
        // header announces is written below, inside `layout.size()` bytes by Shape's arithmetic.
        unsafe {
            let Some(base) = NonNull::new(alloc(layout)) else {
                handle_alloc_error(layout)
            };
            let at = base.as_ptr();
            at.cast::<Header>().write(Header {
                meta: AtomicU32::new(flags | access << ACCESS_SHIFT),
                key_len: u16::try_from(key.len()).unwrap_or(u16::MAX),
                value_len: shape.value_len as u16,
            });
            if let Some(deadline) = deadline {
                at.add(Shape::deadline_offset())
                    .cast::<i64>()
                    .write(deadline.0);
            }
            if flags & LONG_KEY != 0 {
                at.add(shape.long_key_offset())
                    .cast::<u64>()
                    .write(key.len() as u64);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), at.add(shape.key_offset()), key.len());
            let mut entry = Entry(base);
            entry.write_value(shape, stored);
            entry
        }
    }

    /// Writes the value's part; the header already has `shape`.
    ///
    /// # Safety
    /// `shape` must be this entry's shape with the stored form's flags and length, and the old
    /// value, if there was one, must have been dropped or moved out.
    unsafe fn write_value(&mut self, shape: Shape, stored: Stored<'_>) {
        let at = self.0.as_ptr();
        // SAFETY: offsets are inside the allocation by the caller's promise.
        unsafe {
            match stored {
                Stored::Int(number) => at.add(shape.word_offset()).cast::<i64>().write(number),
                Stored::Inline(bytes, _) => {
                    ptr::copy_nonoverlapping(
                        bytes.as_ptr(),
                        at.add(shape.value_offset()),
                        bytes.len(),
                    );
                }
                Stored::Shared(shared) => at
                    .add(shape.word_offset())
                    .cast::<Arc<Vec<u8>>>()
                    .write(shared),
            }
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the allocation starts with an initialised header and lives as long as `self`.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    #[inline]
    fn flags(&self) -> u32 {
        self.header().meta.load(Ordering::Relaxed)
    }

    #[inline]
    fn shape(&self) -> Shape {
        let header = self.header();
        let flags = self.flags();
        let mut shape = Shape {
            flags,
            key_len: usize::from(header.key_len),
            value_len: usize::from(header.value_len),
        };
        if flags & LONG_KEY != 0 {
            // SAFETY: LONG_KEY says that the length stands at this offset.
            shape.key_len = unsafe {
                self.0
                    .as_ptr()
                    .add(shape.long_key_offset())
                    .cast::<u64>()
                    .read() as usize
            };
        }
        shape
    }

    /// The key's bytes.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: `key_len` initialised bytes stand at `key_offset`.
        unsafe {
            std::slice::from_raw_parts(self.0.as_ptr().add(shape.key_offset()), shape.key_len)
        }
    }

    /// The value, borrowed.
    #[inline]
    pub fn value(&self) -> Value<'_> {
        let shape = self.shape();
        let at = self.0.as_ptr();
        // SAFETY: the kind says which part is there, and `write_value` put it there as what it is
        // read as here. Words are aligned: they come before the key.
        unsafe {
            match shape.flags & KIND_MASK {
                KIND_INT => Value::Int(at.add(shape.word_offset()).cast::<i64>().read()),
                KIND_SHARED => Value::Shared(&*at.add(shape.word_offset()).cast::<Arc<Vec<u8>>>()),
                _ => Value::Inline(std::slice::from_raw_parts(
                    at.add(shape.value_offset()),
                    shape.value_len,
                )),
            }
        }
    }

    /// When the key expires, if ever.
    #[inline]
    pub fn deadline(&self) -> Option<UnixMillis> {
        if self.flags() & DEADLINE == 0 {
            return None;
        }
        // SAFETY: DEADLINE says that it is there.
        let at = unsafe {
            self.0
                .as_ptr()
                .add(Shape::deadline_offset())
                .cast::<i64>()
                .read()
        };
        Some(UnixMillis(at))
    }

    /// The 24 access bits.
    #[inline]
    pub fn access(&self) -> u32 {
        self.flags() >> ACCESS_SHIFT
    }

    /// Replaces the 24 access bits.
    #[inline]
    pub fn set_access(&self, access: u32) {
        let meta = &self.header().meta;
        let kept = meta.load(Ordering::Relaxed) & ((1 << ACCESS_SHIFT) - 1);
        meta.store(kept | access << ACCESS_SHIFT, Ordering::Relaxed);
    }

    /// Bytes this entry occupies in the allocator, its long value included.
    pub fn allocated(&self) -> usize {
        let own = self.shape().allocated();
        match self.value() {
            Value::Shared(shared) => own + size_class(shared.capacity()) + size_class(40),
            Value::Int(_) | Value::Inline(_) => own,
        }
    }

    /// The name of the value's type, as TYPE gives it.
    pub fn type_name(&self) -> &'static str {
        match self.value() {
            Value::Int(_) | Value::Inline(_) | Value::Shared(_) => "string",
        }
    }

    /// Redis's name of the value's encoding.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            Value::Int(_) => "int",
            Value::Inline(_) if self.raw_with(self.flags() & DEADLINE != 0) == 0 => "embstr",
            Value::Inline(_) | Value::Shared(_) => "raw",
        }
    }

    /// `RAW` if an inline value counts as raw, with or without a deadline beside it.
    fn raw_with(&self, deadline: bool) -> u32 {
        let shape = self.shape();
        let bytes = shape.key_len + shape.value_len + if deadline { 8 } else { 0 };
        if bytes <= EMBEDDED_BYTES_MAX {
            shape.flags & RAW
        } else {
            RAW
        }
    }

    /// Replaces the value, keeping key, deadline and access bits. In place when the size class
    /// allows. Returns what was replaced if it is large enough to be worth freeing elsewhere.
    pub fn set_value(&mut self, value: NewValue<'_>) -> Option<Arc<Vec<u8>>> {
        Stored::with(value, |stored| {
            let old = self.shape();
            let flags = stored.flags() | (old.flags & !(KIND_MASK | RAW));
            let new = Shape {
                flags,
                key_len: old.key_len,
                value_len: stored.inline_len(),
            };
            let replaced = self.take_shared();
            if new.allocated() == old.allocated() && new.key_offset() == old.key_offset() {
                // SAFETY: same key position, same allocation size; the old value was taken out, so
                // header and value may be rewritten.
                unsafe {
                    self.set_header(new);
                    self.write_value(new, stored);
                }
            } else {
                let access = self.access();
                *self = Entry::build(self.key(), stored, self.deadline(), access);
            }
            replaced
        })
    }

    /// Moves a shared value out, leaving an empty inline one without changing the allocation's size
    /// as `Drop` sees it.
    fn take_shared(&mut self) -> Option<Arc<Vec<u8>>> {
        let shape = self.shape();
        if shape.flags & KIND_MASK != KIND_SHARED {
            return None;
        }
        // SAFETY: the word is an owned Arc; turning the kind into INT (same layout) disowns it.
        unsafe {
            let word = self.0.as_ptr().add(shape.word_offset());
            let shared = word.cast::<Arc<Vec<u8>>>().read();
            word.cast::<i64>().write(0);
            let flags = (shape.flags & !KIND_MASK) | KIND_INT;
            self.set_header(Shape { flags, ..shape });
            Some(shared)
        }
    }

    /// # Safety
    /// The caller makes the parts that the new header announces valid before anything reads them.
    unsafe fn set_header(&mut self, shape: Shape) {
        // SAFETY: exclusive access through `&mut self`; the header is plain data.
        let header = unsafe { self.0.cast::<Header>().as_mut() };
        *header.meta.get_mut() = shape.flags;
        header.value_len = shape.value_len as u16;
    }

    /// Sets or removes the deadline.
    pub fn set_deadline(&mut self, deadline: Option<UnixMillis>) {
        match (self.flags() & DEADLINE != 0, deadline) {
            (true, Some(at)) => {
                // SAFETY: DEADLINE says that its place is there; access is exclusive.
                unsafe {
                    self.0
                        .as_ptr()
                        .add(Shape::deadline_offset())
                        .cast::<i64>()
                        .write(at.0);
                }
            }
            (false, None) => {}
            (true, None) | (false, Some(_)) => self.rebuild(deadline),
        }
    }

    fn rebuild(&mut self, deadline: Option<UnixMillis>) {
        let access = self.access();
        // Compat: a string that becomes raw with its deadline stays so without it.
        let raw = self.raw_with(true);
        let shared = self.take_shared();
        let rebuilt = {
            let stored = match (shared, self.value()) {
                (Some(shared), _) => Stored::Shared(shared),
                (None, Value::Int(number)) => Stored::Int(number),
                (None, Value::Inline(bytes)) => Stored::Inline(bytes, raw),
                // Invariant: take_shared leaves no shared value behind.
                (None, Value::Shared(_)) => unreachable!("taken out above"),
            };
            Entry::build(self.key(), stored, deadline, access)
        };
        *self = rebuilt;
    }

    /// The same value, deadline and access bits under another key (RENAME, COPY).
    pub fn with_key(&self, key: &[u8]) -> Entry {
        let stored = match self.value() {
            Value::Int(number) => Stored::Int(number),
            // Compat: what has become raw, by an edit or by a long key, stays so.
            Value::Inline(bytes) => Stored::Inline(bytes, self.raw_with(self.deadline().is_some())),
            Value::Shared(shared) => Stored::Shared(Arc::clone(shared)),
        };
        Entry::build(key, stored, self.deadline(), self.access())
    }

    /// Gives `edit` the string as a growable buffer and stores what it leaves, as an edited value.
    /// A long string is edited in place unless a reply still borrows it.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        if self.flags() & KIND_MASK == KIND_SHARED {
            let offset = self.shape().word_offset();
            // SAFETY: the word is an owned `Arc<Vec<u8>>`; access is exclusive.
            let shared = unsafe { &mut *self.0.as_ptr().add(offset).cast::<Arc<Vec<u8>>>() };
            edit(Arc::make_mut(shared));
            return;
        }
        let mut buffer = self.value().bytes(&mut [0; I64_TEXT_MAX]).to_vec();
        edit(&mut buffer);
        if buffer.len() <= INLINE_BYTES_MAX {
            self.set_value(NewValue::Edited(&buffer));
        } else {
            self.set_value(NewValue::Owned(buffer));
        }
    }

    /// The string's bytes, to be edited in place as an edited value; grown with zeros to at least
    /// `len` bytes first. Copied only when it has to move for that, or while a reply borrows it.
    pub fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        if !self.has_inline_room(len) {
            self.edit(|buffer| grow_with_zeros(buffer, len));
        }
        let shape = self.shape();
        let at = self.0.as_ptr();
        if shape.flags & KIND_MASK == KIND_SHARED {
            // SAFETY: the word is an owned `Arc<Vec<u8>>`; access is exclusive.
            let shared = unsafe { &mut *at.add(shape.word_offset()).cast::<Arc<Vec<u8>>>() };
            return Arc::make_mut(shared).as_mut_slice();
        }
        let new = Shape {
            flags: shape.flags | RAW,
            value_len: shape.value_len.max(len),
            ..shape
        };
        // SAFETY: what is not shared is inline here, since `edit` stores no integer. The new end is
        // inside the allocation, as `has_inline_room` says or because the value has it already.
        // Bytes up to the old length are initialised, those beyond are written now.
        unsafe {
            let value = at.add(shape.value_offset());
            ptr::write_bytes(
                value.add(shape.value_len),
                0,
                new.value_len - shape.value_len,
            );
            self.set_header(new);
            std::slice::from_raw_parts_mut(value, new.value_len)
        }
    }

    /// Whether the value is an inline string which, grown to `len` bytes if it is shorter, stays in
    /// its size class.
    fn has_inline_room(&self, len: usize) -> bool {
        let old = self.shape();
        let new = Shape {
            value_len: old.value_len.max(len),
            ..old
        };
        old.flags & KIND_MASK == KIND_INLINE
            && new.value_len <= INLINE_BYTES_MAX
            && new.allocated() == old.allocated()
    }

    /// Appends to an inline string in place if its size class has room; `false` if it has not.
    pub fn append_in_place(&mut self, tail: &[u8]) -> bool {
        let old = self.shape();
        let len = old.value_len + tail.len();
        if old.flags & KIND_MASK != KIND_INLINE || len > INLINE_BYTES_MAX {
            return false;
        }
        let new = Shape {
            flags: old.flags | RAW,
            value_len: len,
            ..old
        };
        if new.allocated() != old.allocated() {
            return false;
        }
        // SAFETY: the new end is inside the allocation, whose size class is unchanged.
        unsafe {
            let end = self.0.as_ptr().add(old.value_offset() + old.value_len);
            ptr::copy_nonoverlapping(tail.as_ptr(), end, tail.len());
            self.set_header(new);
        }
        true
    }

    /// Address of the entry, for prefetching only.
    #[inline]
    pub fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Takes the long value out before the entry goes, so that it can be freed elsewhere.
    pub fn into_shared(self) -> Option<Arc<Vec<u8>>> {
        let mut entry = self;
        entry.take_shared()
    }
}

/// Grows `buffer` to at least `len` bytes. One that becomes much longer is replaced by one that the
/// allocator hands out as zeros, so that setting a far bit does not touch all that lies before it.
pub fn grow_with_zeros(buffer: &mut Vec<u8>, len: usize) {
    if len / 2 > buffer.capacity() {
        let mut grown = vec![0; len];
        grown[..buffer.len()].copy_from_slice(buffer);
        *buffer = grown;
    } else if len > buffer.len() {
        buffer.resize(len, 0);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        drop(self.take_shared());
        // SAFETY: allocated by `build` with the layout that the (possibly edited) header still
        // describes: every edit keeps the size class.
        unsafe { dealloc(self.0.as_ptr(), self.shape().layout()) }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("value", &self.value())
            .field("deadline", &self.deadline())
            .finish()
    }
}

/// An entry is exactly one pointer, with a niche: seven of them and their tags fill a bucket.
const _: () = assert!(size_of::<Option<Entry>>() == 8);

#[cfg(test)]
mod tests;
