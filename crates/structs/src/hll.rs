//! HyperLogLogs: how many different elements have been added, estimated from 16384 registers.
//!
//! ```text
//!  byte 0        4        5         8                16
//!       +--------+--------+---------+----------------+--------------------------------+
//!       | "HYLL" | 0 or 1 | 3 zeros | cached count   | registers: dense or sparse     |
//!       +--------+--------+---------+----------------+--------------------------------+
//!  dense   registers of 6 bits, the lowest bits of the first byte first: 12288 bytes
//!  sparse  runs:  00nnnnnn           n + 1 registers of 0
//!                 01nnnnnn nnnnnnnn  n + 1 registers of 0
//!                 1vvvvvnn           n + 1 registers of v + 1
//! ```
//!
//! A HyperLogLog is an ordinary string, in Redis's format, bit by bit: every other client may read
//! and write it, so nothing here trusts the bytes. The cached count (little-endian) is stale while
//! its highest bit is set. An element's register is chosen by the low 14 bits of its hash and holds
//! the longest run of zeros seen in the other 50, plus one.
//!
//! Sources: P. Flajolet and others, "HyperLogLog" (2007); O. Ertl, "New cardinality estimation
//! algorithms for HyperLogLog sketches" (arXiv:1702.01284) for the estimate.

use std::ops::Range;

/// Registers of a HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bytes before the registers.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a dense one.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * REGISTER_BITS / 8;
/// Bytes of an empty one.
pub const EMPTY_BYTES: usize = HEADER_BYTES + 2;

const INDEX_BITS: u32 = 14;
/// The largest value that adding gives a register.
const RANK_MAX: usize = 64 - INDEX_BITS as usize + 1;
const REGISTER_BITS: usize = 6;
const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE: Range<usize> = 8..16;
/// In the cache's last byte.
const STALE: u8 = 0x80;
const HASH_SEED: u64 = 0xadc8_3b19;

const _: () = assert!(DENSE_BYTES == 12_304);

/// How the registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Run by run.
    Sparse,
}

/// Sparse registers whose runs do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// One value per register.
pub type Registers = [u8; REGISTERS];

/// One in which nothing has been added.
#[must_use]
pub fn empty() -> [u8; EMPTY_BYTES] {
    let mut bytes = [0; EMPTY_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = 1;
    Run::zeros(REGISTERS).write(&mut bytes[HEADER_BYTES..]);
    bytes
}

/// The encoding, if these bytes claim to be a HyperLogLog. Sparse registers are not looked at.
#[must_use]
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// The count that was cached, if it is still good. `bytes` have an [`encoding`].
#[must_use]
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let cache: [u8; 8] = bytes[CACHE].try_into().ok()?;
    (cache[7] & STALE == 0).then(|| u64::from_le_bytes(cache))
}

/// Caches a count. `bytes` have an [`encoding`].
pub fn set_cached(bytes: &mut [u8], count: u64) {
    bytes[CACHE].copy_from_slice(&count.to_le_bytes());
}

/// Marks the cached count as stale. `bytes` have an [`encoding`].
pub fn invalidate(bytes: &mut [u8]) {
    bytes[CACHE.end - 1] |= STALE;
}

/// An element as the HyperLogLog sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The register it belongs to.
    pub register: usize,
    /// The least that this register holds once it was added: 1 to 51.
    pub rank: u8,
}

impl Mark {
    /// The mark that an element leaves.
    #[inline]
    #[must_use]
    pub fn of(element: &[u8]) -> Mark {
        let hash = murmur64(element, HASH_SEED);
        // A one above the highest bit ends every run of zeros.
        let run = (hash >> INDEX_BITS | 1 << (64 - INDEX_BITS)).trailing_zeros();
        Mark {
            register: hash as usize & (REGISTERS - 1),
            rank: run as u8 + 1,
        }
    }
}

/// Raises a register of a dense HyperLogLog (all [`DENSE_BYTES`] of it); whether it was lower.
#[inline]
pub fn raise_dense(bytes: &mut [u8], mark: Mark) -> bool {
    let registers = &mut bytes[HEADER_BYTES..];
    let raised = dense_register(registers, mark.register) < mark.rank;
    if raised {
        set_dense_register(registers, mark.register, mark.rank);
    }
    raised
}

