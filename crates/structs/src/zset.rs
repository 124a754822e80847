//! Sorted sets.

use crate::collection::{Collection, Form, form_encoding};

/// A sorted set.
#[derive(Debug)]
pub enum Zset {
    /// Packed bytes.
    Packed(Form, Vec<u8>),
}

impl Default for Zset {
    fn default() -> Zset {
        Zset::Packed(Form::Zset, Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum ZsetRef<'a> {
    /// Packed bytes.
    Packed(Form, &'a [u8]),
}

impl Collection for Zset {
    type Ref<'a> = ZsetRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Zset)
    }

    fn view(form: Form, bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef::Packed(form, bytes)
    }

    fn from_packed(form: Form, bytes: Vec<u8>) -> Zset {
        Zset::Packed(form, bytes)
    }

    fn with_buffer(buffer: Vec<u8>) -> Zset {
        Zset::Packed(Form::Zset, buffer)
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        let Zset::Packed(form, bytes) = self;
        Some((*form, bytes))
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        let Zset::Packed(form, bytes) = self;
        Some((*form, std::mem::take(bytes)))
    }

    fn borrow(&self) -> ZsetRef<'_> {
        let Zset::Packed(form, bytes) = self;
        ZsetRef::Packed(*form, bytes)
    }

    fn len(&self) -> usize {
        let Zset::Packed(_, bytes) = self;
        bytes.len()
    }

    fn encoding(&self) -> &'static str {
        let Zset::Packed(form, _) = self;
        form_encoding(*form)
    }

    fn allocated(&self) -> usize {
        let Zset::Packed(_, bytes) = self;
        base::memory::size_class(bytes.capacity())
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Zset {
        let Zset::Packed(form, bytes) = self;
        Zset::Packed(*form, bytes.clone())
    }
}
