//! The odd corners as Redis 8.2.3 answered them (KEYS and SCAN agree), and a naive twin as oracle.

use super::glob_match;
use proptest::prelude::*;

/// `KEYS pattern` with one key `text` on Redis 8.2.3.
const SENSITIVE: &[(&[u8], &[u8], bool)] = &[
    (b"", b"", true),
    (b"**", b"", false),
    (b"?", b"", false),
    (b"h?llo", b"hello", true),
    (b"h*llo", b"heeeello", true),
    (b"h[ae]llo", b"hillo", false),
    (b"h[^e]llo", b"hllo", false),
    (b"h[a-b]llo", b"hbllo", true),
    (b"[", b"[", false),
    (b"[^", b"x", true),
    (b"[a", b"a", true),
    (b"[a", b"b", false),
    (b"[]", b"]", false),
    (b"[^]", b"x", true),
    (b"[]a]", b"a", false),
    (b"[a-]", b"a", true),
    (b"[a-]", b"_", true),
    (b"[a-]", b"-", false),
    (b"[c-a]", b"b", true),
    (b"[a-", b"-", true),
    (b"[^a-", b"b", true),
    (b"[\\]]", b"]", true),
    (b"[\\a-z]", b"m", false),
    (b"[\\a-z]", b"-", true),
    (b"[a\\", b"\\", true),
    (b"[-a]", b"-", true),
    (b"[a-c-e]", b"-", true),
    (b"[--a]", b"A", true),
    (b"[^^]", b"^", false),
    (b"[a^]", b"^", true),
    (b"[a-\\]]", b"]", false),
    (b"[a-\\]]", b"^]", true),
    (b"[a-]]", b"^]", false),
    (b"[\\]-a]", b"-", true),
    (b"[Z-a]", b"z", false),
    (b"[\0-\xff]", b"a", false),
    (b"[\0-\xff]", b"\xff", true),
    (b"[\0-\xff]", b"\0", true),
    (b"[a-\xff]", b"A", true),
    (b"[a-\xff]", b"z", false),
    (b"[\x80-\xff]", b"\x90", true),
    (b"[a\0]", b"\0", true),
    (b"[\0", b"\0", true),
    (b"a[", b"a[", false),
    (b"a[", b"a", false),
    (b"\\", b"\\", true),
    (b"a\\", b"a\\", true),
    (b"\\\\", b"\\", true),
    (b"\\*", b"*", true),
    (b"\\*", b"a", false),
    (b"\\a", b"a", true),
    (b"?\\", b"a", false),
    (b"*\\", b"a\\", true),
    (b"*[", b"a[", false),
    (b"*[^", b"ab", true),
    (b"*[a", b"ba", true),
    (b"a**b", b"ab", true),
    (b"*a", b"aa", true),
    (b"a*", b"a", true),
    (b"a*?", b"a", false),
    (b"a*b*", b"ab", true),
    (b"*?*", b"a", true),
    (b"*??*", b"a", false),
    (b"a*\0", b"ab\0", true),
    (b"a\0*", b"a\0b", true),
];

/// `CONFIG GET pattern` on Redis 8.2.3: does the answer hold `maxmemory`?
const NOCASE: &[(&[u8], bool)] = &[
    (b"MAXMEM[O]RY", true),
    (b"M?XMEMORY", true),
    (b"[M]AXMEMORY", true),
    (b"[\\M]axmemory", false),
    (b"[\\m]AXMEMORY", true),
    (b"[L-N]AXMEMORY", true),
    (b"[Z-a]axmemory", false),
    (b"[Z-m]axmemory", false),
    (b"[M-a]axmemory", false),
    (b"[^M]axmemory", false),
];

#[test]
fn odd_cases_match_as_upstream() {
    for &(pattern, text, expected) in SENSITIVE {
        let shown = (
            pattern.escape_ascii().to_string(),
            text.escape_ascii().to_string(),
        );
        assert_eq!(glob_match(pattern, text, false), expected, "{shown:?}");
    }
    for &(pattern, expected) in NOCASE {
        let shown = pattern.escape_ascii().to_string();
        assert_eq!(glob_match(pattern, b"maxmemory", true), expected, "{shown}");
    }
}

#[test]
fn more_than_a_thousand_stars_never_match() {
    let text = b"a".repeat(1001);
    assert!(glob_match(&b"*a".repeat(1000), &text[..1000], false));
    assert!(glob_match(
        &[b"*a".repeat(1000), b"*".to_vec()].concat(),
        &text[..1000],
        false
    ));
    assert!(!glob_match(&b"*a".repeat(1001), &text, false));
    assert!(!glob_match(
        &[b"*a".repeat(1001), b"*".to_vec()].concat(),
        &text,
        false
    ));
}

#[test]
fn hostile_patterns_take_bounded_time() {
    // With plain recursion this would not end before the sun does.
    let pattern = [b"a*".repeat(900), b"b".to_vec()].concat();
    assert!(!glob_match(&pattern, &b"a".repeat(20_000), false));
    assert!(!glob_match(
        b"*aaaaaaaaaaaaaaaab",
        &b"a".repeat(100_000),
        false
    ));
}

/// The definition, read aloud: one element at a time, a star tries every length.
fn naive(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| naive(rest, &text[n..], nocase)),
        (_, []) => false,
        (_, [byte, text_rest @ ..]) => {
            let (matched, length) = super::match_element(pattern, *byte, nocase);
            matched && naive(&pattern[length..], text_rest, nocase)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_the_naive_matcher(
        pattern in "[ab*?\\[\\]^\\\\A-]{0,10}",
        text in "[abAB^-]{1,10}",
        nocase: bool,
    ) {
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(glob_match(pattern, text, nocase), naive(pattern, text, nocase));
    }

    #[test]
    fn any_bytes_are_safe(pattern: Vec<u8>, text: Vec<u8>, nocase: bool) {
        let _ = glob_match(&pattern, &text, nocase);
    }

    #[test]
    fn an_escaped_text_matches_itself_only(text in "[a*?\\[]{1,8}", other in "[a*?\\[]{1,8}") {
        let pattern: Vec<u8> = text.bytes().flat_map(|b| [b'\\', b]).collect();
        prop_assert!(glob_match(&pattern, text.as_bytes(), false));
        prop_assert_eq!(glob_match(&pattern, other.as_bytes(), false), text == other);
    }
}
