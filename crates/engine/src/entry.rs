//! One key with its value, deadline and access bits in ONE allocation reached by one pointer.
//!
//! ```text
//!  byte 0      4       6       8
//!      +------+-------+-------+----------+----------+-------------+-----------+--------------+
//!      | meta | key   | value | deadline | long key | word        | key bytes | value bytes  |
//!      | u32  | length| length| i64      | u64      | i64 or ptr  |           | (inline)     |
//!      +------+-------+-------+----------+----------+-------------+-----------+--------------+
//!                               if DEADLINE  if LONG_KEY  if not inline         if inline
//!  meta: bits 0..4 kind, bit 4 DEADLINE, bit 5 LONG_KEY, bit 6 EPOCH, bit 7 TIMED,
//!        bits 8..32 access
//! ```
//!
//! Inline are short strings and small packed collections; a word is an integer, a long string or a
//! large collection.
//!
//! Invariants between calls: the allocation has `Shape::allocated` bytes, a jemalloc size class, so
//! that a value may grow and shrink in place within its class; the parts that the header announces
//! are initialised; a `KIND_SHARED` word is one owned `Arc<Vec<u8>>`, a `KIND_OBJECT` word one
//! owned `Box<Object>`.
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
use structs::Form;
use structs::collection::form_encoding;

use crate::object::{Object, Type};

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
/// Which of two epochs the entry is of; see `snapshot`.
const EPOCH: u32 = 1 << 6;
/// Some of the collection's elements have deadlines of their own.
const TIMED: u32 = 1 << 7;
const ACCESS_SHIFT: u32 = 8;

const KIND_INLINE: u32 = 0;
const KIND_INT: u32 = 1;
const KIND_SHARED: u32 = 2;
const KIND_OBJECT: u32 = 3;
/// Packed collections: this plus the index of the form in `FORMS`.
const KIND_PACKED: u32 = 4;
/// An inline string that counts as `raw`.
const KIND_RAW: u32 = 10;

/// The packed forms, by their number in an entry.
pub(crate) const FORMS: [Form; 6] = [
    Form::List,
    Form::Ints,
    Form::Set,
    Form::Hash,
    Form::TimedHash,
    Form::Zset,
];

/// The kind of a packed collection.
fn packed_kind(form: Form) -> u32 {
    KIND_PACKED + form as u32
}

/// When the first field of a packed collection of this kind is due.
#[inline]
fn packed_soonest(kind: u32, bytes: &[u8]) -> Option<UnixMillis> {
    if kind == packed_kind(Form::TimedHash) {
        structs::hash::packed_soonest(bytes)
    } else {
        None
    }
}

fn timed_flag(soonest: Option<UnixMillis>) -> u32 {
    if soonest.is_some() { TIMED } else { 0 }
}

/// Whether the value is inside the entry.
fn is_inline(flags: u32) -> bool {
    !(KIND_INT..=KIND_OBJECT).contains(&(flags & KIND_MASK))
}

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
    /// A small packed collection of at most `INLINE_BYTES_MAX` bytes.
    Packed(Form, &'a [u8]),
    /// Any other collection.
    Object(Box<Object>),
}

