//! LZF: the fast, weak compression of Redis's dumps and of long lists' inner nodes.
//!
//! ```text
//! 000lllll  byte * (l + 1)          literal bytes, 1..=32
//! lllooooo  oooooooo                l + 2 bytes (l in 1..=6) from o + 1 bytes before
//! 111ooooo  llllllll  oooooooo      l + 9 bytes from o + 1 bytes before
//! ```
//!
//! A copy may reach into what it is writing itself (a run). The length of the original is not part
//! of the format. Greedy: the last place where the same three bytes hashed to the same slot is the
//! only one tried, and where little repeats itself not every place is looked at. Source: the format
//! as liblzf 3.6 states it; what liblzf writes is read here and the other way round.

/// Longest run of literal bytes.
const LITERALS_MAX: usize = 32;
/// Longest copy.
const COPY_MAX: usize = 264;
/// Farthest that a copy can reach back.
const DISTANCE_MAX: usize = 8192;
/// Slots of the table of places.
const SLOTS_LOG2: u32 = 13;
/// Fibonacci hashing: the high bits of a product with 2^32 / golden ratio.
const GOLDEN: u32 = 0x9e37_79b1;
/// After so many places without a copy every second one is looked at, after twice as many every
/// third, and so on.
const MISSES_LOG2: u32 = 5;

/// Appends the compressed form of `input` to `out`, if it is at most `len_max` bytes long; else
/// leaves `out` as it was and says false. Inputs are shorter than 4 GiB. O(n).
pub fn compress(input: &[u8], len_max: usize, out: &mut Vec<u8>) -> bool {
    Compressor::default().compress(input, len_max, out)
}

/// Where something was last seen: place + 1, counted from the first input on; 0 = nowhere.
type Places = [u32; 1 << SLOTS_LOG2];

/// Compresses many inputs with one table of places, which is not cleared in between: for inputs
/// much shorter than the table.
#[derive(Clone, Debug, Default)]
pub struct Compressor {
    places: Option<Box<Places>>,
    /// Where the next input begins in the count of places.
    base: u32,
}

impl Compressor {
    /// As [`compress`].
    pub fn compress(&mut self, input: &[u8], len_max: usize, out: &mut Vec<u8>) -> bool {
        let len = input.len() as u32;
        let places = self
            .places
            .get_or_insert_with(|| Box::new([0; 1 << SLOTS_LOG2]));
        if self.base.checked_add(len).is_none_or(|end| end == u32::MAX) {
            places.fill(0);
            self.base = 0;
        }
        let base = self.base;
        self.base += len;
        compress_with(places, base, input, len_max, out)
    }
}

/// `places` has places below `base + 1` of other inputs, which count as none.
fn compress_with(
    places: &mut Places,
    base: u32,
    input: &[u8],
    len_max: usize,
    out: &mut Vec<u8>,
) -> bool {
    let begin = out.len();
    // A short input keeps to a few slots: those of the ones before it are in the cache.
    let slots_log2 = (input.len().max(2).ilog2() + 4).min(SLOTS_LOG2);
    let slot_of = |three: u32| (three.wrapping_mul(GOLDEN) >> (32 - slots_log2)) as usize;
    let (mut at, mut literals_from, mut misses) = (0, 0, 0);
    while let Some(three) = three_at(input, at) {
        let place = &mut places[slot_of(three) % (1 << SLOTS_LOG2)];
        let candidate = place.saturating_sub(base) as usize;
        *place = base + at as u32 + 1;
        let copied = match candidate.checked_sub(1) {
            Some(from) if at - from <= DISTANCE_MAX && three_at(input, from) == Some(three) => {
                common_length(input, from, at)
            }
            _ => 0,
        };
        if copied == 0 {
            // Where nothing repeats itself it is looked for less and less closely.
            at += 1 + (misses >> MISSES_LOG2);
            misses += 1;
            continue;
        }
        misses = 0;
        push_literals(&input[literals_from..at], out);
        push_copy(at + 1 - candidate, copied, out);
        // The last two places of a copy are the likely beginning of the next one.
        for place in at + copied - 2..at + copied {
            if let Some(three) = three_at(input, place) {
                places[slot_of(three) % (1 << SLOTS_LOG2)] = base + place as u32 + 1;
            }
        }
        at += copied;
        literals_from = at;
        if out.len() - begin > len_max {
            break;
        }
    }
    let literals = &input[literals_from..];
    let len = out.len() - begin + literals.len() + literals.len().div_ceil(LITERALS_MAX);
    let fits = len <= len_max;
    match fits {
        true => push_literals(literals, out),
        false => out.truncate(begin),
    }
    fits
}

