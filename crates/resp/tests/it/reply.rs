//! Replies: exact bytes in both protocols, reading them back, and the output queue against a plain
//! byte vector.

use std::io::IoSlice;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use resp::{Later, Mark, Proto, Reply, Value, decode, skip_reply};

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect()
}

/// All pending bytes.
fn pending(reply: &Reply) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 512];
    let filled = reply.io_slices(&mut slices, usize::MAX);
    let bytes = joined(&slices[..filled]);
    assert_eq!(bytes.len(), reply.len_bytes());
    if let Some(contiguous) = reply.contiguous() {
        assert_eq!(contiguous, bytes);
    }
    bytes
}

fn written(proto: Proto, write: impl Fn(&mut Reply)) -> String {
    let mut reply = Reply::new(proto);
    write(&mut reply);
    pending(&reply)
        .escape_ascii()
        .to_string()
        .replace("\\r\\n", " ")
}

type Form = (fn(&mut Reply), &'static str, &'static str);

/// A form, its bytes in RESP2, its bytes in RESP3 (line ends shown as spaces).
const FORMS: &[Form] = &[
    (|r| r.ok(), "+OK ", "+OK "),
    (|r| r.pong(), "+PONG ", "+PONG "),
    (|r| r.queued(), "+QUEUED ", "+QUEUED "),
    (|r| r.simple(b"a\r\nb"), "+a  b ", "+a  b "),
    (|r| r.error(b"ERR x"), "-ERR x ", "-ERR x "),
    (|r| r.error(b"\nERR a\r\nb\r\n"), "-ERR a  b ", "-ERR a  b "),
    (|r| r.error(b"\r\n"), "- ", "- "),
    (|r| r.int(0), ":0 ", ":0 "),
    (|r| r.int(9), ":9 ", ":9 "),
    (|r| r.int(63), ":63 ", ":63 "),
    (|r| r.int(64), ":64 ", ":64 "),
    (|r| r.int(-1), ":-1 ", ":-1 "),
    (
        |r| r.int(i64::MIN),
        ":-9223372036854775808 ",
        ":-9223372036854775808 ",
    ),
    (
        |r| r.int(i64::MAX),
        ":9223372036854775807 ",
        ":9223372036854775807 ",
    ),
    (|r| r.bulk(b""), "$0  ", "$0  "),
    (
        |r| r.bulk(b"0123456789"),
        "$10 0123456789 ",
        "$10 0123456789 ",
    ),
    (|r| r.bulk_int(-42), "$3 -42 ", "$3 -42 "),
    (
        |r| r.bulk_shared(Arc::new(b"ab".to_vec())),
        "$2 ab ",
        "$2 ab ",
    ),
    (|r| r.null(), "$-1 ", "_ "),
    (|r| r.null_array(), "*-1 ", "_ "),
    (|r| r.array(0), "*0 ", "*0 "),
    (|r| r.array(100), "*100 ", "*100 "),
    (|r| r.map(2), "*4 ", "%2 "),
    (|r| r.map(500), "*1000 ", "%500 "),
    (|r| r.set(3), "*3 ", "~3 "),
    (|r| r.push(3), "*3 ", ">3 "),
    (|r| r.double(1.5), "$3 1.5 ", ",1.5 "),
    (|r| r.double(f64::NEG_INFINITY), "$4 -inf ", ",-inf "),
    (|r| r.boolean(true), ":1 ", "#t "),
    (|r| r.boolean(false), ":0 ", "#f "),
    (|r| r.verbatim(b"txt", b"some"), "$4 some ", "=8 txt:some "),
    (|r| r.big_number(b"-123"), "$4 -123 ", "(-123 "),
    (|r| r.raw(b"+x\r\n"), "+x ", "+x "),
];

#[test]
fn every_form_in_both_protocols() {
    for (row, (write, resp2, resp3)) in FORMS.iter().enumerate() {
        assert_eq!(written(Proto::Resp2, write), *resp2, "row {row}");
        assert_eq!(written(Proto::Resp3, write), *resp3, "row {row}");
    }
}