/// Whether raising the register would change a sparse HyperLogLog.
///
/// # Errors
/// [`Corrupt`] if the runs end before the register.
pub fn would_raise_sparse(bytes: &[u8], mark: Mark) -> Result<bool, Corrupt> {
    Ok(Found::at(bytes, mark.register)?.run.value < mark.rank)
}

/// Raises a register of a HyperLogLog in either encoding; whether it was lower. One that would
/// need more than `sparse_bytes_max` becomes dense. The cached count stays as it is.
///
/// # Errors
/// [`Corrupt`]; nothing is changed then.
pub fn raise(bytes: &mut Vec<u8>, mark: Mark, sparse_bytes_max: usize) -> Result<bool, Corrupt> {
    if bytes[ENCODING_AT] == 0 {
        return Ok(raise_dense(bytes, mark));
    }
    if mark.rank > VALUE_MAX {
        make_dense(bytes)?;
        return Ok(raise_dense(bytes, mark));
    }
    let found = Found::at(bytes, mark.register)?;
    if found.run.value >= mark.rank {
        return Ok(false);
    }
    let mut split = [0; SPLIT_BYTES_MAX];
    let split_len = found.split(mark, &mut split);
    let grown = bytes.len() - found.run.bytes() + split_len;
    if grown > bytes.len() && grown > sparse_bytes_max {
        make_dense(bytes)?;
        return Ok(raise_dense(bytes, mark));
    }
    let end = found.at + found.run.bytes();
    bytes.splice(found.at..end, split[..split_len].iter().copied());
    join_runs(bytes, found.before);
    Ok(true)
}

/// Makes a sparse HyperLogLog dense; its cached count stays.
///
/// # Errors
/// [`Corrupt`]; nothing is changed then.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Corrupt> {
    let mut dense = vec![0; DENSE_BYTES];
    dense[..HEADER_BYTES].copy_from_slice(&bytes[..HEADER_BYTES]);
    dense[ENCODING_AT] = 0;
    let registers = &mut dense[HEADER_BYTES..];
    walk(bytes, |covered, value| {
        if value > 0 {
            covered.for_each(|register| set_dense_register(registers, register, value));
        }
    })?;
    *bytes = dense;
    Ok(())
}

/// Raises every register to that of a HyperLogLog, whose `bytes` have an [`encoding`].
///
/// # Errors
/// [`Corrupt`]; some registers may have been raised.
pub fn merge(bytes: &[u8], into: &mut Registers) -> Result<(), Corrupt> {
    match encoding(bytes) {
        None => Err(Corrupt),
        Some(Encoding::Dense) => {
            each_dense(&bytes[HEADER_BYTES..], into, |into, value| {
                *into = (*into).max(value);
            });
            Ok(())
        }
        Some(Encoding::Sparse) => walk(bytes, |covered, value| {
            into[covered]
                .iter_mut()
                .for_each(|into| *into = (*into).max(value));
        }),
    }
}

/// Raises the registers of a HyperLogLog that has an [`encoding`] to these.
///
/// # Errors
/// [`Corrupt`]; some registers may have been raised.
pub fn raise_all(
    bytes: &mut Vec<u8>,
    registers: &Registers,
    sparse_bytes_max: usize,
) -> Result<(), Corrupt> {
    for (register, &rank) in registers.iter().enumerate().filter(|&(_, &rank)| rank > 0) {
        raise(bytes, Mark { register, rank }, sparse_bytes_max)?;
    }
    Ok(())
}

/// The estimate of a HyperLogLog, whose `bytes` have an [`encoding`].
///
/// # Errors
/// [`Corrupt`] if sparse registers do not add up.
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = Histogram::default();
    match encoding(bytes) {
        None => return Err(Corrupt),
        Some(Encoding::Dense) => {
            let mut registers = [0; REGISTERS];
            each_dense(&bytes[HEADER_BYTES..], &mut registers, |into, value| {
                *into = value
            });
            histogram.add(&registers);
        }
        Some(Encoding::Sparse) => walk(bytes, |covered, value| {
            histogram.0[usize::from(value)] += covered.len() as u32;
        })?,
    }
    Ok(histogram.estimate())
}

