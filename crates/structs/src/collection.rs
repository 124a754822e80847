//! What the engine needs to know of every collection type.

use base::hash::{Seed, hash_key};
use base::time::UnixMillis;

use crate::shared::{Passed, Release};

/// The packed forms. Their bytes may live inside a key's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A list's elements.
    List,
    /// A set of integers: sorted, of one width.
    Ints,
    /// A set's members.
    Set,
    /// A hash's fields and values in turn.
    Hash,
    /// Field, value and deadline of the field in turn; ordered by deadline.
    TimedHash,
    /// Members and scores in turn, in order.
    Zset,
}

/// A member of a set or sorted set, or a field of a hash, with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// As the client sent it.
    pub bytes: &'a [u8],
    /// `hash_key` of it under [`Packing::seed`](crate::Packing). The same seed is used for keys.
    pub hash: u64,
}

impl<'a> Member<'a> {
    /// A member whose hash is not known yet.
    #[inline]
    pub fn new(bytes: &'a [u8], seed: &Seed) -> Member<'a> {
        Member {
            bytes,
            hash: hash_key(seed, bytes),
        }
    }
}

/// An owned collection in whatever form suits it. `Default` is the empty one, packed if the type
/// has packed forms; making it does not allocate.
pub trait Collection: Default + Send + Sync + 'static {
    /// A view for reading; both an owned collection and packed bytes in an entry can be seen so.
    type Ref<'a>: Copy;

    /// Whether the type keeps packed bytes of this form.
    fn has_form(form: Form) -> bool;

    /// A view of packed bytes. `form` is one of the type's.
    fn view(form: Form, bytes: &[u8]) -> Self::Ref<'_>;

    /// A collection that owns packed bytes. `form` is one of the type's.
    fn from_packed(form: Form, bytes: Vec<u8>) -> Self;

    /// An empty collection that will write its packed bytes into this buffer.
    fn with_buffer(buffer: Vec<u8>) -> Self;

    /// Its bytes, while it is packed.
    fn packed(&self) -> Option<(Form, &[u8])>;

    /// Takes the buffer out, if it is packed; the collection is empty then.
    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)>;

    /// A view of it.
    fn borrow(&self) -> Self::Ref<'_>;

    /// Number of elements, expired fields of a hash included.
    fn len(&self) -> usize;

    /// Whether there is no element: the engine deletes its key then, unless the type may be empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Redis's name of its form, for OBJECT ENCODING.
    fn encoding(&self) -> &'static str;

    /// When the first of its elements that have deadlines of their own is due. No element is due
    /// before that moment.
    fn soonest(&self) -> Option<UnixMillis> {
        None
    }

    /// Bytes on the heap, as size classes; estimated from a sample for what is in many pieces.
    fn allocated(&self) -> usize;

    /// Number of allocations to be given back when it is dropped, roughly.
    fn free_effort(&self) -> usize;

    /// Address of what a look-up of a member with this hash reads at its `depth`th step from the
    /// structure inwards, for a prefetch. Reads only what lesser depths name. `None` from where
    /// there is nothing more to ask for.
    fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        let _ = (hash, depth);
        None
    }

    /// A copy. It shares what it can until one of the two is changed.
    fn duplicate(&self) -> Self;

    /// A copy for a snapshot: to be gone through once, in the order in which it is encoded.
    fn freeze(&self) -> Self {
        self.duplicate()
    }

    /// Lets go of what the reader of such a copy has passed; how many bytes that frees which were
    /// there twice.
    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        let _ = (passed, release);
        0
    }
}

/// Redis's name of a packed form.
pub const fn form_encoding(form: Form) -> &'static str {
    match form {
        Form::Ints => "intset",
        Form::TimedHash => "listpackex",
        Form::List | Form::Set | Form::Hash | Form::Zset => "listpack",
    }
}