#[test]
fn lengths_are_written_afterwards() {
    let write = |reply: &mut Reply| {
        let outer = reply.map_later();
        reply.bulk(b"k");
        let inner = reply.set_later();
        (0..12).for_each(|i| reply.int(i % 2));
        reply.finish(inner, 12);
        reply.finish(outer, 1);
        let empty = reply.array_later();
        reply.finish(empty, 0);
    };
    let elements = ":0 :1 ".repeat(6);
    assert_eq!(
        written(Proto::Resp2, write),
        format!("*2 $1 k *12 {elements}*0 ")
    );
    assert_eq!(
        written(Proto::Resp3, write),
        format!("%1 $1 k ~12 {elements}*0 ")
    );
}

#[test]
fn an_empty_output_gives_memory_back() {
    let mut reply = Reply::new(Proto::Resp2);
    for _ in 0..3 {
        reply.bulk(&vec![b'x'; 1 << 20]);
        reply.advance(reply.len_bytes());
        assert!(reply.is_empty());
        assert_eq!(reply.contiguous(), Some(&[][..]));
    }
}

/// What would pass the limit cuts the output: nothing is pending any more, whatever is written, and
/// it takes no memory; its length goes on.
#[test]
fn an_output_is_cut_at_its_limit() {
    const LIMIT: usize = 100_000;
    let writers: [fn(&mut Reply); 8] = [
        |out| out.bulk(&[b'x'; 1000]),
        |out| out.bulk_shared(Arc::new(vec![b'x'; 1000])),
        |out| out.int(7),
        |out| out.int(i64::MIN),
        |out| out.ok(),
        |out| out.simple(&[b'x'; 100]),
        |out| out.array(1 << 20),
        |out| out.raw(b"*1\r\n:1\r\n"),
    ];
    for write in writers {
        let mut out = Reply::limited(Proto::Resp2, LIMIT);
        let outer = out.array_later();
        while !out.is_cut() {
            let before = out.len_bytes();
            write(&mut out);
            assert!(out.len_bytes() > before);
            assert!(out.is_cut() || out.len_bytes() <= LIMIT);
            assert!(out.capacity_bytes() <= LIMIT);
        }
        assert!(out.len_bytes() > LIMIT - 2000);
        let mark = out.mark();
        for _ in 0..1000 {
            write(&mut out);
        }
        out.truncate(mark);
        let inner = out.map_later();
        out.finish(inner, 1000);
        out.finish(outer, 1001);
        let mut other = Reply::new(Proto::Resp2);
        other.bulk(b"x");
        out.append(&mut other);
        assert!(other.is_empty() && !out.is_empty() && out.is_cut());
        assert_eq!(
            (out.capacity_bytes(), out.contiguous()),
            (0, Some(&b""[..]))
        );
        out.clear();
        assert!(out.is_empty() && !out.is_cut());
        out.ok();
        assert_eq!(pending(&out), b"+OK\r\n");
    }
}

/// What is moved to the end counts like what is written there.
#[test]
fn appending_beyond_the_limit_cuts_the_output() {
    let mut out = Reply::limited(Proto::Resp2, 1000);
    out.ok();
    let mut other = Reply::new(Proto::Resp2);
    other.bulk(&[b'x'; 996]);
    let whole = out.len_bytes() + other.len_bytes();
    out.append(&mut other);
    assert!(out.is_cut() && other.is_empty());
    assert_eq!(out.len_bytes(), whole);
}

#[test]
fn large_shared_values_are_not_copied() {
    let value = Arc::new(vec![b'v'; 100_000]);
    let mut reply = Reply::new(Proto::Resp2);
    reply.bulk_shared(Arc::clone(&value));
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(reply.io_slices(&mut slices, usize::MAX), 3);
    assert!(std::ptr::eq(slices[1].as_ptr(), value.as_ptr()));
    assert_eq!(
        (&*slices[0], &*slices[2]),
        (&b"$100000\r\n"[..], &b"\r\n"[..])
    );
    assert_eq!(
        reply.io_slices(&mut [IoSlice::new(&[]); 2], usize::MAX),
        2,
        "as far as the slices reach"
    );
    reply.advance(9 + 100_000);
    assert_eq!(Arc::strong_count(&value), 1, "a written value is released");
    assert_eq!(pending(&reply), b"\r\n");
}

