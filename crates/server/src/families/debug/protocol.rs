//! DEBUG PROTOCOL: one value of every type, for the tests of client libraries. The values are those
//! of Redis.

use base::strings::eq_ignore_case;
use engine::args::Args;
use engine::failure::Failure;
use resp::{Proto, Reply};

use crate::session::Session;

/// Redis's example, which is not meant as pi.
#[expect(clippy::approx_constant)]
const REDIS_DOUBLE: f64 = 3.141;

/// Writes a value.
type Write = fn(&mut Reply);

const TYPES: &[(&str, Write)] = &[
    ("string", |out| out.bulk(b"Hello World")),
    ("integer", |out| out.int(12345)),
    ("double", |out| out.double(REDIS_DOUBLE)),
    ("bignum", |out| {
        out.big_number(b"1234567999999999999999999999999999999");
    }),
    ("null", Reply::null),
    ("array", |out| {
        out.array(3);
        (0..3).for_each(|number| out.int(number));
    }),
    ("set", |out| {
        out.set(3);
        (0..3).for_each(|number| out.int(number));
    }),
    ("map", |out| {
        out.map(3);
        for number in 0..3 {
            out.int(number);
            out.boolean(number == 1);
        }
    }),
    ("attrib", attribute),
    ("push", push),
    ("verbatim", |out| {
        out.verbatim(b"txt", b"This is a verbatim\nstring");
    }),
    ("true", |out| out.boolean(true)),
    ("false", |out| out.boolean(false)),
];

/// An attribute stands before the reply it belongs to; RESP2 has none.
fn attribute(out: &mut Reply) {
    if out.proto() == Proto::Resp3 {
        out.raw(b"|1\r\n");
        out.bulk(b"key-popularity");
        out.array(2);
        out.bulk(b"key:123");
        out.int(90);
    }
    out.bulk(b"Some real reply following the attribute");
}

/// A message out of band; in Redis it comes after the reply of the command that caused it.
fn push(out: &mut Reply) {
    if out.proto() == Proto::Resp2 {
        return out.error(b"ERR RESP2 is not supported by this command");
    }
    out.bulk(b"Some real reply following the push reply");
    out.push(2);
    out.bulk(b"server-cpu-usage");
    out.int(42);
}

pub(super) fn protocol(
    _: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let name = args.bytes();
    let found = TYPES
        .iter()
        .find(|(kind, _)| eq_ignore_case(name, kind.as_bytes()));
    let (_, write) = found.ok_or_else(|| {
        let names: Vec<&str> = TYPES.iter().map(|(kind, _)| *kind).collect();
        Failure::owned(format!(
            "ERR Wrong protocol type name. Please use one of the following: {}",
            names.join("|")
        ))
    })?;
    write(out);
    Ok(())
}
