//! The client's side: what is no reply, and limits. Round trips are in `reply`.

use proptest::collection::vec;
use proptest::prelude::*;
use resp::{DEPTH_MAX, DecodeError, Value, decode, encode_command, skip_reply};

const MALFORMED: &[&[u8]] = &[
    b"+OK\n",
    b":\r\n",
    b":x\r\n",
    b":01\r\n",
    b"$-2\r\n",
    b"$3\r\nabcd\r\n",
    b"$x\r\n",
    b"*-2\r\n",
    b"%-1\r\n",
    b"~-1\r\n",
    b"_x\r\n",
    b"#x\r\n",
    b",x\r\n",
    b"=3\r\nabc\r\n",
    b"$18446744073709551615\r\n",
    b"%9223372036854775807\r\n",
];

#[test]
fn malformed_replies_are_errors() {
    for bytes in MALFORMED {
        let shown = bytes.escape_ascii();
        // A promised map of 2^64 replies is malformed, one of 2^63 is only incomplete.
        let expected = match *bytes {
            b"%9223372036854775807\r\n" => Ok(None),
            _ => Err(DecodeError::Malformed),
        };
        assert_eq!(decode(bytes), expected, "{shown}");
    }
    assert_eq!(decode(b"?\r\n"), Err(DecodeError::Type(b'?')));
    assert_eq!(skip_reply(b"?\r\n"), Err(DecodeError::Type(b'?')));
    assert_eq!(decode(b"\r\n"), Err(DecodeError::Malformed));
}

#[test]
fn bulk_errors_and_odd_doubles_are_read() {
    let error = Value::Error(b"ERR x".to_vec());
    assert_eq!(decode(b"!5\r\nERR x\r\nrest"), Ok(Some((error, 11))));
    assert_eq!(
        decode(b",inf\r\n"),
        Ok(Some((Value::Double(f64::INFINITY), 6)))
    );
    assert_eq!(decode(b"*-1\r\n"), Ok(Some((Value::NullArray, 5))));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b"_\r\n".to_vec()].concat();
    assert!(matches!(decode(&nested(DEPTH_MAX)), Ok(Some(_))));
    assert_eq!(decode(&nested(DEPTH_MAX + 1)), Err(DecodeError::Depth));
    let deep = nested(1_000_000);
    assert_eq!(decode(&deep), Err(DecodeError::Depth));
    assert_eq!(skip_reply(&deep), Ok(Some(deep.len())));
}

#[test]
fn commands_are_arrays_of_bulks() {
    let mut out = b"x".to_vec();
    encode_command(&[b"SET", b"k", &[b'v'; 12]], &mut out);
    assert_eq!(
        out,
        b"x*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nvvvvvvvvvvvv\r\n"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..200)) {
        let _ = (decode(&bytes), skip_reply(&bytes));
    }

    #[test]
    fn bytes_that_look_like_replies_are_survived(
        text in "([*%~>$=!:,#_+-]-?[0-9a-z]{0,3}\r\n){0,20}",
    ) {
        let decoded = decode(text.as_bytes());
        if let Ok(Some((_, len))) = decoded {
            prop_assert_eq!(skip_reply(text.as_bytes()), Ok(Some(len)));
        }
    }
}