#[test]
#[should_panic(expected = "7 bytes written of 5")]
fn more_than_pending_cannot_be_written() {
    let mut reply = Reply::new(Proto::Resp2);
    reply.ok();
    reply.advance(7);
}

/// Finite doubles only: nan does not equal itself.
fn value(proto: Proto) -> impl Strategy<Value = Value> {
    let bytes = || vec(any::<u8>(), 0..80);
    let line = || "[ -~]{0,20}".prop_map(String::into_bytes);
    let both = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        prop_oneof![any::<i64>(), -2_i64..100].prop_map(Value::Int),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
    ];
    let leaf = match proto {
        Proto::Resp2 => both.boxed(),
        Proto::Resp3 => prop_oneof![
            both,
            prop::num::f64::NORMAL.prop_map(Value::Double),
            any::<bool>().prop_map(Value::Bool),
            bytes().prop_map(|text| Value::Verbatim(*b"txt", text)),
            "-?[1-9][0-9]{0,40}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
        ]
        .boxed(),
    };
    leaf.prop_recursive(3, 40, 14, move |inner| {
        let array = vec(inner.clone(), 0..14).prop_map(Value::Array);
        match proto {
            Proto::Resp2 => array.boxed(),
            Proto::Resp3 => prop_oneof![
                array,
                vec(inner.clone(), 0..5).prop_map(Value::Set),
                vec(inner.clone(), 0..5).prop_map(Value::Push),
                vec((inner.clone(), inner), 0..5).prop_map(Value::Map),
            ]
            .boxed(),
        }
    })
}

fn write_value(reply: &mut Reply, value: &Value) {
    match value {
        Value::Simple(text) => reply.simple(text),
        Value::Error(text) => reply.error(text),
        Value::Int(value) => reply.int(*value),
        Value::Bulk(body) => reply.bulk(body),
        Value::Null => reply.null(),
        Value::NullArray => reply.null_array(),
        Value::Double(value) => reply.double(*value),
        Value::Bool(value) => reply.boolean(*value),
        Value::Verbatim(format, text) => reply.verbatim(format, text),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Array(values) => {
            let later = reply.array_later();
            values.iter().for_each(|value| write_value(reply, value));
            reply.finish(later, values.len());
        }
        Value::Set(values) => {
            reply.set(values.len());
            values.iter().for_each(|value| write_value(reply, value));
        }
        Value::Push(values) => {
            reply.push(values.len());
            values.iter().for_each(|value| write_value(reply, value));
        }
        Value::Map(pairs) => {
            let later = reply.map_later();
            for (key, value) in pairs {
                write_value(reply, key);
                write_value(reply, value);
            }
            reply.finish(later, pairs.len());
        }
    }
}

fn check_round_trip(proto: Proto, value: &Value) -> Result<(), TestCaseError> {
    let mut reply = Reply::new(proto);
    write_value(&mut reply, value);
    let bytes = pending(&reply);
    prop_assert_eq!(decode(&bytes), Ok(Some((value.clone(), bytes.len()))));
    prop_assert_eq!(skip_reply(&bytes), Ok(Some(bytes.len())));
    for end in 0..bytes.len() {
        prop_assert_eq!(decode(&bytes[..end]), Ok(None));
        prop_assert_eq!(skip_reply(&bytes[..end]), Ok(None));
    }
    Ok(())
}

/// What may happen to an output.
#[derive(Clone, Debug)]
enum Op {
    Bulk(usize),
    Shared(usize),
    Int(i64),
    /// A reply written elsewhere.
    Append(usize, usize),
    Open,
    Finish(usize),
    Mark,
    Truncate,
    Write {
        slices: usize,
        share: prop::sample::Index,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..80_usize).prop_map(Op::Bulk),
        1 => (0..60_000_usize).prop_map(Op::Bulk),
        2 => (0..2_000_usize).prop_map(Op::Shared),
        2 => prop_oneof![-2..100_i64, any::<i64>()].prop_map(Op::Int),
        2 => (0..80_usize, 0..2_000_usize).prop_map(|(short, long)| Op::Append(short, long)),
        2 => Just(Op::Open),
        2 => prop_oneof![0..12_usize, any::<u32>().prop_map(|n| n as usize)].prop_map(Op::Finish),
        1 => Just(Op::Mark),
        1 => Just(Op::Truncate),
        3 => (1..6_usize, any::<prop::sample::Index>())
            .prop_map(|(slices, share)| Op::Write { slices, share }),
    ]
}

