//! Random Lua literals: numbers at the borders of their formats, texts of all bytes, nested tables,
//! JSON, MessagePack, formats of `string.format` and `struct`.

use crate::random::Random;

/// Deepest nesting of drawn values.
const DEPTH: usize = 4;

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "0.1",
    "-1.5",
    "1/3",
    "127",
    "128",
    "-128",
    "-129",
    "255",
    "256",
    "32767",
    "32768",
    "-32768",
    "-32769",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "2^53",
    "2^53 + 2",
    "-(2^53)",
    "2^62",
    "2^63",
    "-(2^63)",
    "2^64",
    "-(2^64)",
    "1e15",
    "1e16",
    "1e17",
    "1e100",
    "-1e300",
    "1e-5",
    "1e-7",
    "1e-300",
    "5e-324",
    "1.7976931348623157e308",
    "3.4e38",
    "1e39",
    "1/0",
    "-1/0",
    "0/0",
    "-(0/0)",
    "123456789.123456789",
    "0.30000000000000004",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "abc",
    "key",
    "ok",
    "err",
    "1",
    "-1",
    "0x10",
    "1e3",
    "nan",
    "inf",
    "\u{e4}\u{20ac}",
    "\u{1f600}",
    "\\",
    "\"",
    "/",
    "\n",
    "a b",
    "true",
    "null",
    "double",
    "map",
];

const NUMERIC_TEXTS: &[&str] = &[
    "10",
    "-10",
    " 10 ",
    "10x",
    "",
    " ",
    "0x1F",
    "0x",
    "-0x10",
    "1e5",
    "1e",
    ".5",
    "5.",
    ".",
    "inf",
    "nan",
    "-inf",
    "Infinity",
    "1_000",
    "0b11",
    "z",
    "ff",
    "FF",
    "7fffffffffffffff",
    "1e400",
    "+5",
    "- 5",
    "0x1p4",
    "1 2",
    "99999999999999999999",
    "-99999999999999999999",
];

const DIRECTIVES: &[&str] = &[
    "%d", "%i", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%u", "%c", "%x", "%X", "%#x", "%o",
    "%e", "%E", "%.3e", "%f", "%.0f", "%.10f", "%10.2f", "%g", "%G", "%.17g", "%.3g", "%q", "%s",
    "%10s", "%-10s|", "%.2s", "%%", "%5", "%y", "%", "%123d", "%.123f", "%a", "x%sx", "%#g",
];

const JSON: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e5",
    "1E+5",
    "1e-5",
    "1e400",
    "-1e400",
    "12345678901234567890",
    "0.1",
    "\"\"",
    "\"a\"",
    "\"\\u00e4\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\udE00\"",
    "\"\\u0000\"",
    "\"\\n\\t\\\\\\/\\b\\f\\r\\\"\"",
    "\"\\x\"",
    "\"\u{e4}\"",
    "\"unclosed",
    "nul",
    "truefalse",
    "01",
    "+1",
    ".5",
    "5.",
    "1e",
    "0x10",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "Infinity",
    "-Infinity",
    "1 2",
    "[1,]",
    "[,1]",
    "{\"a\":}",
    "{a:1}",
    "{1:2}",
    "[1 2]",
    "'a'",
    "-",
    "\u{feff}1",
    "\"\t\"",
    "[1]]",
    "//c",
];

const PROTOCOL: &[&str] = &[
    "string", "integer", "double", "bignum", "null", "array", "set", "map", "attrib", "verbatim",
    "true", "false",
];

/// A literal of this kind, or several with commas between them.
pub(super) fn draw(kind: &str, random: &mut Random) -> String {
    match kind {
        "n" => number(random),
        "i" => random.between(-3, 40).to_string(),
        "b" => (*random.pick(&["true", "false", "nil", "'null'", "'on'", "'off'", "1"])).to_owned(),
        "s" => text(random),
        "t" => quoted(random.pick(NUMERIC_TEXTS).as_bytes()),
        "v" => value(random, DEPTH),
        "j" => {
            let text = broken(json(random, DEPTH).into_bytes(), random);
            quoted(&text)
        }
        "m" => {
            let mut bytes = Vec::new();
            pack(random, DEPTH, &mut bytes);
            quoted(&broken(bytes, random))
        }
        "f" => quoted(random.pick(DIRECTIVES).as_bytes()),
        "k" => quoted(layout(random).0.as_bytes()),
        "p" => {
            let (format, values) = layout(random);
            let format = quoted(format.as_bytes());
            [vec![format], values].concat().join(", ")
        }
        "u" => {
            let (format, values) = layout(random);
            let format = quoted(format.as_bytes());
            let packed = [vec![format.clone()], values].concat().join(", ");
            format!("{format}, struct.pack({packed})")
        }
        "r" => quoted(random.pick(PROTOCOL).as_bytes()),
        other => panic!("no literal of the kind {other}"),
    }
}

