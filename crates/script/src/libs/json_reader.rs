//! `cjson.decode`: JSON text to Lua values. More lenient than JSON where Redis 8.2.3 is.

use mlua::{Lua, Result, Value};

use super::cjson::Options;
use crate::thrown::at_call;

/// Deepest nesting, whatever `decode_max_depth` and `encode_max_depth` say: the thread's stack
/// holds so many levels.
pub(super) const DEPTH_MAX: i32 = 2_000;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(why) => why,
        }
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    options: Options,
    depth: i32,
    /// Where the last token began, or what is wrong with it is.
    token_at: usize,
}

pub(super) fn read(lua: &Lua, text: &[u8], options: Options) -> Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(at_call(
            lua,
            "JSON parser does not support UTF-16 or UTF-32",
        ));
    }
    let mut reader = Reader {
        lua,
        text,
        at: 0,
        options,
        depth: 0,
        token_at: 0,
    };
    let token = reader.token();
    let value = reader.value(token)?;
    match reader.token() {
        Token::End => Ok(value),
        token => Err(reader.unexpected("the end", &token)),
    }
}

impl Reader<'_> {
    /// The byte so far ahead; zero at the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn unexpected(&self, expected: &str, token: &Token) -> mlua::Error {
        let (found, at) = (token.name(), self.token_at + 1);
        at_call(
            self.lua,
            format!("Expected {expected} but found {found} at character {at}"),
        )
    }

    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth <= self.options.decode_depth.min(DEPTH_MAX) {
            return Ok(());
        }
        let (depth, at) = (self.depth, self.at);
        Err(at_call(
            self.lua,
            format!("Found too many nested data structures ({depth}) at character {at}"),
        ))
    }

    fn value(&mut self, token: Token) -> Result<Value> {
        Ok(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            Token::ObjectBegin => self.object()?,
            Token::ArrayBegin => self.array()?,
            other => return Err(self.unexpected("value", &other)),
        })
    }

    fn object(&mut self) -> Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if token != Token::ObjectEnd {
            loop {
                let Token::Text(key) = token else {
                    return Err(self.unexpected("object key string", &token));
                };
                match self.token() {
                    Token::Colon => {}
                    other => return Err(self.unexpected("colon", &other)),
                }
                let token_of_value = self.token();
                let value = self.value(token_of_value)?;
                table.raw_set(self.lua.create_string(key)?, value)?;
                match self.token() {
                    Token::ObjectEnd => break,
                    Token::Comma => token = self.token(),
                    other => return Err(self.unexpected("comma or object end", &other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if token != Token::ArrayEnd {
            for at in 1.. {
                let value = self.value(token)?;
                table.raw_set(at, value)?;
                match self.token() {
                    Token::ArrayEnd => break,
                    Token::Comma => token = self.token(),
                    other => return Err(self.unexpected("comma or array end", &other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn token(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let byte = self.peek(0);
        let single = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.options.decode_invalid && self.is_no_json_number() {
                    return Token::Wrong("invalid number");
                }
                return self.number();
            }
            b't' | b'f' | b'n' | b'N' | b'i' | b'I' | b'+' => return self.word(),
            _ => return Token::Wrong("invalid token"),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [
            ("true", Token::Boolean(true)),
            ("false", Token::Boolean(false)),
            ("null", Token::Null),
        ] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if self.options.decode_invalid && self.is_no_json_number() {
            return self.number();
        }
        Token::Wrong("invalid token")
    }

    /// Hexadecimal, with zeros before it, infinite or not a number.
    fn is_no_json_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let start = usize::from(self.peek(0) == b'-');
        let (first, second) = (self.peek(start), self.peek(start + 1));
        if first == b'0' {
            return second | 0x20 == b'x' || second.is_ascii_digit();
        }
        if first <= b'9' {
            return false;
        }
        let word = self.text.get(self.at + start..self.at + start + 3);
        word.is_some_and(|word| {
            word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
        })
    }

    fn number(&mut self) -> Token {
        match c_number(&self.text[self.at..]) {
            Some((number, len)) => {
                self.at += len;
                Token::Number(number)
            }
            None => Token::Wrong("invalid number"),
        }
    }

    fn string(&mut self) -> Token {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.peek(0);
            match byte {
                b'"' => break,
                0 => return self.wrong("unexpected end of string"),
                b'\\' => {
                    let plain = match self.peek(1) {
                        escaped @ (b'"' | b'\\' | b'/') => escaped,
                        b'b' => 8,
                        b't' => 9,
                        b'n' => 10,
                        b'f' => 12,
                        b'r' => 13,
                        b'u' => match self.unicode() {
                            Some((character, len)) => {
                                let mut utf8 = [0; 4];
                                let utf8 = character.encode_utf8(&mut utf8);
                                text.extend_from_slice(utf8.as_bytes());
                                self.at += len;
                                continue;
                            }
                            None => return self.wrong("invalid unicode escape code"),
                        },
                        _ => return self.wrong("invalid escape code"),
                    };
                    text.push(plain);
                    self.at += 2;
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token::Text(text)
    }

    fn wrong(&mut self, why: &'static str) -> Token {
        self.token_at = self.at;
        Token::Wrong(why)
    }

    /// The character that `\u` and four digits, or two of them, stand for, and how many bytes
    /// that is.
    fn unicode(&self) -> Option<(char, usize)> {
        let first = self.hex4(2)?;
        if first & 0xf800 != 0xd800 {
            return char::from_u32(first).map(|character| (character, 6));
        }
        if first & 0x400 != 0 || self.peek(6) != b'\\' || self.peek(7) != b'u' {
            return None;
        }
        let second = self.hex4(8).filter(|second| second & 0xfc00 == 0xdc00)?;
        let code = ((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000;
        char::from_u32(code).map(|character| (character, 12))
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4).try_fold(0, |value, at| {
            let digit = char::from(self.peek(at)).to_digit(16)?;
            Some(value << 4 | digit)
        })
    }
}

/// The number at the start of `text` as C's `strtod` reads it, and its length.
fn c_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let negative = text.first() == Some(&b'-');
    let rest = &text[sign..];
    let signed = |value: f64| if negative { -value } else { value };
    let starts = |word: &[u8]| {
        rest.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if starts(b"infinity") {
        return Some((signed(f64::INFINITY), sign + 8));
    }
    if starts(b"inf") {
        return Some((signed(f64::INFINITY), sign + 3));
    }
    if starts(b"nan") {
        return Some((signed(f64::NAN), sign + 3));
    }
    if starts(b"0x")
        && let Some((value, len)) = hex_number(&rest[2..])
    {
        return Some((signed(value), sign + 2 + len));
    }
    let digits = |from: usize| {
        let rest = rest.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut len = digits(0);
    let mut significant = len;
    if rest.get(len) == Some(&b'.') {
        let places = digits(len + 1);
        significant += places;
        if significant > 0 {
            len += 1 + places;
        }
    }
    if significant == 0 {
        return None;
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some(b'-' | b'+')));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(&rest[..len]).ok()?.parse().ok()?;
    Some((signed(number), sign + len))
}

/// Hexadecimal digits with a point and a binary exponent, after `0x`.
fn hex_number(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut scale, mut at, mut digits, mut point) = (0.0, 0_i32, 0, 0, false);
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !point {
            point = true;
        } else if let Some(digit) = char::from(byte).to_digit(16) {
            value = value * 16.0 + f64::from(digit);
            scale -= if point { 4 } else { 0 };
            digits += 1;
        } else {
            break;
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let from = at + 1 + sign;
        let rest = &text[from.min(text.len())..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count > 0 {
            let exponent = base::num::parse_i64(&rest[..count]).unwrap_or(0).min(9_999) as i32;
            scale += if text[at + 1] == b'-' {
                -exponent
            } else {
                exponent
            };
            at = from + count;
        }
    }
    Some((value * f64::from(scale).exp2(), at))
}
