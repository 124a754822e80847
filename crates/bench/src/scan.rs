//! Skims a stream of RESP2/RESP3 replies: where each ends, which are errors, and no more.
//!
//! Nothing is built. Aggregates need no stack: a reply is done when as many values have been seen
//! as headers have announced, so one counter (`values_left`) follows any nesting. Between calls the
//! scanner stands at the start of a line or inside a bulk's payload; the caller keeps an incomplete
//! line and presents it again, longer. Format: the RESP specification at
//! redis.io/docs/latest/develop/reference/protocol-spec.

/// What a scan tells its caller about the replies.
pub(crate) trait Sink {
    /// Whether `payload` must be called; if not, payloads are skipped unseen.
    const WANTS_PAYLOAD: bool;

    /// A value that is one line: its type byte and its text. Nil of any spelling comes as `_`.
    fn line(&mut self, head: u8, text: &[u8]);
    /// A bulk begins: its type byte and its bytes to come.
    fn bulk(&mut self, head: u8, len: u64);
    /// Part of the bulk's payload, from `offset` on.
    fn payload(&mut self, offset: u64, chunk: &[u8]);
    /// The reply is complete.
    fn end(&mut self);
}

/// The bytes are not RESP; the connection is of no further use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// A line longer than this is no reply to a request of ours.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Where in the reply stream a connection stands.
#[derive(Default)]
pub(crate) struct Scanner {
    /// Values still to come in the current reply; 0 between replies.
    values_left: u64,
    /// Payload of the current bulk, without its CRLF; meaningful while `bulk_left` is not 0.
    bulk_len: u64,
    /// Bytes of that payload and its CRLF still to come.
    bulk_left: u64,
}

impl Scanner {
    /// Scans `bytes`, returns how many were used up; the rest is the start of a line.
    #[inline]
    pub(crate) fn scan<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, Malformed> {
        let mut at = self.payload(bytes, sink);
        while at < bytes.len() {
            let Some((head, text, next)) = line(&bytes[at..])? else {
                break;
            };
            if self.values_left == 0 {
                self.values_left = 1;
            }
            at += next;
            match head {
                b'+' | b':' | b'-' | b'_' | b'#' | b',' | b'(' => {
                    sink.line(head, text);
                    self.value_done(sink);
                }
                b'$' | b'=' | b'!' => match length(text)? {
                    None => {
                        sink.line(b'_', b"");
                        self.value_done(sink);
                    }
                    Some(len) => {
                        sink.bulk(head, len);
                        self.bulk_len = len;
                        self.bulk_left = len + 2;
                        at += self.payload(&bytes[at..], sink);
                    }
                },
                _ => self.aggregate(head, text, sink)?,
            }
        }
        Ok(at)
    }

    /// Bytes of bulk payload that are certain to come next; they may be thrown away unseen if
    /// reported to `skipped`.
    pub(crate) fn payload_left(&self) -> u64 {
        self.bulk_left.saturating_sub(2)
    }

    /// Takes note that `count` bytes of payload, at most `payload_left`, were thrown away.
    pub(crate) fn skipped(&mut self, count: u64) {
        debug_assert!(count <= self.payload_left());
        self.bulk_left -= count;
    }

    /// Passes over what `bytes` holds of the current payload, returns how much that was.
    #[inline]
    fn payload<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> usize {
        if self.bulk_left == 0 {
            return 0;
        }
        let take = self.bulk_left.min(bytes.len() as u64);
        if S::WANTS_PAYLOAD {
            let left = self.payload_left();
            let useful = left.min(take) as usize;
            if useful > 0 {
                sink.payload(self.bulk_len - left, &bytes[..useful]);
            }
        }
        self.bulk_left -= take;
        if self.bulk_left == 0 {
            self.value_done(sink);
        }
        take as usize
    }

    /// An array, set, map, attribute or push: more values to come.
    fn aggregate<S: Sink>(&mut self, head: u8, text: &[u8], sink: &mut S) -> Result<(), Malformed> {
        let count = length(text)?;
        let announced = match (head, count) {
            (b'*' | b'~', Some(count)) => count,
            (b'%', Some(count)) => count.saturating_mul(2),
            (b'*', None) => {
                sink.line(b'_', b"");
                0
            }
            // Neither is a value: what they came before is still owed.
            (b'|', Some(count)) => count.saturating_mul(2).saturating_add(1),
            (b'>', Some(count)) => count.saturating_add(1),
            _ => return Err(malformed(head, text)),
        };
        self.values_left = self.values_left.saturating_add(announced);
        self.value_done(sink);
        Ok(())
    }

    #[inline]
    fn value_done<S: Sink>(&mut self, sink: &mut S) {
        self.values_left -= 1;
        if self.values_left == 0 {
            sink.end();
        }
    }
}

/// A line: type byte, text without CRLF, bytes including it.
type Line<'a> = (u8, &'a [u8], usize);

/// The first line; `None` while it is incomplete.
#[inline]
fn line(bytes: &[u8]) -> Result<Option<Line<'_>>, Malformed> {
    // Nearly every line is a few bytes long: look there before calling out.
    let near = bytes
        .iter()
        .take(NEAR_BYTES)
        .position(|&byte| byte == b'\n');
    let Some(end) = near.or_else(|| memchr::memchr(b'\n', bytes)) else {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(malformed(bytes[0], &bytes[1..]));
        }
        return Ok(None);
    };
    match bytes[..end] {
        [head, ref text @ .., b'\r'] => Ok(Some((head, text, end + 1))),
        _ => Err(malformed(b'?', &bytes[..end])),
    }
}