fn number(random: &mut Random) -> String {
    match random.below(5) {
        0 | 1 => (*random.pick(NUMBERS)).to_owned(),
        2 => random.between(-300, 300).to_string(),
        3 => {
            let whole = (random.next() >> random.below(64)) as i64;
            format!("({})", whole as f64)
        }
        _ => match f64::from_bits(random.next()) {
            number if number.is_finite() => format!("({number:e})"),
            _ => "0/0".to_owned(),
        },
    }
}

fn text(random: &mut Random) -> String {
    if random.one_in(12) {
        let len = *random.pick(&[31, 32, 255, 256, 70_000]);
        return format!("string.rep('x', {len})");
    }
    short_text(random)
}

/// A text that may be a key: the order of longer ones in a table is each Lua's own affair.
fn short_text(random: &mut Random) -> String {
    let bytes = match random.below(7) {
        0..4 => random.pick(TEXTS).as_bytes().to_vec(),
        4 => {
            let len = random.below(12);
            random.bytes(len)
        }
        _ => {
            let len = random.below(6);
            (0..len).map(|_| b' ' + random.below(95) as u8).collect()
        }
    };
    quoted(&bytes)
}

/// A text as Lua reads it.
fn quoted(bytes: &[u8]) -> String {
    let mut literal = String::from("\"");
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' | b'-' | b'.' | b'%' | b'{' | b'}' => {
                literal.push(char::from(byte));
            }
            // `@` would be taken for a place to draw into.
            other => literal.push_str(&format!("\\{other:03}")),
        }
    }
    literal.push('"');
    literal
}

fn value(random: &mut Random, depth: usize) -> String {
    let kinds = if depth == 0 { 7 } else { 12 };
    match random.below(kinds) {
        0 => "nil".to_owned(),
        1 => (*random.pick(&["true", "false"])).to_owned(),
        2..4 => number(random),
        4..6 => text(random),
        6 => (*random.pick(&["cjson.null", "print", "tostring", "{}"])).to_owned(),
        7..9 => table(random, depth, value),
        9 => table(random, depth, |random, depth| {
            format!("[{}] = {}", key(random), value(random, depth))
        }),
        10 => table(random, depth, |random, depth| match random.one_in(2) {
            true => value(random, depth),
            false => format!("[{}] = {}", key(random), value(random, depth)),
        }),
        _ => {
            // A sparse array.
            let at = random.between(1, 30);
            format!("{{{}, [{at}] = {}}}", value(random, 0), value(random, 0))
        }
    }
}

fn key(random: &mut Random) -> String {
    match random.below(6) {
        0 => random.between(-2, 12).to_string(),
        1 => (*random.pick(&["true", "0.5", "1e10", "1/0", "2^53", "-1.5"])).to_owned(),
        _ => short_text(random),
    }
}

fn table(random: &mut Random, depth: usize, item: impl Fn(&mut Random, usize) -> String) -> String {
    let count = match random.below(20) {
        0 => 20,
        few => few % 5,
    };
    let items: Vec<String> = (0..count).map(|_| item(random, depth - 1)).collect();
    format!("{{{}}}", items.join(", "))
}

fn json(random: &mut Random, depth: usize) -> String {
    let kinds = if depth == 0 { 3 } else { 6 };
    let blank = |random: &mut Random| match random.below(6) {
        0 => *random.pick(&[" ", "\n", "\t", "\r", "\u{b}"]),
        _ => "",
    };
    match random.below(kinds) {
        0..2 => (*random.pick(JSON)).to_owned(),
        2 => f64::from_bits(random.next()).to_string(),
        3 | 4 => {
            let count = random.below(4);
            let items: Vec<String> = (0..count)
                .map(|_| format!("{}{}", blank(random), json(random, depth - 1)))
                .collect();
            format!("[{}{}]", items.join(","), blank(random))
        }
        _ => {
            let count = random.below(4);
            let items: Vec<String> = (0..count)
                .map(|_| {
                    let name = *random.pick(&["a", "b", "1", "", "\\u0041", "\u{e4}"]);
                    let before = blank(random);
                    format!(
                        "{before}\"{name}\"{}:{}",
                        blank(random),
                        json(random, depth - 1)
                    )
                })
                .collect();
            format!("{{{}}}", items.join(","))
        }
    }
}

/// Now and then some bytes are changed, left out or cut off.
fn broken(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    if bytes.is_empty() || !random.one_in(4) {
        return bytes;
    }
    let at = random.below(bytes.len());
    match random.below(3) {
        0 => bytes[at] = random.next() as u8,
        1 => drop(bytes.remove(at)),
        _ => bytes.truncate(at),
    }
    bytes
}

