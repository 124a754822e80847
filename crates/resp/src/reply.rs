//! Replies: the forms of RESP2 and RESP3, written to a connection's output.
//!
//! A handler says what it answers (`map`, `double`, `null`); this file knows how each protocol
//! spells it. Nothing here formats: lengths and small integers come from tables, others from
//! `itoa`.

use std::io::IoSlice;
use std::sync::Arc;

use memchr::memchr2;

use crate::output::{Mark, Output};
use base::double::{DoubleText, format_double};

/// The protocol version a client has chosen with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// Simple strings, errors, integers, bulk strings, arrays.
    #[default]
    Resp2,
    /// Adds nulls, doubles, booleans, maps, sets, pushes, verbatim strings, big numbers.
    Resp3,
}

/// A shared value shorter than this is copied: a chunk of its own costs more than the copy.
const SHARED_BYTES_MIN: usize = 512;
/// Numbers whose header lines are in tables; four digits are the most that fit.
const TABLE_ROWS: usize = 1024;
/// Bytes of a header of any length: type, 20 digits, line end.
const HEADER_BYTES_MAX: usize = 23;

/// Header lines of one type for the numbers below [`TABLE_ROWS`]. A row holds the line in its first
/// bytes and the line's length in the last, so that writing one is an eight-byte store.
type HeaderTable = [[u8; 8]; TABLE_ROWS];

static BULK: HeaderTable = header_table(b'$');
static INT: HeaderTable = header_table(b':');
static ARRAY: HeaderTable = header_table(b'*');