/// Appends what was compressed, `len` bytes; `None` if `compressed` is damaged or is not of that
/// length, and `out` is as it was then. For bytes from outside: never more than `len` are written.
pub fn decompress(compressed: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    let begin = out.len();
    let done = decompress_into(compressed, begin, len, out);
    if done.is_none() {
        out.truncate(begin);
    }
    done
}

fn decompress_into(mut input: &[u8], begin: usize, len: usize, out: &mut Vec<u8>) -> Option<()> {
    while let Some((&control, rest)) = input.split_first() {
        let count;
        if control < LITERALS_MAX as u8 {
            count = usize::from(control) + 1;
            let (literals, rest) = rest.split_at_checked(count)?;
            out.extend_from_slice(literals);
            input = rest;
        } else {
            let (long, rest) = match control >> 5 {
                7 => rest.split_first().map(|(&long, rest)| (long, rest))?,
                _ => (0, rest),
            };
            let (&low, rest) = rest.split_first()?;
            count = usize::from(control >> 5) + usize::from(long) + 2;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(distance).filter(|&it| it >= begin)?;
            copy_within_itself(out, from, count);
            input = rest;
        }
        if out.len() - begin > len {
            return None;
        }
    }
    (out.len() - begin == len).then_some(())
}

/// Appends `count` bytes from `from` on; what is appended may be among them.
fn copy_within_itself(out: &mut Vec<u8>, from: usize, mut count: usize) {
    while count > 0 {
        let piece = count.min(out.len() - from);
        out.extend_from_within(from..from + piece);
        count -= piece;
    }
}