/// The estimate of registers that have been [`merge`]d.
#[must_use]
pub fn count_registers(registers: &Registers) -> u64 {
    let mut histogram = Histogram::default();
    histogram.add(registers);
    histogram.estimate()
}

/// The registers of a dense HyperLogLog.
pub fn dense_registers(bytes: &[u8]) -> impl Iterator<Item = u8> {
    (0..REGISTERS).map(|register| dense_register(&bytes[HEADER_BYTES..], register))
}

/// A sparse HyperLogLog's runs, as PFDEBUG DECODE writes them: `z:`, `Z:` and `v:value,length`.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    let mut runs = Vec::new();
    let mut at = HEADER_BYTES;
    while let Some(run) = Run::read(bytes, at) {
        runs.push(match (run.value, run.bytes()) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        });
        at += run.bytes();
    }
    runs.join(" ")
}

/// Registers of one value, next to each other, as sparse encoding has them.
#[derive(Clone, Copy, Debug)]
struct Run {
    value: u8,
    len: usize,
    /// Written in two bytes; only for zeros.
    wide: bool,
}

/// Longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// Longest run of another value.
const VALUES_MAX: usize = 4;
/// Largest value of a run.
const VALUE_MAX: u8 = 32;

impl Run {
    fn zeros(len: usize) -> Run {
        Run {
            value: 0,
            len,
            wide: len > SHORT_ZEROS_MAX,
        }
    }

    fn values(value: u8, len: usize) -> Run {
        Run {
            value,
            len,
            wide: false,
        }
    }

    /// `len` registers of the same value as this one.
    fn of_len(self, len: usize) -> Run {
        match self.value {
            0 => Run::zeros(len),
            value => Run::values(value, len),
        }
    }

    /// The run at `at`; `None` at the end or in the middle of a run of two bytes.
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Option<Run> {
        let first = *bytes.get(at)?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Run {
                value: 0,
                len: low + 1,
                wide: false,
            },
            1 => Run {
                value: 0,
                len: (low << 8 | usize::from(*bytes.get(at + 1)?)) + 1,
                wide: true,
            },
            _ => Run::values((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
        })
    }

    fn bytes(self) -> usize {
        1 + usize::from(self.wide)
    }

    /// Writes the run; the number of bytes.
    fn write(self, out: &mut [u8]) -> usize {
        let n = self.len - 1;
        match (self.value, self.wide) {
            (0, false) => out[0] = n as u8,
            (0, true) => out[..2].copy_from_slice(&(0x4000 | n as u16).to_be_bytes()),
            (value, _) => out[0] = 0x80 | (value - 1) << 2 | n as u8,
        }
        self.bytes()
    }
}

/// Visits a sparse HyperLogLog's runs: the registers they cover, all of them together, and their
/// values.
fn walk(bytes: &[u8], mut visit: impl FnMut(Range<usize>, u8)) -> Result<(), Corrupt> {
    let (mut at, mut first) = (HEADER_BYTES, 0);
    while at < bytes.len() {
        let run = Run::read(bytes, at).ok_or(Corrupt)?;
        let end = first + run.len;
        if end > REGISTERS {
            return Err(Corrupt);
        }
        visit(first..end, run.value);
        (at, first) = (at + run.bytes(), end);
    }
    if first == REGISTERS {
        Ok(())
    } else {
        Err(Corrupt)
    }
}

/// The run that covers a register.
struct Found {
    run: Run,
    at: usize,
    /// Where the run before it is; where it is itself if it is the first.
    before: usize,
    /// Registers of the run before the wanted one.
    skipped: usize,
}

/// Zeros in two bytes, a value, zeros in two bytes.
const SPLIT_BYTES_MAX: usize = 5;