const NEAR_BYTES: usize = 8;

/// The number of a bulk's or aggregate's header; `None` is -1, the old spelling of nil.
#[inline]
fn length(text: &[u8]) -> Result<Option<u64>, Malformed> {
    if text == b"-1" {
        return Ok(None);
    }
    if text.is_empty() || text.len() > LENGTH_DIGITS_MAX {
        return Err(malformed(b'$', text));
    }
    let mut length = 0;
    for &digit in text {
        if !digit.is_ascii_digit() {
            return Err(malformed(b'$', text));
        }
        length = length * 10 + u64::from(digit - b'0');
    }
    Ok(Some(length))
}

/// More than any length needs, and too few to overflow.
const LENGTH_DIGITS_MAX: usize = 15;

#[cold]
fn malformed(head: u8, text: &[u8]) -> Malformed {
    let shown = &text[..text.len().min(40)];
    Malformed(format!(
        "not a RESP reply: {}{}",
        head.escape_ascii(),
        shown.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, PartialEq, Debug)]
    struct Log(Vec<String>);

    impl Sink for Log {
        const WANTS_PAYLOAD: bool = true;
        fn line(&mut self, head: u8, text: &[u8]) {
            self.0
                .push(format!("{}{}", head as char, text.escape_ascii()));
        }
        fn bulk(&mut self, head: u8, len: u64) {
            self.0.push(format!("{}{len}:", head as char));
        }
        fn payload(&mut self, offset: u64, chunk: &[u8]) {
            let last = self.0.last_mut().unwrap();
            let colon = last.find(':').unwrap();
            assert_eq!(last.len() - colon - 1, offset as usize);
            last.push_str(std::str::from_utf8(chunk).unwrap());
        }
        fn end(&mut self) {
            self.0.push("end".into());
        }
    }

    fn scan_in_pieces(stream: &[u8], cuts: &[usize]) -> Log {
        let (mut scanner, mut log, mut carry) = (Scanner::default(), Log::default(), Vec::new());
        let mut from = 0;
        for &cut in cuts.iter().chain([&stream.len()]) {
            carry.extend_from_slice(&stream[from..cut]);
            let used = scanner.scan(&carry, &mut log).unwrap();
            carry.drain(..used);
            from = cut;
        }
        assert_eq!(carry, b"");
        log
    }

    const STREAM: &[u8] = b"+OK\r\n$3\r\nabc\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n\
        :-5\r\n*2\r\n*0\r\n*1\r\n$1\r\nx\r\n\
        -ERR a longer line than eight\r\n%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n|1\r\n\
        +a\r\n+b\r\n+c\r\n>2\r\n+p\r\n+q\r\n\
        =5\r\ntxt:y\r\n!3\r\nERR\r\n(123\r\n*3\r\n$2\r\nab\r\n$-1\r\n$2\r\ncd\r\n";

    #[test]
    fn whole_stream() {
        let log = scan_in_pieces(STREAM, &[]).0.join(" ");
        assert_eq!(
            log,
            "+OK end $3:abc end $0: end _ end _ end _ end :-5 end $1:x end \
             -ERR a longer line than eight end +k #t ,1.5 end +a +b +c end +p \
             +q =5:txt:y end !3:ERR end \
             (123 end $2:ab _ $2:cd end"
        );
    }

    #[test]
    fn every_split_gives_the_same() {
        let whole = scan_in_pieces(STREAM, &[]);
        for first in 0..STREAM.len() {
            assert_eq!(scan_in_pieces(STREAM, &[first]), whole);
            for second in (first..STREAM.len()).step_by(3) {
                assert_eq!(scan_in_pieces(STREAM, &[first, second]), whole);
            }
        }
        let everywhere: Vec<usize> = (1..STREAM.len()).collect();
        assert_eq!(scan_in_pieces(STREAM, &everywhere), whole);
    }

    #[test]
    fn skipping_payload_leaves_the_position_right() {
        let (mut scanner, mut log) = (Scanner::default(), Log::default());
        assert_eq!(scanner.scan(b"$10\r\nabc", &mut log), Ok(8));
        assert_eq!(scanner.payload_left(), 7);
        scanner.skipped(7);
        assert_eq!(scanner.payload_left(), 0);
        assert_eq!(scanner.scan(b"\r\n+OK\r\n", &mut log), Ok(7));
        assert_eq!(log.0[1..], ["end", "+OK", "end"]);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bad in [
            "HTTP/1.1 400\r\n",
            "$x\r\n",
            "$\r\n",
            "$-2\r\n",
            "%-1\r\n",
            "+OK\n",
            "*9999999999999999\r\n",
        ] {
            assert!(
                Scanner::default()
                    .scan(bad.as_bytes(), &mut Log::default())
                    .is_err(),
                "{bad}"
            );
        }
        let endless = vec![b'+'; LINE_BYTES_MAX + 1];
        assert!(
            Scanner::default()
                .scan(&endless, &mut Log::default())
                .is_err()
        );
    }
}
