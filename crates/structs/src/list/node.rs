//! One node of a long list: a packed run of elements, one element too long for a run, or a run
//! compressed.
//!
//! A run's buffer may have free room on both sides, so that pushing and popping at either end moves
//! nothing. Only the nodes at a list's ends are changed often; an inner node is `tighten`ed to the
//! smallest allocation that holds it.

use std::sync::Arc;

use base::memory::size_class;

use super::{End, FRAME_BYTES};
use crate::lzf;
use crate::packed::{self, Element, Encoded};
use crate::shared::Shared;

/// See the module's head. Copies share the bytes until one of them changes them.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Elements: `bytes[start..]` is a packed body of `count`.
    Run {
        bytes: Shared<Vec<u8>>,
        start: u32,
        count: u32,
    },
    /// One long element's text.
    Single(Arc<[u8]>),
    /// A run of `count` elements and `len` bytes, compressed with LZF.
    Compressed {
        bytes: Arc<[u8]>,
        len: u32,
        count: u32,
    },
}

const _: () = assert!(size_of::<Node>() == 32);

/// Shorter runs are not worth compressing.
const COMPRESS_BYTES_MIN: usize = 48;
/// What compressing has to save.
const COMPRESS_GAIN_MIN: usize = 8;
/// The first buffer of a new run.
const FIRST_BYTES: usize = 128;

impl Node {
    /// A run that owns a packed body of `count` elements.
    pub(super) fn run(body: Vec<u8>, count: usize) -> Node {
        Node::Run {
            bytes: Shared::new(body),
            start: 0,
            count: count as u32,
        }
    }

    /// A run of one element.
    pub(super) fn of(element: Element<'_>) -> Node {
        let encoded = Encoded::new(element);
        let mut bytes = Vec::with_capacity(encoded.len());
        encoded.append_to(&mut bytes);
        Node::run(bytes, 1)
    }

