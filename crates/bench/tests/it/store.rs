//! The smallest server that the generator's scenarios can talk to: strings, a thread per
//! connection.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the store does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    None,
    /// Values come back with their first byte changed.
    WrongValues,
    /// The connection closes in the middle of the first reply.
    Closes,
}

type Strings = Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

/// A running store; its threads end with the test process.
pub(crate) struct Store {
    pub(crate) port: u16,
    strings: Strings,
}

impl Store {
    pub(crate) fn start(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let strings = Strings::default();
        let shared = strings.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let strings = shared.clone();
                std::thread::spawn(move || serve(stream, &strings, faults));
            }
        });
        Self { port, strings }
    }

    pub(crate) fn clear(&self) {
        self.strings.lock().unwrap().clear();
    }
}

/// Bytes written at once: splits every kind of reply somewhere.
const PIECE_BYTES: usize = 7;

fn serve(stream: TcpStream, strings: &Strings, faults: Faults) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let words = command(&mut reader)?;
        if faults == Faults::Closes {
            return writer.write_all(b"$5\r\nab");
        }
        let reply = reply(&words, &mut strings.lock().unwrap(), faults);
        for piece in reply.chunks(PIECE_BYTES) {
            writer.write_all(piece)?;
        }
    }
}

fn command(reader: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    (0..header(reader, '*')?)
        .map(|_| {
            let mut word = vec![0; header(reader, '$')? + 2];
            reader.read_exact(&mut word)?;
            assert!(word.ends_with(b"\r\n"), "a bulk ends where it says");
            word.truncate(word.len() - 2);
            Ok(word)
        })
        .collect()
}

fn header(reader: &mut impl BufRead, head: char) -> io::Result<usize> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = line
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix("\r\n"));
    Ok(number.expect("a header").parse().expect("a number"))
}

fn reply(words: &[Vec<u8>], strings: &mut HashMap<Vec<u8>, Vec<u8>>, faults: Faults) -> Vec<u8> {
    let bulk = |value: Option<&Vec<u8>>| match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => {
            let mut value = value.clone();
            if faults == Faults::WrongValues {
                value[0] ^= 1;
            }
            [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat()
        }
    };
    match (words[0].as_slice(), &words[1..]) {
        (b"PING", []) => b"+PONG\r\n".to_vec(),
        (b"HELLO", _) => b"%1\r\n+proto\r\n:3\r\n".to_vec(),
        (b"SET", [key, value]) => {
            strings.insert(key.clone(), value.clone());
            b"+OK\r\n".to_vec()
        }
        (b"GET", [key]) => bulk(strings.get(key)),
        (b"MGET", keys) => {
            let mut out = format!("*{}\r\n", keys.len()).into_bytes();
            keys.iter()
                .for_each(|key| out.extend(bulk(strings.get(key))));
            out
        }
        (b"INCR", [_]) => b":1\r\n".to_vec(),
        _ => b"-ERR unknown command\r\n".to_vec(),
    }
}