/// What an entry holds, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// A small packed collection inside the entry.
    Packed(Form, &'a [u8]),
    /// Any other collection.
    Object(&'a Object),
}

/// A value that is worth freeing elsewhere.
#[derive(Debug)]
pub enum Large {
    /// A long string.
    Text(Arc<Vec<u8>>),
    /// A collection.
    Object(Box<Object>),
}

/// A string, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// An integer stored in binary.
    Int(i64),
    /// A short string inside the entry.
    Inline(&'a [u8]),
    /// A long string; clone the `Arc` to keep it beyond the lease.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Text<'a> {
    /// The string; the digits of an integer are written to `digits`.
    #[inline]
    pub fn bytes(self, digits: &'a mut [u8; I64_TEXT_MAX]) -> &'a [u8] {
        match self {
            Text::Int(number) => format_i64(number, digits),
            Text::Inline(bytes) => bytes,
            Text::Shared(shared) => shared,
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
            Text::Int(number) => digits_of_i64(number),
            Text::Inline(bytes) => bytes.len(),
            Text::Shared(shared) => shared.len(),
        }
    }
}

/// An owned entry; dropping it frees key and value.
pub struct Entry(NonNull<u8>);

// SAFETY: an entry owns its allocation and the `Arc` or `Box` in it, all of which may move between
// threads (`Large` is `Send`, see below).
unsafe impl Send for Entry {}
// SAFETY: through a shared reference only the atomic access bits change.
unsafe impl Sync for Entry {}

const fn is_send_and_sync<T: Send + Sync>() {}
const _: () = is_send_and_sync::<Large>();

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
        self.word_offset() + if is_inline(self.flags) { 0 } else { 8 }
    }

    fn value_offset(self) -> usize {
        self.key_offset() + self.key_len
    }

    fn is_inline_text(self) -> bool {
        matches!(self.flags & KIND_MASK, KIND_INLINE | KIND_RAW)
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

/// A `NewValue` sorted into the stored forms.
enum Stored<'a> {
    Int(i64),
    /// The bytes, and their kind.
    Inline(&'a [u8], u32),
    Shared(Arc<Vec<u8>>),
    Object(Box<Object>),
}

impl<'a> Stored<'a> {
    /// Takes buffers over where the caller gives them away.
    fn with<R>(value: NewValue<'_>, use_it: impl FnOnce(Stored<'_>) -> R) -> R {
        match value {
            NewValue::Int(number) => use_it(Stored::Int(number)),
            NewValue::Bytes(bytes) => use_it(Stored::of_bytes(bytes, KIND_INLINE)),
            NewValue::Edited(bytes) => use_it(Stored::of_bytes(bytes, KIND_RAW)),
            NewValue::Owned(bytes) if bytes.len() > INLINE_BYTES_MAX => {
                use_it(Stored::Shared(Arc::new(bytes)))
            }
            NewValue::Owned(bytes) => use_it(Stored::Inline(&bytes, KIND_INLINE)),
            NewValue::Shared(shared) => use_it(Stored::Shared(shared)),
            NewValue::Packed(form, bytes) => use_it(Stored::Inline(bytes, packed_kind(form))),
            NewValue::Object(object) => use_it(Stored::Object(object)),
        }
    }

    fn of_bytes(bytes: &'a [u8], kind: u32) -> Stored<'a> {
        if bytes.len() <= INLINE_BYTES_MAX {
            Stored::Inline(bytes, kind)
        } else {
            Stored::Shared(Arc::new(bytes.to_vec()))
        }
    }

    fn of_large(large: Large) -> Stored<'a> {
        match large {
            Large::Text(shared) => Stored::Shared(shared),
            Large::Object(object) => Stored::Object(object),
        }
    }

    fn flags(&self) -> u32 {
        match self {
            Stored::Int(_) => KIND_INT,
            Stored::Inline(bytes, kind) => kind | timed_flag(packed_soonest(*kind, bytes)),
            Stored::Shared(_) => KIND_SHARED,
            Stored::Object(object) => KIND_OBJECT | timed_flag(object.soonest()),
        }
    }

    fn inline_len(&self) -> usize {
        match self {
            Stored::Inline(bytes, _) => bytes.len(),
            Stored::Int(_) | Stored::Shared(_) | Stored::Object(_) => 0,
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
                Stored::Object(object) => at
                    .add(shape.word_offset())
                    .cast::<Box<Object>>()
                    .write(object),
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
                KIND_INT => {
                    Value::Text(Text::Int(at.add(shape.word_offset()).cast::<i64>().read()))
                }
                KIND_SHARED => Value::Text(Text::Shared(
                    &*at.add(shape.word_offset()).cast::<Arc<Vec<u8>>>(),
                )),
                KIND_OBJECT => Value::Object(&*at.add(shape.word_offset()).cast::<Box<Object>>()),
                kind => {
                    let bytes =
                        std::slice::from_raw_parts(at.add(shape.value_offset()), shape.value_len);
                    match kind {
                        KIND_INLINE | KIND_RAW => Value::Text(Text::Inline(bytes)),
                        _ => Value::Packed(FORMS[(kind - KIND_PACKED) as usize], bytes),
                    }
                }
            }
        }
    }

    /// The string, if the value is one.
    #[inline]
    pub fn text(&self) -> Option<Text<'_>> {
        match self.value() {
            Value::Text(text) => Some(text),
            Value::Packed(..) | Value::Object(_) => None,
        }
    }

    /// The large collection, if the value is one.
    #[inline]
    pub fn object(&self) -> Option<&Object> {
        match self.value() {
            Value::Object(object) => Some(object),
            Value::Text(_) | Value::Packed(..) => None,
        }
    }

    /// Whether the value is a large collection.
    #[inline]
    pub fn is_object(&self) -> bool {
        self.flags() & KIND_MASK == KIND_OBJECT
    }

    /// Gives `change` the large collection; `None` if the value is anything else.
    #[inline]
    pub fn change_object<R>(&mut self, change: impl FnOnce(&mut Object) -> R) -> Option<R> {
        if !self.is_object() {
            return None;
        }
        let shape = self.shape();
        // SAFETY: the word is an owned `Box<Object>`; access is exclusive.
        let object = unsafe {
            &mut *self
                .0
                .as_ptr()
                .add(shape.word_offset())
                .cast::<Box<Object>>()
        };
        let result = change(object);
        let timed = timed_flag(object.soonest());
        if timed != shape.flags & TIMED {
            let meta = &self.header().meta;
            meta.store(self.flags() ^ TIMED, Ordering::Relaxed);
        }
        Some(result)
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

    /// Whether elements of the collection have deadlines of their own.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.flags() & TIMED != 0
    }

    /// When something has to be done here: the key expires, or an element of its collection does.
    /// Never later than that, if ever.
    #[inline]
    pub fn due(&self) -> Option<UnixMillis> {
        let deadline = self.deadline();
        if !self.is_timed() {
            return deadline;
        }
        let soonest = match self.value() {
            Value::Packed(_, bytes) => structs::hash::packed_soonest(bytes),
            Value::Object(object) => object.soonest(),
            Value::Text(_) => None,
        };
        match (deadline, soonest) {
            (Some(deadline), Some(soonest)) => Some(deadline.min(soonest)),
            (one, other) => one.or(other),
        }
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

    /// Which of the two epochs it is of; see `snapshot`. A new entry has yet to be told.
    #[inline]
    pub fn epoch(&self) -> bool {
        self.flags() & EPOCH != 0
    }

    /// Makes it one of this epoch. Under the stripe's lock only.
    #[inline]
    pub fn set_epoch(&self, epoch: bool) {
        let meta = &self.header().meta;
        let others = meta.load(Ordering::Relaxed) & !EPOCH;
        meta.store(others | if epoch { EPOCH } else { 0 }, Ordering::Relaxed);
    }

    /// Bytes this entry occupies in the allocator, its large value included.
    pub fn allocated(&self) -> usize {
        let own = self.shape().allocated();
        match self.value() {
            Value::Text(Text::Shared(shared)) => {
                own + size_class(shared.capacity()) + size_class(40)
            }
            Value::Object(object) => own + object.allocated(),
            Value::Text(_) | Value::Packed(..) => own,
        }
    }

    /// The type of the value.
    #[inline]
    pub fn kind(&self) -> Type {
        match self.value() {
            Value::Text(_) => Type::String,
            Value::Packed(form, _) => Type::of_form(form),
            Value::Object(object) => object.kind(),
        }
    }

    /// Redis's name of the value's encoding.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            Value::Text(Text::Int(_)) => "int",
            Value::Text(Text::Inline(_))
                if self.text_kind_with(self.flags() & DEADLINE != 0) == KIND_INLINE =>
            {
                "embstr"
            }
            Value::Text(Text::Inline(_) | Text::Shared(_)) => "raw",
            Value::Packed(form, _) => form_encoding(form),
            Value::Object(object) => object.encoding(),
        }
    }

    /// The kind of an inline string, which may be raw, with or without a deadline beside it.
    fn text_kind_with(&self, deadline: bool) -> u32 {
        let shape = self.shape();
        let bytes = shape.key_len + shape.value_len + if deadline { 8 } else { 0 };
        if bytes <= EMBEDDED_BYTES_MAX {
            shape.flags & KIND_MASK
        } else {
            KIND_RAW
        }
    }

    /// Replaces the value, keeping key, deadline and access bits. In place when the size class
    /// allows. Returns what was replaced if it may be worth freeing elsewhere.
    pub fn set_value(&mut self, value: NewValue<'_>) -> Option<Large> {
        Stored::with(value, |stored| {
            let old = self.shape();
            let flags = stored.flags() | (old.flags & !(KIND_MASK | TIMED));
            let new = Shape {
                flags,
                key_len: old.key_len,
                value_len: stored.inline_len(),
            };
            let replaced = self.take_large();
            if new.allocated() == old.allocated() && new.key_offset() == old.key_offset() {
                // SAFETY: same key position, same allocation size; the old value was taken out, so
                // header and value may be rewritten.
                unsafe {
                    self.set_header(new);
                    self.write_value(new, stored);
                }
            } else {
                *self = self.built_anew(stored, self.deadline());
            }
            replaced
        })
    }

    /// Moves a value out that has an allocation of its own, leaving an integer without changing the
    /// allocation's size as `Drop` sees it.
    fn take_large(&mut self) -> Option<Large> {
        let shape = self.shape();
        let kind = shape.flags & KIND_MASK;
        if kind != KIND_SHARED && kind != KIND_OBJECT {
            return None;
        }
        // SAFETY: the word is what the kind says, and owned; turning the kind into INT (same
        // layout) disowns it.
        unsafe {
            let word = self.0.as_ptr().add(shape.word_offset());
            let large = if kind == KIND_SHARED {
                Large::Text(word.cast::<Arc<Vec<u8>>>().read())
            } else {
                Large::Object(word.cast::<Box<Object>>().read())
            };
            word.cast::<i64>().write(0);
            let flags = (shape.flags & !(KIND_MASK | TIMED)) | KIND_INT;
            self.set_header(Shape { flags, ..shape });
            Some(large)
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
        let rebuilt = match self.take_large() {
            Some(large) => self.built_anew(Stored::of_large(large), deadline),
            // Compat: a string that becomes raw with its deadline stays so without it.
            None => self.built_anew(self.stored_inline(true), deadline),
        };
        *self = rebuilt;
    }

    /// An entry with this one's key, access bits and epoch.
    fn built_anew(&self, stored: Stored<'_>, deadline: Option<UnixMillis>) -> Entry {
        let entry = Entry::build(self.key(), stored, deadline, self.access());
        entry.set_epoch(self.epoch());
        entry
    }

    /// The value of an entry that holds no large one, to be built anew; its strings count as raw or
    /// not as they would with or without a deadline.
    fn stored_inline(&self, deadline: bool) -> Stored<'_> {
        match self.value() {
            Value::Text(Text::Int(number)) => Stored::Int(number),
            Value::Text(Text::Inline(bytes)) => {
                Stored::Inline(bytes, self.text_kind_with(deadline))
            }
            Value::Packed(form, bytes) => Stored::Inline(bytes, packed_kind(form)),
            // Invariant: the caller has taken a large value out, or copied it.
            Value::Text(Text::Shared(_)) | Value::Object(_) => unreachable!("taken out before"),
        }
    }

    /// A copy under another key, with the same deadline and access bits (COPY).
    #[must_use]
    pub fn copied(&self, key: &[u8]) -> Entry {
        let stored = match self.value() {
            Value::Text(Text::Shared(shared)) => Stored::Shared(Arc::clone(shared)),
            Value::Object(object) => Stored::Object(Box::new(object.duplicate())),
            // Compat: what has become raw, by an edit or by a long key, stays so.
            _ => self.stored_inline(self.deadline().is_some()),
        };
        Entry::build(key, stored, self.deadline(), self.access())
    }

    /// The same value, deadline and access bits under another key (RENAME).
    #[must_use]
    pub fn renamed(mut self, key: &[u8]) -> Entry {
        let large = self.take_large();
        let stored = match large {
            Some(large) => Stored::of_large(large),
            None => self.stored_inline(self.deadline().is_some()),
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
        let mut digits = [0; I64_TEXT_MAX];
        let mut buffer = self
            .text()
            .map_or(&[][..], |text| text.bytes(&mut digits))
            .to_vec();
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
            flags: shape.flags & !KIND_MASK | KIND_RAW,
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
        old.is_inline_text()
            && new.value_len <= INLINE_BYTES_MAX
            && new.allocated() == old.allocated()
    }

    /// Appends to an inline string in place if its size class has room; `false` if it has not.
    pub fn append_in_place(&mut self, tail: &[u8]) -> bool {
        let old = self.shape();
        let len = old.value_len + tail.len();
        if !old.is_inline_text() || len > INLINE_BYTES_MAX {
            return false;
        }
        let new = Shape {
            flags: old.flags & !KIND_MASK | KIND_RAW,
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

    /// Takes the large value out before the entry goes, so that it can be freed elsewhere.
    pub fn into_large(self) -> Option<Large> {
        let mut entry = self;
        entry.take_large()
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
        drop(self.take_large());
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