/// The same operations on a plain byte vector, beside the real thing.
struct Twins {
    reply: Reply,
    model: Vec<u8>,
    /// Open aggregates and where their placeholder stands in the model.
    open: Vec<(Later, usize)>,
    /// Marks that are still valid.
    marks: Vec<(Mark, usize)>,
}

impl Twins {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Bulk(len) => {
                self.reply.bulk(&vec![b'b'; len]);
                self.model
                    .extend(format!("${len}\r\n{}\r\n", "b".repeat(len)).bytes());
            }
            Op::Shared(len) => {
                self.reply.bulk_shared(Arc::new(vec![b's'; len]));
                self.model
                    .extend(format!("${len}\r\n{}\r\n", "s".repeat(len)).bytes());
            }
            Op::Int(value) => {
                self.reply.int(value);
                self.model.extend(format!(":{value}\r\n").bytes());
            }
            Op::Append(short, long) => {
                let mut reply = Reply::new(Proto::Resp2);
                reply.array(3);
                reply.bulk(&vec![b'b'; short]);
                reply.bulk_shared(Arc::new(vec![b's'; long]));
                reply.int(1);
                self.model.extend(pending(&reply));
                self.reply.append(&mut reply);
            }
            Op::Open => {
                self.open.push((self.reply.array_later(), self.model.len()));
                self.model.extend(b"*0\r\n");
            }
            Op::Finish(len) => self.finish(len),
            Op::Mark => self.marks.push((self.reply.mark(), self.model.len())),
            Op::Truncate => {
                if let Some((mark, end)) = self.marks.pop() {
                    self.reply.truncate(mark);
                    self.model.truncate(end);
                    self.open.retain(|(_, at)| *at < end);
                }
            }
            Op::Write { slices, share } => self.write(slices, share),
        }
    }

    /// A mark taken inside the aggregate does not survive its end.
    fn finish(&mut self, len: usize) {
        if let Some((later, at)) = self.open.pop() {
            self.reply.finish(later, len);
            self.model
                .splice(at..at + 4, format!("*{len}\r\n").into_bytes());
            self.marks.retain(|(_, end)| *end <= at);
        }
    }

    fn write(&mut self, slices: usize, share: prop::sample::Index) {
        while !self.open.is_empty() {
            self.finish(3);
        }
        self.marks.clear();
        let mut room = [IoSlice::new(&[]); 6];
        let most = share.index(self.model.len() + 2);
        let filled = self.reply.io_slices(&mut room[..slices], most);
        let offered = joined(&room[..filled]);
        assert!(offered.len() <= most);
        assert_eq!(offered, self.model[..offered.len()]);
        assert!(room[..filled].iter().all(|slice| !slice.is_empty()));
        let count = share.index(offered.len() + 1);
        self.reply.advance(count);
        self.model.drain(..count);
    }
}

proptest! {
    #[test]
    fn resp2_replies_read_back(value in value(Proto::Resp2)) {
        check_round_trip(Proto::Resp2, &value)?;
    }

    #[test]
    fn resp3_replies_read_back(value in value(Proto::Resp3)) {
        check_round_trip(Proto::Resp3, &value)?;
    }

    #[test]
    fn the_output_is_a_queue_of_bytes(ops in vec(op(), 0..60)) {
        let reply = Reply::new(Proto::Resp2);
        let mut twins = Twins { reply, model: Vec::new(), open: Vec::new(), marks: Vec::new() };
        for op in ops {
            twins.apply(op);
            prop_assert_eq!(twins.reply.len_bytes(), twins.model.len());
            prop_assert_eq!(twins.reply.is_empty(), twins.model.is_empty());
        }
        while !twins.open.is_empty() {
            twins.finish(1_000_000);
        }
        prop_assert!(pending(&twins.reply) == twins.model);
    }
}
