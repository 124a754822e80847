//! Glob matching as KEYS, SCAN, PSUBSCRIBE and CONFIG GET understand it.
//!
//! `*` any run, `?` any byte, `[...]` a class, `\` takes the next byte literally. The odd corners
//! are the upstream server's, since users' patterns depend on them; the table in the tests was read
//! off Redis 8.2.3. The upstream recurses at each `*` and needs a guard against exponential time.
//! Every element but `*` consumes exactly one byte of text, so it is enough to return to the latest
//! `*`: the loop below needs no recursion and at most `pattern x text` steps, with the same
//! answers.

/// How many `*` (runs of them count once) a pattern may make us remember; one more never matches.
/// Compat: the upstream's limit on its recursion. A `*` that ends the pattern is not counted.
const STARS_MAX: usize = 1000;

/// Whether the whole of `text` matches `pattern`, ASCII letters in either case when `nocase` is
/// set. Any bytes are valid on both sides.
///
/// Compat: an empty text matches only an empty pattern, not even `*`. KEYS and SCAN treat the
/// pattern `*` as "all" before they come here.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    // `pattern` from here and `text` from there are what the latest `*` tries next.
    let mut latest_star: Option<(usize, usize)> = None;
    let mut stars = 0;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        let matched = match pattern.get(p) {
            Some(b'*') => {
                p = skip_stars(pattern, p);
                stars += 1;
                if p == pattern.len() || stars > STARS_MAX {
                    return p == pattern.len();
                }
                latest_star = Some((p, t));
                continue;
            }
            Some(_) => {
                let (matched, length) = match_element(&pattern[p..], text[t], nocase);
                p += length;
                matched
            }
            None => false,
        };
        if matched {
            t += 1;
            continue;
        }
        let Some((star_p, star_t)) = latest_star else {
            return false;
        };
        p = star_p;
        t = star_t + 1;
        latest_star = Some((p, t));
    }
    skip_stars(pattern, p) == pattern.len()
}

/// The first position from `from` on that holds no star.
fn skip_stars(pattern: &[u8], from: usize) -> usize {
    pattern[from..]
        .iter()
        .position(|&b| b != b'*')
        .map_or(pattern.len(), |n| from + n)
}

/// Does the element that `pattern` (not empty) begins with match `byte`, and how long is it?
#[inline]
fn match_element(pattern: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'[', class @ ..] => {
            let (matched, length) = match_class(class, byte, nocase);
            (matched, length + 1)
        }
        [b'\\', literal, ..] => (fold(*literal, nocase) == fold(byte, nocase), 2),
        // Includes a backslash that ends the pattern: it stands for itself.
        [literal, ..] => (fold(*literal, nocase) == fold(byte, nocase), 1),
        [] => (false, 0),
    }
}

/// Matches the inside of a class, `class` being what follows its `[`. Returns the length with the
/// closing `]`; a class that is not closed ends with the pattern.
///
/// Compat: `]` closes even as the first member; range ends may be swapped, are not unescaped and
/// compare as signed bytes (so `[\x00-\xff]` is the two bytes 255 and 0), and when case is ignored
/// they are swapped before they are lowered; an escaped member is compared in its own case.
fn match_class(class: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match class[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                let (low, high) = order_signed(first, last);
                let (low, high, byte) = (fold(low, nocase), fold(high, nocase), fold(byte, nocase));
                found |= (low as i8..=high as i8).contains(&(byte as i8));
                at += 3;
            }
            [literal, ..] => {
                found |= fold(literal, nocase) == fold(byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated, at)
}

/// The two range ends, lower one first, as signed bytes go.
fn order_signed(a: u8, b: u8) -> (u8, u8) {
    if a as i8 > b as i8 { (b, a) } else { (a, b) }
}

/// The byte to compare: lowered when case is ignored.
#[inline]
fn fold(byte: u8, nocase: bool) -> u8 {
    if nocase {
        byte.to_ascii_lowercase()
    } else {
        byte
    }
}

#[cfg(test)]
mod tests;
