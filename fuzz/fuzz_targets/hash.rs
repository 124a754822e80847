//! Packed hashes from outside: what passes the check can be used and changed, and still passes it
//! then; what does not is refused without a panic.
//!
//! `cargo +nightly fuzz run hash`

#![no_main]

use base::hash::Seed;
use base::time::UnixMillis;
use libfuzzer_sys::fuzz_target;
use structs::hash::{Hash, Until, validate};
use structs::{Collection, Form, Member, Packing};

fuzz_target!(|input: &[u8]| {
    let [first, second, input @ ..] = input else {
        return;
    };
    let packing = Packing::with_seed(Seed::from_u64(1));
    for form in [Form::Hash, Form::TimedHash] {
        if !validate(form, input) {
            continue;
        }
        let mut hash = Hash::from_packed(form, input.to_vec());
        let now = UnixMillis(i64::from(*first));
        let later = UnixMillis(i64::from(*second));
        let len = hash.len();
        let seen = hash.borrow().each(UnixMillis(i64::MIN), |_, _| ());
        assert_eq!(seen, len);
        let field = Member::new(std::slice::from_ref(first), &packing.seed);
        hash.set(field, b"value", Until::Kept, &packing);
        hash.expire(now, 3, |_| ());
        hash.set(field, b"other", Until::At(later), &packing);
        hash.set_deadline(field, None);
        hash.remove(field);
        if let Some((form, bytes)) = hash.packed() {
            assert!(bytes.is_empty() || validate(form, bytes));
        }
    }
});
