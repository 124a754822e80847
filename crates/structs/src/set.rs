//! Sets.

use crate::collection::{Collection, Form, form_encoding};

/// A set.
#[derive(Debug)]
pub enum Set {
    /// Packed bytes.
    Packed(Form, Vec<u8>),
}

impl Default for Set {
    fn default() -> Set {
        Set::Packed(Form::Set, Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Packed bytes.
    Packed(Form, &'a [u8]),
}

impl Collection for Set {
    type Ref<'a> = SetRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Ints | Form::Set)
    }

    fn view(form: Form, bytes: &[u8]) -> SetRef<'_> {
        SetRef::Packed(form, bytes)
    }

    fn from_packed(form: Form, bytes: Vec<u8>) -> Set {
        Set::Packed(form, bytes)
    }

    fn with_buffer(buffer: Vec<u8>) -> Set {
        Set::Packed(Form::Set, buffer)
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        let Set::Packed(form, bytes) = self;
        Some((*form, bytes))
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        let Set::Packed(form, bytes) = self;
        Some((*form, std::mem::take(bytes)))
    }

    fn borrow(&self) -> SetRef<'_> {
        let Set::Packed(form, bytes) = self;
        SetRef::Packed(*form, bytes)
    }

    fn len(&self) -> usize {
        let Set::Packed(_, bytes) = self;
        bytes.len()
    }

    fn encoding(&self) -> &'static str {
        let Set::Packed(form, _) = self;
        form_encoding(*form)
    }

    fn allocated(&self) -> usize {
        let Set::Packed(_, bytes) = self;
        base::memory::size_class(bytes.capacity())
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Set {
        let Set::Packed(form, bytes) = self;
        Set::Packed(*form, bytes.clone())
    }
}
