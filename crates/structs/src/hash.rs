//! Hashes.

use crate::collection::{Collection, Form, form_encoding};

/// A hash.
#[derive(Debug)]
pub enum Hash {
    /// Packed bytes.
    Packed(Form, Vec<u8>),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::Packed(Form::Hash, Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Packed bytes.
    Packed(Form, &'a [u8]),
}

impl Collection for Hash {
    type Ref<'a> = HashRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Hash | Form::TimedHash)
    }

    fn view(form: Form, bytes: &[u8]) -> HashRef<'_> {
        HashRef::Packed(form, bytes)
    }

    fn from_packed(form: Form, bytes: Vec<u8>) -> Hash {
        Hash::Packed(form, bytes)
    }

    fn with_buffer(buffer: Vec<u8>) -> Hash {
        Hash::Packed(Form::Hash, buffer)
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        let Hash::Packed(form, bytes) = self;
        Some((*form, bytes))
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        let Hash::Packed(form, bytes) = self;
        Some((*form, std::mem::take(bytes)))
    }

    fn borrow(&self) -> HashRef<'_> {
        let Hash::Packed(form, bytes) = self;
        HashRef::Packed(*form, bytes)
    }

    fn len(&self) -> usize {
        let Hash::Packed(_, bytes) = self;
        bytes.len()
    }

    fn encoding(&self) -> &'static str {
        let Hash::Packed(form, _) = self;
        form_encoding(*form)
    }

    fn allocated(&self) -> usize {
        let Hash::Packed(_, bytes) = self;
        base::memory::size_class(bytes.capacity())
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Hash {
        let Hash::Packed(form, bytes) = self;
        Hash::Packed(*form, bytes.clone())
    }
}
