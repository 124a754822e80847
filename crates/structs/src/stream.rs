//! Streams.

use crate::collection::{Collection, Form, form_encoding};

/// A stream.
#[derive(Debug)]
pub enum Stream {
    /// Packed bytes.
    Packed(Form, Vec<u8>),
}

impl Default for Stream {
    fn default() -> Stream {
        Stream::Packed(Form::List, Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum StreamRef<'a> {
    /// Packed bytes.
    Packed(Form, &'a [u8]),
}

impl Collection for Stream {
    type Ref<'a> = StreamRef<'a>;

    fn has_form(form: Form) -> bool {
        let _ = form;
        false
    }

    fn view(form: Form, bytes: &[u8]) -> StreamRef<'_> {
        StreamRef::Packed(form, bytes)
    }

    fn from_packed(form: Form, bytes: Vec<u8>) -> Stream {
        Stream::Packed(form, bytes)
    }

    fn with_buffer(buffer: Vec<u8>) -> Stream {
        Stream::Packed(Form::List, buffer)
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        let Stream::Packed(form, bytes) = self;
        Some((*form, bytes))
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        let Stream::Packed(form, bytes) = self;
        Some((*form, std::mem::take(bytes)))
    }

    fn borrow(&self) -> StreamRef<'_> {
        let Stream::Packed(form, bytes) = self;
        StreamRef::Packed(*form, bytes)
    }

    fn len(&self) -> usize {
        let Stream::Packed(_, bytes) = self;
        bytes.len()
    }

    fn encoding(&self) -> &'static str {
        let Stream::Packed(form, _) = self;
        form_encoding(*form)
    }

    fn allocated(&self) -> usize {
        let Stream::Packed(_, bytes) = self;
        base::memory::size_class(bytes.capacity())
    }

    fn free_effort(&self) -> usize {
        1
    }

    fn duplicate(&self) -> Stream {
        let Stream::Packed(form, bytes) = self;
        Stream::Packed(*form, bytes.clone())
    }
}
