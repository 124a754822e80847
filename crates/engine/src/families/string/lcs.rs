//! LCS: the longest common subsequence of two strings, its length, or where it lies in them.
//!
//! L(i, j) is the length for the first i bytes of `a` and the first j bytes of `b`. Along a row it
//! grows by 0 or 1 at each step, so a row is one bit per byte of `b`, and the next row follows from
//! it 64 bytes at a time with an addition and a few logical operations (Heikki Hyyrö, "Bit-parallel
//! LCS-length computation revisited", 2004). That is 64 times less work and 32 times less memory
//! than a table of numbers. The same bits lead the way back: at a mismatch, L(i-1, j) > L(i, j-1)
//! exactly if row i grows at j.

use base::num::I64_TEXT_MAX;
use resp::Reply;

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

const WORD_BITS: usize = u64::BITS as usize;

/// Bytes per cell of the table that Redis would allocate, on which its limit is defined.
const CELL_BYTES: u64 = 4;

#[derive(Clone, Copy)]
enum OptionWord {
    Length,
    Ranges,
    MatchMin,
    MatchLengths,
}

const OPTIONS: &[(&str, OptionWord)] = &[
    ("len", OptionWord::Length),
    ("idx", OptionWord::Ranges),
    ("minmatchlen", OptionWord::MatchMin),
    ("withmatchlen", OptionWord::MatchLengths),
];

pub(super) fn lcs(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let keys = (args.key(), args.key());
    let not_strings = |_| Failure::fixed("ERR The specified keys must contain string values");
    let a = tx.string(keys.0).map_err(not_strings)?;
    let b = tx.string(keys.1).map_err(not_strings)?;
    let (mut length_only, mut ranges, mut lengths, mut len_min) = (false, false, false, 0);
    while let Some(option) = args.option(OPTIONS) {
        match option {
            OptionWord::Length => length_only = true,
            OptionWord::Ranges => ranges = true,
            OptionWord::MatchLengths => lengths = true,
            OptionWord::MatchMin => len_min = usize::try_from(args.int()).unwrap_or(0),
        }
    }
    args.end()?;
    if length_only && ranges {
        let text = "ERR If you want both the length and indexes, please just use IDX.";
        return Err(Failure::fixed(text));
    }
    let mut digits = ([0; I64_TEXT_MAX], [0; I64_TEXT_MAX]);
    let a = a.map_or(&b""[..], |value| value.bytes(&mut digits.0));
    let b = b.map_or(&b""[..], |value| value.bytes(&mut digits.1));
    check_size(a.len(), b.len(), tx.env().limits.string_bytes_max)?;
    if length_only {
        out.int(length(a, b) as i64);
    } else if ranges {
        reply_ranges(&common_runs(a, b), len_min, lengths, out);
    } else {
        let runs = common_runs(a, b);
        let pieces = runs.iter().rev().map(|run| &a[run.a..run.a + run.len]);
        out.bulk(&pieces.collect::<Vec<_>>().concat());
    }
    Ok(())
}

fn check_size(a_len: usize, b_len: usize, bytes_max: u64) -> Result<(), Failure> {
    let cells = (a_len as u64 + 1).checked_mul(b_len as u64 + 1);
    match cells.and_then(|cells| cells.checked_mul(CELL_BYTES)) {
        Some(bytes) if bytes <= bytes_max => Ok(()),
        _ => Err(Failure::fixed(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        )),
    }
}

/// A part that both strings have in a row, without mismatch between its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where it begins in `a`.
    a: usize,
    /// Where it begins in `b`.
    b: usize,
    len: usize,
}

fn reply_ranges(runs: &[Run], len_min: usize, with_lengths: bool, out: &mut Reply) {
    let shown = || runs.iter().filter(|run| run.len >= len_min);
    out.map(2);
    out.bulk(b"matches");
    out.array(shown().count());
    for run in shown() {
        out.array(if with_lengths { 3 } else { 2 });
        for start in [run.a, run.b] {
            out.array(2);
            out.int(start as i64);
            out.int((start + run.len - 1) as i64);
        }
        if with_lengths {
            out.int(run.len as i64);
        }
    }
    out.bulk(b"len");
    out.int(runs.iter().map(|run| run.len).sum::<usize>() as i64);
}

/// For each byte of `a`, which bytes of `b` equal it, as bits.
struct Matches {
    /// Words per mask.
    words: usize,
    /// Where a byte's mask begins in `masks`; meaningless for bytes that are not in `a`.
    offsets: [usize; 256],
    masks: Vec<u64>,
}

