//! Lists.

use crate::collection::{Collection, Form, form_encoding};

/// A list.
#[derive(Debug)]
pub enum List {
    /// Packed bytes.
    Packed(Form, Vec<u8>),
}

impl Default for List {
    fn default() -> List {
        List::Packed(Form::List, Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Packed bytes.
    Packed(Form, &'a [u8]),
}

impl Collection for List {
    type Ref<'a> = ListRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::List)
    }

    fn view(form: Form, bytes: &[u8]) -> ListRef<'_> {
        ListRef::Packed(form, bytes)
    }

    fn from_packed(form: Form, bytes: Vec<u8>) -> List {
        List::Packed(form, bytes)
    }

    fn with_buffer(buffer: Vec<u8>) -> List {
        List::Packed(Form::List, buffer)
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        let List::Packed(form, bytes) = self;
        Some((*form, bytes))
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        let List::Packed(form, bytes) = self;
        Some((*form, std::mem::take(bytes)))
    }

    fn borrow(&self) -> ListRef<'_> {
        let List::Packed(form, bytes) = self;
        ListRef::Packed(*form, bytes)
    }

    fn len(&self) -> usize {
        let List::Packed(_, bytes) = self;
        bytes.len()
    }

    fn encoding(&self) -> &'static str {
        let List::Packed(form, _) = self;
        form_encoding(*form)
    }

    fn allocated(&self) -> usize {
        let List::Packed(_, bytes) = self;
        base::memory::size_class(bytes.capacity())
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> List {
        let List::Packed(form, bytes) = self;
        List::Packed(*form, bytes.clone())
    }
}