impl Found {
    fn at(bytes: &[u8], register: usize) -> Result<Found, Corrupt> {
        let (mut at, mut before, mut first) = (HEADER_BYTES, HEADER_BYTES, 0);
        loop {
            let run = Run::read(bytes, at).ok_or(Corrupt)?;
            if register < first + run.len {
                return Ok(Found {
                    run,
                    at,
                    before,
                    skipped: register - first,
                });
            }
            (before, at, first) = (at, at + run.bytes(), first + run.len);
        }
    }

    /// Writes the runs that take this one's place; their length in bytes.
    fn split(&self, mark: Mark, out: &mut [u8; SPLIT_BYTES_MAX]) -> usize {
        let left = self.run.len - self.skipped - 1;
        let mut len = 0;
        if self.skipped > 0 {
            len += self.run.of_len(self.skipped).write(&mut out[len..]);
        }
        len += Run::values(mark.rank, 1).write(&mut out[len..]);
        if left > 0 {
            len += self.run.of_len(left).write(&mut out[len..]);
        }
        len
    }
}

/// Runs that are looked at after a change, to see whether neighbours can be one. As in Redis: the
/// bytes that result depend on it.
const JOIN_STEPS: usize = 5;

/// Joins runs of equal values from `at` on.
fn join_runs(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOIN_STEPS {
        let Some(run) = Run::read(bytes, at) else {
            return;
        };
        let next = Run::read(bytes, at + 1);
        match next.filter(|next| run.value > 0 && next.value == run.value) {
            Some(next) if run.len + next.len <= VALUES_MAX => {
                Run::values(run.value, run.len + next.len).write(&mut bytes[at + 1..]);
                bytes.remove(at);
            }
            _ => at += run.bytes(),
        }
    }
}

/// A register among packed ones. Its bits are in one byte or two; the last register's in one.
#[inline]
fn dense_register(registers: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([registers[byte], high]);
    (pair >> shift) as u8 & 0x3f
}

#[inline]
fn set_dense_register(registers: &mut [u8], index: usize, value: u8) {
    let (byte, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([registers[byte], high]);
    let changed = pair & !(0x3f << shift) | u16::from(value & 0x3f) << shift;
    let [low, high] = changed.to_le_bytes();
    registers[byte] = low;
    if let Some(at) = registers.get_mut(byte + 1) {
        *at = high;
    }
}

/// Unpacks all registers, four from three bytes.
fn each_dense(packed: &[u8], registers: &mut Registers, mut put: impl FnMut(&mut u8, u8)) {
    let (triples, _) = packed.as_chunks::<3>();
    let (fours, _) = registers.as_chunks_mut::<4>();
    for (four, &[a, b, c]) in fours.iter_mut().zip(triples) {
        put(&mut four[0], a & 0x3f);
        put(&mut four[1], (a >> 6 | b << 2) & 0x3f);
        put(&mut four[2], (b >> 4 | c << 4) & 0x3f);
        put(&mut four[3], c >> 2);
    }
}

/// How many registers have each value.
struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([0; 64])
    }
}

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

impl Histogram {
    /// Counts in four tables, so that equal neighbours do not wait for each other.
    fn add(&mut self, registers: &Registers) {
        let mut tables = [[0_u32; 64]; 4];
        let (fours, _) = registers.as_chunks::<4>();
        for four in fours {
            for (table, value) in tables.iter_mut().zip(four) {
                table[usize::from(value & 0x3f)] += 1;
            }
        }
        for (value, sum) in self.0.iter_mut().enumerate() {
            *sum += tables.iter().map(|table| table[value]).sum::<u32>();
        }
    }

    /// Ertl's improved raw estimate, in the order of operations that Redis has: every bit counts.
    fn estimate(&self) -> u64 {
        let total = REGISTERS as f64;
        let share = |value: usize| f64::from(self.0[value]) / total;
        let full = total - f64::from(self.0[RANK_MAX]);
        let mut z = total * tau(full / total);
        for value in (1..RANK_MAX).rev() {
            z += f64::from(self.0[value]);
            z *= 0.5;
        }
        z += total * sigma(share(0));
        (ALPHA * total * total / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// MurmurHash2 for 64 bits, variant A, by Austin Appleby. Part of the format.
#[inline]
fn murmur64(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(FACTOR);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests;
