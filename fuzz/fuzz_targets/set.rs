//! Packed sets from outside: what passes the check can be read, changed and turned into the other
//! forms; what does not is refused without a panic.
//!
//! `cargo +nightly fuzz run set`

#![no_main]

use base::hash::Seed;
use libfuzzer_sys::fuzz_target;
use structs::packed::IntText;
use structs::set::{Set, validate};
use structs::{Collection, Form, Member, Packing, intset};

/// Reads a set that was accepted, and changes it.
fn use_it(form: Form, bytes: &[u8], count: usize) {
    let packing = Packing::with_seed(Seed::from_u64(1));
    let view = Set::view(form, bytes);
    assert_eq!((view.len(), view.is_empty()), (count, count == 0));
    let texts = view.iter().map(|item| item.text(&mut IntText::default()).to_vec());
    let texts: Vec<Vec<u8>> = texts.collect();
    let mut set = Set::from_packed(form, bytes.to_vec());
    for text in texts.iter().take(32) {
        let member = Member::new(text, &packing.seed);
        assert!(view.contains(member) && !set.add(member, &packing));
    }
    set.add(Member::new(b"no number", &packing.seed), &packing);
    for text in &texts {
        assert!(set.remove(Member::new(text, &packing.seed)));
    }
}

fuzz_target!(|input: &[u8]| {
    for form in [Form::Ints, Form::Set] {
        if let Some(count) = validate(form, input) {
            use_it(form, input, count);
        }
    }
    if let Some((body, count)) = intset::from_intset(input) {
        use_it(Form::Ints, &body, count);
        let mut again = Vec::new();
        intset::to_intset(&body, &mut again);
        assert!(body.is_empty() || again == input);
    }
});