/// The three bytes at `at` as a number, if there are so many.
#[inline]
fn three_at(input: &[u8], at: usize) -> Option<u32> {
    let rest = input.get(at..)?;
    if let Some(&four) = rest.first_chunk() {
        return Some(u32::from_le_bytes(four) & 0xff_ffff);
    }
    let &[a, b, c] = rest.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// How many bytes at `from` and at `at` agree, as far as a copy can reach. `from` is before `at`.
#[inline]
fn common_length(input: &[u8], from: usize, at: usize) -> usize {
    let later = &input[at..input.len().min(at + COPY_MAX)];
    let earlier = &input[from..from + later.len()];
    let ((words, _), (others, _)) = (later.as_chunks(), earlier.as_chunks());
    let mut equal = 0;
    for (&word, &other) in words.iter().zip(others) {
        let differing = u64::from_le_bytes(word) ^ u64::from_le_bytes(other);
        if differing != 0 {
            return equal + differing.trailing_zeros() as usize / 8;
        }
        equal += size_of::<u64>();
    }
    let rest = later[equal..].iter().zip(&earlier[equal..]);
    equal + rest.take_while(|(a, b)| a == b).count()
}

fn push_literals(literals: &[u8], out: &mut Vec<u8>) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// `count` is 3..=`COPY_MAX`, `distance` is 1..=`DISTANCE_MAX`.
fn push_copy(distance: usize, count: usize, out: &mut Vec<u8>) {
    let offset = distance - 1;
    match count - 2 {
        short @ ..7 => out.push((short << 5 | offset >> 8) as u8),
        long => out.extend([(7 << 5 | offset >> 8) as u8, (long - 7) as u8]),
    }
    out.push(offset as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn round_trip(input: &[u8]) -> Option<usize> {
        let mut compressed = b"before".to_vec();
        if !compress(input, input.len(), &mut compressed) {
            assert_eq!(compressed, b"before");
            return None;
        }
        let mut out = b"out".to_vec();
        assert_eq!(
            decompress(&compressed[6..], input.len(), &mut out),
            Some(())
        );
        assert_eq!(out[3..], *input);
        let compressed = &compressed[6..];
        assert_eq!(decompress(compressed, input.len() + 1, &mut out), None);
        assert_eq!(out.len(), 3 + input.len());
        Some(compressed.len())
    }

    /// What DUMP of Redis 8.2.3 had for two strings.
    #[test]
    fn reads_what_liblzf_wrote() {
        let a: &[u8] = b"\x01aa\xe0\x57\x00\x01aa";
        let mut out = Vec::new();
        decompress(a, 100, &mut out).unwrap();
        assert_eq!(out, [b'a'; 100]);

        let hello: &[u8] =
            b"\x06hello h\xe0\x08\x05\x04world\x80\x05\xe0\x09\x1c\x80\x11\xe0\x23\x22\x01ld";
        out.clear();
        decompress(hello, 105, &mut out).unwrap();
        assert_eq!(out, b"hello hello hello hello world world".repeat(3));
    }

    #[test]
    fn runs_are_short() {
        assert_eq!(round_trip(&[7; 1000]), Some(14));
        assert_eq!(round_trip(b"no repetition"), None);
        assert_eq!(round_trip(b""), Some(0));
    }

    #[test]
    fn copies_reach_as_far_as_they_can_and_no_farther() {
        for gap in [8188, 8189, 8190] {
            let mut input = b"abc".to_vec();
            let filler = (0..).flat_map(|n: u16| [0xff, (n >> 8) as u8, n as u8]);
            input.extend(filler.take(gap));
            input.extend(b"abc");
            let mut compressed = Vec::new();
            assert!(compress(&input, usize::MAX, &mut compressed));
            let mut out = Vec::new();
            decompress(&compressed, input.len(), &mut out).unwrap();
            assert_eq!(out, input);
        }
    }

    #[test]
    fn damaged_input_is_refused() {
        let mut out = Vec::new();
        for bytes in [
            &[0_u8][..],
            &[1, b'a'],
            &[0x20],
            &[0x20, 0],
            &[0xe0, 1],
            &[0, b'a', 0x20, 1],
        ] {
            assert_eq!(decompress(bytes, 4, &mut out), None, "{bytes:?}");
            assert!(out.is_empty());
        }
    }

    proptest! {
        #[test]
        fn a_compressor_forgets_the_inputs_before(
            inputs in vec(vec(0_u8..4, 0..200), 1..10),
            base in prop_oneof![Just(0), Just(u32::MAX - 300)],
        ) {
            let places = Some(Box::new([0; 1 << SLOTS_LOG2]));
            let mut compressor = Compressor { places, base };
            for input in inputs {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                let fits = compress(&input, input.len(), &mut one);
                prop_assert_eq!(compressor.compress(&input, input.len(), &mut other), fits);
                prop_assert_eq!(one, other);
            }
        }

        #[test]
        fn what_goes_in_comes_out(
            words in vec(vec(any::<u8>(), 0..9), 1..6),
            order in vec(any::<prop::sample::Index>(), 0..300),
        ) {
            let input: Vec<u8> = order.iter().flat_map(|index| index.get(&words).clone()).collect();
            round_trip(&input);
        }

        #[test]
        fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..60), len in 0..2000_usize) {
            let mut out = Vec::new();
            if decompress(&bytes, len, &mut out).is_some() {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