/// Random MessagePack. Source: the MessagePack specification.
fn pack(random: &mut Random, depth: usize, out: &mut Vec<u8>) {
    let kinds = if depth == 0 { 8 } else { 12 };
    let sized = |random: &mut Random, first: u8, out: &mut Vec<u8>| {
        let width = random.below(4);
        out.push(first + width as u8);
        out.extend(random.bytes(1 << width));
    };
    match random.below(kinds) {
        0 => out.push(random.next() as u8 & 0x7f),
        1 => out.push(random.next() as u8 | 0xe0),
        2 => out.push(*random.pick(&[0xc0, 0xc2, 0xc3])),
        3 => sized(random, 0xcc, out),
        4 => sized(random, 0xd0, out),
        5 => {
            let wide = random.one_in(2);
            out.push(if wide { 0xcb } else { 0xca });
            out.extend(random.bytes(if wide { 8 } else { 4 }));
        }
        6 => {
            let len = random.below(6) as u8;
            match random.below(3) {
                0 => out.push(0xa0 | len),
                1 => out.extend([*random.pick(&[0xc4, 0xd9]), len]),
                _ => out.extend([*random.pick(&[0xc5, 0xda]), 0, len]),
            }
            out.extend(random.bytes(usize::from(len)));
        }
        7 => out.push(random.next() as u8),
        8 | 9 => {
            let len = random.below(4) as u8;
            match random.one_in(2) {
                true => out.push(0x90 | len),
                false => out.extend([0xdc, 0, len]),
            }
            (0..len).for_each(|_| pack(random, depth - 1, out));
        }
        _ => {
            let len = random.below(4) as u8;
            match random.one_in(2) {
                true => out.push(0x80 | len),
                false => out.extend([0xde, 0, len]),
            }
            for _ in 0..len {
                out.extend([0xa1, b'a' + random.below(3) as u8]);
                pack(random, depth - 1, out);
            }
        }
    }
}

/// A format of `struct`, and values that fit it.
fn layout(random: &mut Random) -> (String, Vec<String>) {
    let (mut format, mut values) = (String::new(), Vec::new());
    for _ in 0..random.below(6) {
        match random.below(12) {
            0 => format.push_str(random.pick::<&str>(&["<", ">", "=", "!", "!4", "!8", "!1", " "])),
            1 => format.push('x'),
            2 => {
                format.push_str(random.pick::<&str>(&["s", "c0"]));
                values.push(quoted(random.pick(&["", "abc", "a b"]).as_bytes()));
            }
            3 => {
                let len = random.below(5);
                format.push_str(&format!("c{len}"));
                values.push(quoted(&vec![b'y'; len]));
            }
            4 => {
                format.push_str(random.pick::<&str>(&["f", "d"]));
                values.push(number(random));
            }
            5 => format
                .push_str(random.pick::<&str>(&["z", "i9", "i33", "c", "!3", "!64", "?", "n"])),
            6 => {
                let width = random.between(1, 8);
                let sign = *random.pick(&["i", "I"]);
                format.push_str(&format!("{sign}{width}"));
                values.push(number(random));
            }
            _ => {
                let kinds = ["b", "B", "h", "H", "l", "L", "T", "i", "I"];
                format.push_str(random.pick::<&str>(&kinds));
                values.push(number(random));
            }
        }
    }
    if random.one_in(6) {
        values.pop();
    }
    (format, values)
}

/// A value to be returned as a reply: all that the conversion knows. Tables of the kinds whose
/// order is that of a hash table have at most one key.
pub(super) fn reply(random: &mut Random, depth: usize) -> String {
    let kinds = if depth == 0 { 10 } else { 16 };
    match random.below(kinds) {
        0 => "nil".to_owned(),
        1 => (*random.pick(&["true", "false"])).to_owned(),
        2 | 3 => number(random),
        4 => text(random),
        5 => format!("{{ok = {}}}", text(random)),
        6 => format!("{{err = {}}}", value(random, 0)),
        7 => format!("{{double = {}}}", value(random, 0)),
        8 => {
            let digits = *random.pick(&["'123'", "'-1'", "'12\\r\\n3'", "''", "5", "'x'"]);
            format!("{{big_number = {digits}}}")
        }
        9 => {
            let format = *random.pick(&["'txt'", "'mkdn'", "'m'", "''", "1", "nil"]);
            let text = text(random);
            format!("{{verbatim_string = {{format = {format}, string = {text}}}}}")
        }
        10 => {
            let inner = reply(random, depth - 1);
            format!("{{map = {{[{}] = {inner}}}}}", key(random))
        }
        11 => format!("{{set = {{[{}] = true}}}}", key(random)),
        _ => table(random, depth, reply),
    }
}