const fn header_table(kind: u8) -> HeaderTable {
    let mut table = [[0; 8]; TABLE_ROWS];
    let mut n = 0;
    while n < TABLE_ROWS {
        let digits = 1 + (n >= 10) as usize + (n >= 100) as usize + (n >= 1000) as usize;
        let row = &mut table[n];
        row[0] = kind;
        let (mut at, mut rest) = (digits, n);
        while at > 0 {
            row[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            at -= 1;
        }
        row[digits + 1] = b'\r';
        row[digits + 2] = b'\n';
        row[7] = digits as u8 + 3;
        n += 1;
    }
    table
}

/// An aggregate whose length is still to be learned; made by `array_later` and its siblings.
#[derive(Debug)]
#[must_use = "the reply is malformed until `finish` is called"]
pub struct Later {
    /// Offset of the placeholder's one digit.
    digit_at: usize,
    /// Elements per counted item: 2 for a map in RESP2.
    factor: u64,
}

/// Output of one connection: replies are appended by the handlers and taken off by the writer.
#[derive(Debug, Default)]
pub struct Reply {
    out: Output,
    proto: Proto,
}

impl Reply {
    /// An empty output. Allocates nothing yet.
    pub fn new(proto: Proto) -> Self {
        Self {
            out: Output::default(),
            proto,
        }
    }

    /// An empty output with a limit.
    pub fn limited(proto: Proto, bytes: usize) -> Self {
        let mut reply = Self::new(proto);
        reply.set_limit(bytes);
        reply
    }

    /// An output with room for so many bytes.
    pub fn with_room(proto: Proto, bytes: usize) -> Self {
        let mut reply = Self::new(proto);
        reply.out.tail.reserve_exact(bytes);
        reply
    }

    /// The protocol in which replies are written.
    #[inline]
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// Replies from now on are written in this protocol.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.put(b"+OK\r\n");
    }

    /// `+PONG`
    #[inline]
    pub fn pong(&mut self) {
        self.put(b"+PONG\r\n");
    }

    /// `+QUEUED`
    #[inline]
    pub fn queued(&mut self) {
        self.put(b"+QUEUED\r\n");
    }

    /// A simple string; line ends inside become spaces.
    pub fn simple(&mut self, text: &[u8]) {
        self.line(b'+', text);
    }

    /// An error: its code and text, without `-` and line end. Line ends inside become spaces,
    /// around it they go.
    pub fn error(&mut self, text: &[u8]) {
        self.line(b'-', trim_line_ends(text));
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        match INT.get(value as usize) {
            Some(row) => self.row(row), // negative values are far out of the table as usize
            None => self.number_line(itoa::Buffer::new().format(value)),
        }
    }

    /// An integer that may be beyond those that most clients read.
    pub fn unsigned(&mut self, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.number_line(itoa::Buffer::new().format(value)),
        }
    }

    /// A bulk string, copied.
    #[inline]
    pub fn bulk(&mut self, body: &[u8]) {
        if !self.out.room(HEADER_BYTES_MAX + body.len() + 2) {
            return;
        }
        self.header(&BULK, b'$', body.len());
        self.out.tail.extend_from_slice(body);
        self.out.tail.extend_from_slice(b"\r\n");
    }

    /// An integer as a bulk string (a stored number is answered so).
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string whose bytes are borrowed until they are written, unless it is small.
    pub fn bulk_shared(&mut self, body: Arc<Vec<u8>>) {
        if body.len() < SHARED_BYTES_MIN {
            return self.bulk(&body);
        }
        self.header(&BULK, b'$', body.len());
        self.out.push_shared(body);
        self.put(b"\r\n");
    }

    /// Nil in place of a value.
    #[inline]
    pub fn null(&mut self) {
        self.put(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// Nil in place of an array.
    #[inline]
    pub fn null_array(&mut self) {
        self.put(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// Header of an array; `len` replies follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(&ARRAY, b'*', len);
    }

    /// Header of a map; `pairs` times a key and a value follow. An array of both in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.proto {
            Proto::Resp2 => self.array(pairs * 2),
            Proto::Resp3 => self.long_header(b'%', pairs),
        }
    }

    /// Header of a set; `len` replies follow. An array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.aggregate(b'~', len);
    }

    /// Header of an out-of-band message; `len` replies follow. An array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.aggregate(b'>', len);
    }

    /// A double. A bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        let mut text = DoubleText::default();
        self.double_text(format_double(value, &mut text));
    }

    /// A double of another precision than `f64`, as text. A bulk string in RESP2.
    pub fn double_text(&mut self, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => self.line(b',', text),
        }
    }

    /// A boolean. 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.put(match (self.proto, value) {
            (Proto::Resp2, true) => b":1\r\n",
            (Proto::Resp2, false) => b":0\r\n",
            (Proto::Resp3, true) => b"#t\r\n",
            (Proto::Resp3, false) => b"#f\r\n",
        });
    }

    /// Text with a format of three letters (`txt`, `mkd`). A bulk string in RESP2.
    pub fn verbatim(&mut self, format: &[u8; 3], text: &[u8]) {
        if self.proto == Proto::Resp2 {
            return self.bulk(text);
        }
        if !self.out.room(HEADER_BYTES_MAX + text.len() + 6) {
            return;
        }
        self.long_header(b'=', text.len() + 4);
        self.out.tail.extend_from_slice(format);
        self.out.tail.push(b':');
        self.out.tail.extend_from_slice(text);
        self.out.tail.extend_from_slice(b"\r\n");
    }

    /// A number of any size, as decimal digits. A bulk string in RESP2.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits),
            Proto::Resp3 => self.line(b'(', digits),
        }
    }

    /// Bytes that are RESP already (for a message encoded once and sent to many).
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.put(encoded);
    }

    /// Moves what is pending in `other` to the end.
    pub fn append(&mut self, other: &mut Reply) {
        self.out.append(&mut other.out);
    }

    /// Header of an array whose length is told to [`finish`](Self::finish) after its elements are
    /// written.
    pub fn array_later(&mut self) -> Later {
        self.later(b'*', 1)
    }

    /// Header of a map whose number of pairs is told to [`finish`](Self::finish) after they are
    /// written.
    pub fn map_later(&mut self) -> Later {
        match self.proto {
            Proto::Resp2 => self.later(b'*', 2),
            Proto::Resp3 => self.later(b'%', 1),
        }
    }

    /// Header of a set whose length is told to [`finish`](Self::finish) after its elements are
    /// written.
    pub fn set_later(&mut self) -> Later {
        match self.proto {
            Proto::Resp2 => self.later(b'*', 1),
            Proto::Resp3 => self.later(b'~', 1),
        }
    }

    /// Writes the length of an aggregate: its elements, for a map its pairs. Aggregates within each
    /// other are finished inner first, and none is open across [`advance`](Self::advance).
    pub fn finish(&mut self, later: Later, len: usize) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(len as u64 * later.factor).as_bytes();
        // The placeholder takes the last digit; the others, which are rarely there, are inserted
        // before it. There is none if the output has been cut.
        if let [more @ .., last] = digits
            && let Some(digit) = self.out.tail.get_mut(later.digit_at)
        {
            *digit = *last;
            if !more.is_empty() {
                self.out.insert_digits(later.digit_at, more);
            }
        }
    }

    /// Bytes not yet written to the socket, and those that were dropped.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.out.len_bytes()
    }

    /// With more pending bytes than this it is cut.
    #[inline]
    pub fn set_limit(&mut self, bytes: usize) {
        self.out.set_limit(bytes);
    }

    /// Whether it would have passed its limit: then nothing is pending any more, and nothing will
    /// be.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.out.is_cut()
    }

    /// Bytes allocated for copied replies.
    #[inline]
    pub fn capacity_bytes(&self) -> usize {
        self.out.tail.capacity()
    }

    /// Whether all is written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.len_bytes() == 0
    }

    /// The current end of the output.
    #[inline]
    pub fn mark(&self) -> Mark {
        self.out.mark()
    }

    /// Drops what was written after the mark, unless it went to the socket already.
    pub fn truncate(&mut self, mark: Mark) {
        self.out.truncate(mark);
    }

    /// The pending bytes if they lie in one piece (the usual case), for a plain `write`.
    #[inline]
    pub fn contiguous(&self) -> Option<&[u8]> {
        self.out.contiguous()
    }

    /// Appends the pending bytes to `to`, shared ones too.
    pub fn copy_to(&self, to: &mut Vec<u8>) {
        self.out.copy_to(to);
    }

    /// Drops all that is pending; one that was cut is as new.
    #[inline]
    pub fn clear(&mut self) {
        self.out.reset();
    }

    /// Fills `slices` from its front with the first `bytes_max` pending bytes in order, as far as
    /// it reaches; returns how many slices were filled (none of them is empty).
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> usize {
        self.out.io_slices(slices, bytes_max)
    }

    /// Takes note that the first `count` pending bytes are written. Ends the validity of marks.
    ///
    /// # Panics
    /// If fewer bytes are pending.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.out.advance(count);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.out.room(bytes.len()) {
            self.out.tail.extend_from_slice(bytes);
        }
    }

    fn number_line(&mut self, digits: &str) {
        if self.out.room(HEADER_BYTES_MAX) {
            self.out.tail.push(b':');
            self.out.tail.extend_from_slice(digits.as_bytes());
            self.out.tail.extend_from_slice(b"\r\n");
        }
    }

    fn later(&mut self, kind: u8, factor: u64) -> Later {
        let digit_at = self.out.tail.len() + 1;
        self.put(&[kind, b'0', b'\r', b'\n']);
        Later { digit_at, factor }
    }

    fn aggregate(&mut self, kind: u8, len: usize) {
        match self.proto {
            Proto::Resp2 => self.array(len),
            Proto::Resp3 => self.long_header(kind, len),
        }
    }

    #[inline]
    fn header(&mut self, table: &HeaderTable, kind: u8, number: usize) {
        match table.get(number) {
            Some(row) => self.row(row),
            None => self.long_header(kind, number),
        }
    }

    /// Copies the whole row, then cuts it to the length in its last byte.
    #[inline]
    fn row(&mut self, row: &[u8; 8]) {
        if !self.out.room(row.len()) {
            return;
        }
        let tail = &mut self.out.tail;
        let end = tail.len() + usize::from(row[7]);
        tail.extend_from_slice(row);
        tail.truncate(end);
    }

    fn long_header(&mut self, kind: u8, number: usize) {
        if !self.out.room(HEADER_BYTES_MAX) {
            return;
        }
        let tail = &mut self.out.tail;
        tail.push(kind);
        tail.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        tail.extend_from_slice(b"\r\n");
    }

    /// A reply of one line. A line end inside would end it early and desynchronise the client.
    fn line(&mut self, kind: u8, text: &[u8]) {
        if !self.out.room(text.len() + 3) {
            return;
        }
        let tail = &mut self.out.tail;
        tail.push(kind);
        let start = tail.len();
        tail.extend_from_slice(text);
        if memchr2(b'\r', b'\n', text).is_some() {
            for byte in tail[start..]
                .iter_mut()
                .filter(|byte| matches!(byte, b'\r' | b'\n'))
            {
                *byte = b' ';
            }
        }
        tail.extend_from_slice(b"\r\n");
    }
}

fn trim_line_ends(mut text: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] | [rest @ .., b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}