impl Matches {
    /// Masks for the bytes of `a` only. There are no more of them than `a` has bytes, so the
    /// product of the lengths bounds their memory too.
    fn new(a: &[u8], b: &[u8]) -> Matches {
        const ABSENT: usize = usize::MAX;
        let words = b.len().div_ceil(WORD_BITS);
        let mut offsets = [ABSENT; 256];
        let mut end = 0;
        for &byte in a {
            let offset = &mut offsets[usize::from(byte)];
            if *offset == ABSENT {
                *offset = end;
                end += words;
            }
        }
        let mut masks = vec![0; end];
        for (at, &byte) in b.iter().enumerate() {
            let offset = offsets[usize::from(byte)];
            if offset != ABSENT {
                masks[offset + at / WORD_BITS] |= 1 << (at % WORD_BITS);
            }
        }
        Matches {
            words,
            offsets,
            masks,
        }
    }

    fn of(&self, byte: u8) -> &[u64] {
        let offset = self.offsets[usize::from(byte)];
        &self.masks[offset..offset + self.words]
    }
}

/// One word of the next row from the same word of the row before. A clear bit says that the length
/// grows there.
fn next_word(word: u64, mask: u64, carry: &mut bool) -> u64 {
    let hits = word & mask;
    let (sum, first) = word.overflowing_add(hits);
    let (sum, second) = sum.overflowing_add(u64::from(*carry));
    *carry = first | second;
    sum | (word & !mask)
}

fn length(a: &[u8], b: &[u8]) -> usize {
    let matches = Matches::new(a, b);
    let mut row = vec![u64::MAX; matches.words];
    for &byte in a {
        let mut carry = false;
        for (word, &mask) in row.iter_mut().zip(matches.of(byte)) {
            *word = next_word(*word, mask, &mut carry);
        }
    }
    (0..b.len()).filter(|&at| grows(&row, at)).count()
}

/// Whether the length grows with byte `at` of `b`.
fn grows(row: &[u64], at: usize) -> bool {
    row[at / WORD_BITS] >> (at % WORD_BITS) & 1 == 0
}

/// The runs of one longest common subsequence, last first. Of several it is the one that Redis
/// finds: it goes back from the ends, takes every match, and else goes back in `b` unless only
/// going back in `a` keeps the length.
fn common_runs(a: &[u8], b: &[u8]) -> Vec<Run> {
    let matches = Matches::new(a, b);
    let words = matches.words;
    let mut rows = vec![u64::MAX; words * (a.len() + 1)];
    for (at, &byte) in a.iter().enumerate() {
        let (before, after) = rows[at * words..(at + 2) * words].split_at_mut(words);
        let mut carry = false;
        for ((word, &old), &mask) in after.iter_mut().zip(&*before).zip(matches.of(byte)) {
            *word = next_word(old, mask, &mut carry);
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            match runs.last_mut() {
                Some(run) if (run.a, run.b) == (i, j) => {
                    *run = Run {
                        a: i - 1,
                        b: j - 1,
                        len: run.len + 1,
                    };
                }
                _ => runs.push(Run {
                    a: i - 1,
                    b: j - 1,
                    len: 1,
                }),
            }
            (i, j) = (i - 1, j - 1);
        } else if grows(&rows[i * words..], j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;

    use super::*;

    /// The textbook table, and the walk back through it.
    fn naive(a: &[u8], b: &[u8]) -> (usize, Vec<(usize, usize)>) {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let mut pairs = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        (table[a.len()][b.len()], pairs)
    }

    #[test]
    fn bits_agree_with_the_textbook() {
        let mut rng = Rng::from_seed(4);
        for round in 0..400 {
            let letters = 1 + rng.below(5);
            let mut text = |len_max| -> Vec<u8> {
                let len = rng.below(len_max);
                (0..len).map(|_| b'a' + rng.below(letters) as u8).collect()
            };
            let (a, b) = (text(150), text(200));
            let (len, pairs) = naive(&a, &b);
            assert_eq!(length(&a, &b), len, "round {round}");
            let runs = common_runs(&a, &b);
            let walked: Vec<_> = runs
                .iter()
                .flat_map(|run| (0..run.len).rev().map(|at| (run.a + at, run.b + at)))
                .collect();
            assert_eq!(walked, pairs, "round {round}");
        }
    }

    #[test]
    fn size_is_bounded_as_upstream() {
        let limit = 512 * 1024 * 1024;
        assert!(check_size(11_584, 11_584, limit).is_ok());
        assert!(check_size(11_584, 11_585, limit).is_err());
        assert!(check_size(usize::MAX / 2, usize::MAX / 2, limit).is_err());
    }
}