    /// Number of elements.
    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Node::Run { count, .. } | Node::Compressed { count, .. } => *count as usize,
            Node::Single(_) => 1,
        }
    }

    /// Bytes of its elements: packed, or the text of a single one.
    #[inline]
    pub(super) fn len_bytes(&self) -> usize {
        match self {
            Node::Run { bytes, start, .. } => bytes.len() - *start as usize,
            Node::Compressed { len, .. } => *len as usize,
            Node::Single(text) => text.len(),
        }
    }

    /// Bytes of Redis's node with the same elements.
    pub(super) fn listpack_bytes(&self) -> usize {
        match self {
            Node::Single(text) => text.len(),
            Node::Run { .. } | Node::Compressed { .. } => self.len_bytes() + FRAME_BYTES,
        }
    }

    /// The element, if this is a single one.
    #[inline]
    pub(super) fn single(&self) -> Option<Element<'_>> {
        match self {
            Node::Single(text) => Some(Element::of(text)),
            Node::Run { .. } | Node::Compressed { .. } => None,
        }
    }

    /// The packed body; a compressed one is unpacked into `buffer`. Empty for a single element.
    #[inline]
    pub(super) fn body<'a>(&'a self, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Node::Run { bytes, start, .. } => &bytes[*start as usize..],
            Node::Single(_) => &[],
            Node::Compressed { bytes, len, .. } => {
                buffer.clear();
                // Invariant: `compress` made the bytes, from as many as `len`.
                lzf::decompress(bytes, *len as usize, buffer).expect("a node's own bytes");
                buffer
            }
        }
    }

    /// The element at an end, unless the node is compressed.
    #[inline]
    pub(super) fn end(&self, end: End) -> Option<Element<'_>> {
        match self {
            Node::Run { bytes, start, .. } => {
                let body = &bytes[*start as usize..];
                match end {
                    End::Head => packed::first(body),
                    End::Tail => packed::last(body),
                }
            }
            Node::Single(text) => Some(Element::of(text)),
            Node::Compressed { .. } => None,
        }
    }

    /// Adds an element to a run. `bytes_max` is what a run may grow to; buffers are not made larger
    /// than that without need.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Element<'_>, bytes_max: usize) {
        let Node::Run {
            bytes,
            start,
            count,
        } = self
        else {
            debug_assert!(false, "only runs are pushed to");
            return;
        };
        let bytes = &mut **bytes;
        let encoded = Encoded::new(element);
        match end {
            End::Tail => {
                if bytes.capacity() - bytes.len() < encoded.len() {
                    make_room_behind(bytes, start, encoded.len(), bytes_max);
                }
                encoded.append_to(bytes);
            }
            End::Head => {
                if (*start as usize) < encoded.len() {
                    make_room_before(bytes, start, encoded.len(), bytes_max);
                }
                *start -= encoded.len() as u32;
                encoded.write(&mut bytes[*start as usize..]);
            }
        }
        *count += 1;
    }

    /// Removes `removed` elements at an end of a run, fewer than it has.
    #[inline]
    pub(super) fn pop(&mut self, end: End, removed: usize) {
        let Node::Run {
            bytes,
            start,
            count,
        } = self
        else {
            debug_assert!(false, "a single element goes with its node");
            return;
        };
        let body = &bytes[*start as usize..];
        debug_assert!(removed < *count as usize);
        match end {
            End::Head => {
                let at = packed::seek(body, removed).unwrap_or(body.len());
                *start += at as u32;
            }
            End::Tail => {
                let mut at = body.len();
                for _ in 0..removed {
                    at = packed::previous(body, at).unwrap_or(0);
                }
                bytes.truncate(*start as usize + at);
            }
        }
        *count -= removed as u32;
    }

    /// Gives `change` the packed body of a run; it returns how many elements there are afterwards.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>, usize) -> usize) {
        self.decompress();
        let Node::Run {
            bytes,
            start,
            count,
        } = self
        else {
            debug_assert!(false, "only runs are edited");
            return;
        };
        let bytes = &mut **bytes;
        bytes.drain(..*start as usize);
        *start = 0;
        *count = change(bytes, *count as usize) as u32;
    }

    /// Cuts a run in two: keeps the first `kept` elements, returns the others. Neither is empty.
    pub(super) fn split(&mut self, kept: usize) -> Node {
        let mut rest = Node::run(Vec::new(), 0);
        self.edit(|body, count| {
            let at = packed::seek(body, kept).unwrap_or(body.len());
            rest = Node::run(body[at..].to_vec(), count - kept);
            body.truncate(at);
            kept
        });
        self.tighten();
        rest
    }

    /// Adds all elements of another run behind those of this one.
    pub(super) fn append(&mut self, other: &Node) {
        let mut buffer = Vec::new();
        let tail = other.body(&mut buffer);
        self.edit(|body, count| {
            reserve(body, tail.len());
            packed::append(body, tail);
            count + other.count()
        });
    }

    /// Gives back room that the elements do not need.
    pub(super) fn tighten(&mut self) {
        if let Node::Run { bytes, start, .. } = self {
            let len = bytes.len() - *start as usize;
            if size_class(bytes.capacity()) > size_class(len) {
                let bytes = &mut **bytes;
                bytes.drain(..*start as usize);
                *start = 0;
                bytes.shrink_to(size_class(len));
            }
        }
    }

    /// Compresses a run, if that saves something.
    pub(super) fn compress(&mut self) {
        let Node::Run {
            bytes,
            start,
            count,
        } = self
        else {
            return;
        };
        let body = &bytes[*start as usize..];
        if body.len() < COMPRESS_BYTES_MIN {
            return;
        }
        let mut compressed = Vec::new();
        if lzf::compress(body, body.len() - COMPRESS_GAIN_MIN, &mut compressed) {
            *self = Node::Compressed {
                len: body.len() as u32,
                count: *count,
                bytes: compressed.into(),
            };
        }
    }

    /// Makes a run of what is compressed.
    pub(super) fn decompress(&mut self) {
        if let Node::Compressed { len, count, .. } = *self {
            let mut bytes = Vec::with_capacity(len as usize);
            self.body(&mut bytes);
            *self = Node::run(bytes, count as usize);
        }
    }

    /// Bytes on the heap.
    pub(super) fn allocated(&self) -> usize {
        match self {
            Node::Run { bytes, .. } => {
                Shared::<Vec<u8>>::allocated() + size_class(bytes.capacity())
            }
            Node::Single(bytes) | Node::Compressed { bytes, .. } => {
                size_class(bytes.len() + 2 * size_of::<usize>())
            }
        }
    }
}

/// Room for `added` bytes behind those of a run that is edited in the middle, and no more.
pub(super) fn reserve(body: &mut Vec<u8>, added: usize) {
    if body.capacity() - body.len() < added {
        body.reserve_exact(size_class(body.len() + added) - body.len());
    }
}

/// The buffer for a run of `len` bytes that is growing: twice as large, but not larger than a run
/// may become.
fn grown(len: usize, bytes_max: usize) -> usize {
    let wanted = (2 * len).max(FIRST_BYTES).min(bytes_max);
    size_class(wanted.max(len))
}

/// Makes room for `added` bytes behind the elements; takes the room before them if there is enough.
#[cold]
fn make_room_behind(bytes: &mut Vec<u8>, start: &mut u32, added: usize, bytes_max: usize) {
    let before = *start as usize;
    let len = bytes.len() - before;
    // Moving pays only if it makes room for as much as was moved.
    if before >= added && before >= len {
        bytes.drain(..before);
        *start = 0;
        return;
    }
    let mut larger = Vec::with_capacity(grown(len + added, bytes_max));
    larger.extend_from_slice(&bytes[before..]);
    *bytes = larger;
    *start = 0;
}

/// Makes room for `added` bytes before the elements, by moving them to the end of the buffer.
#[cold]
fn make_room_before(bytes: &mut Vec<u8>, start: &mut u32, added: usize, bytes_max: usize) {
    let before = *start as usize;
    let len = bytes.len() - before;
    let mut capacity = bytes.capacity();
    if capacity < 2 * len || capacity < len + added {
        capacity = grown(len + added, bytes_max);
    }
    let mut moved = vec![0; capacity];
    moved[capacity - len..].copy_from_slice(&bytes[before..]);
    *bytes = moved;
    *start = (capacity - len) as u32;
}
