//! The dialogue line by line, and marks cut in any place. Servers that lose each other are in
//! `tests/simulation`.

use base::rng::Rng;

use super::*;

fn id(seed: u64) -> RunId {
    RunId::generate(&mut Rng::from_seed(seed))
}

fn about(end: u64) -> Introduction {
    Introduction {
        login: None,
        port: 6380,
        address: None,
        version: "8.2.3",
        id: id(1),
        end: Offset(end),
        hands_over: false,
    }
}

/// What is said, as text, until the primary is asked for the stream.
fn said(about: Introduction) -> (Handshake, Vec<String>) {
    let (mut handshake, first) = Handshake::begin(about);
    let mut all = vec![first];
    while !handshake.has_asked() {
        match handshake.hear(b"+OK").expect("goes on") {
            Next::Say(bytes) => all.push(bytes),
            other => panic!("{other:?}"),
        }
    }
    let words = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("text");
        let words: Vec<&str> = text.split("\r\n").skip(2).step_by(2).collect();
        words.join(" ")
    };
    (handshake, all.into_iter().map(words).collect())
}

#[test]
fn a_replica_introduces_itself() {
    let (_, plain) = said(about(41));
    let expected = [
        "PING".to_owned(),
        "REPLCONF listening-port 6380".to_owned(),
        "REPLCONF capa eof capa psync2".to_owned(),
        "REPLCONF version 8.2.3".to_owned(),
        format!("PSYNC {} 42", id(1)),
    ];
    assert_eq!(plain, expected);
    let login = Login {
        user: Some(b"eve".to_vec()),
        password: b"pw".to_vec(),
    };
    let full = Introduction {
        login: Some(login),
        address: Some(b"10.0.0.1".to_vec()),
        hands_over: true,
        ..about(0)
    };
    let (_, full) = said(full);
    assert_eq!(full[1], "AUTH eve pw");
    assert_eq!(full[3], "REPLCONF ip-address 10.0.0.1");
    assert_eq!(full[6], format!("PSYNC {} 1 FAILOVER", id(1)));
}

#[test]
fn the_answers_to_psync() {
    let ask = |line: String| said(about(41)).0.hear(line.as_bytes());
    let new = id(2);
    let go = |agreed| Ok(Next::Go(agreed));
    assert_eq!(ask("+CONTINUE".into()), go(Agreed::Continue(None)));
    let named = ask(format!("+CONTINUE {new}"));
    assert_eq!(named, go(Agreed::Continue(Some(new))));
    let full = ask(format!("+FULLRESYNC {new} 77"));
    assert_eq!(full, go(Agreed::Full(new, Offset(77))));
    assert_eq!(ask(String::new()), Ok(Next::Hear));
    for line in [
        "-NOMASTERLINK Can't SYNC while not connected with my master",
        "-LOADING Redis is loading the dataset in memory",
        "+FULLRESYNC",
        "+FULLRESYNC abc 5",
        "+CONTINUE abc",
        "$5",
    ] {
        assert!(ask(line.into()).is_err(), "{line}");
    }
}

#[test]
fn a_ping_may_be_answered_by_a_wish_for_a_password() {
    for (line, fine) in [
        ("+PONG", true),
        ("-NOAUTH Authentication required.", true),
        ("-ERR operation not permitted", true),
        ("-ERR max number of clients reached", false),
    ] {
        let (mut handshake, _) = Handshake::begin(about(0));
        assert_eq!(handshake.hear(line.as_bytes()).is_ok(), fine, "{line}");
    }
    let login = Login {
        user: None,
        password: b"pw".to_vec(),
    };
    let login = Some(login);
    let (mut handshake, _) = Handshake::begin(Introduction { login, ..about(0) });
    handshake.hear(b"+PONG").expect("goes on");
    assert!(handshake.hear(b"-WRONGPASS invalid").is_err());
}

/// The answer to the first question was lost: that it has taken over is what was wanted.
#[test]
fn one_that_has_taken_over_is_followed() {
    let about = Introduction {
        hands_over: true,
        ..about(41)
    };
    let (mut handshake, _) = said(about);
    let psync = format!("*3\r\n$5\r\nPSYNC\r\n$40\r\n{}\r\n$2\r\n42\r\n", id(1));
    assert_eq!(
        handshake.hear(b"-ERR PSYNC FAILOVER can't be sent to a master."),
        Ok(Next::Say(psync.into_bytes()))
    );
    let goes_on = Ok(Next::Go(Agreed::Continue(Some(id(2)))));
    assert_eq!(
        handshake.hear(format!("+CONTINUE {}", id(2)).as_bytes()),
        goes_on
    );
    let refused = said(self::about(41))
        .0
        .hear(b"-ERR PSYNC FAILOVER can't be sent to a master.");
    assert!(refused.is_err());
}

#[test]
fn lines_before_a_snapshot() {
    let parse = |line: &str| Framing::parse(line.as_bytes());
    let mark = [b'7'; MARK_BYTES];
    assert_eq!(parse("$123"), Ok(Some(Framing::Length(123))));
    assert_eq!(
        parse(&format!("$EOF:{}", "7".repeat(MARK_BYTES))),
        Ok(Some(Framing::Mark(mark, 0)))
    );
    assert_eq!(parse(""), Ok(None));
    for line in ["-ERR no", "$EOF:77", "$-1", "$x", "+OK"] {
        assert!(parse(line).is_err(), "{line}");
    }
}

/// Puts a snapshot together from pieces; its bytes, and those behind it.
fn collect(mut framing: Framing, stream: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut snapshot = Vec::new();
    let mut start = 0;
    for &end in cuts.iter().chain([&stream.len()]) {
        let end = end.clamp(start, stream.len());
        let piece = &stream[start..end];
        let found = framing.look(piece);
        snapshot.extend_from_slice(framing.mark(found.held));
        snapshot.extend_from_slice(&piece[..found.own]);
        if let Some(rest) = found.rest {
            return Some((snapshot, stream[start + rest..].to_vec()));
        }
        start = end;
    }
    None
}

/// Few different bytes, so that beginnings of the mark are everywhere.
#[test]
fn a_mark_is_found_wherever_it_is_cut() {
    let mut rng = Rng::from_seed(11);
    for _ in 0..3_000 {
        let mut mark = [b'a'; MARK_BYTES];
        mark[MARK_BYTES - 1] = b'b';
        if rng.below(2) == 0 {
            mark[rng.below(MARK_BYTES as u64) as usize] = b'c';
        }
        let letter = |rng: &mut Rng| b"aaaaaaab"[rng.below(8) as usize];
        let mut snapshot: Vec<u8> = (0..rng.below(200)).map(|_| letter(&mut rng)).collect();
        if rng.below(3) == 0 {
            snapshot.extend_from_slice(&mark[..rng.below(MARK_BYTES as u64) as usize]);
        }
        let stream = [&snapshot[..], &mark, b"*1\r\n"].concat();
        let first = memchr::memmem::find(&stream, &mark).unwrap_or(0);
        let mut cuts: Vec<usize> = (0..rng.below(12))
            .map(|_| rng.below(stream.len() as u64) as usize)
            .collect();
        cuts.sort_unstable();
        let got = collect(Framing::Mark(mark, 0), &stream, &cuts);
        let (own, rest) = got.expect("the mark is found");
        assert_eq!(own, stream[..first], "{cuts:?}");
        assert!(stream[first + MARK_BYTES..].starts_with(&rest[..]) || rest.is_empty());
        let len = snapshot.len();
        let (own, _) = collect(Framing::Length(len as u64), &stream, &cuts).expect("an end");
        assert_eq!(own, snapshot);
    }
}

#[test]
fn acknowledgements_come_each_second_and_silence_ends_the_link() {
    let mut pulse = Pulse::new(UnixMillis(10_000));
    let mut at = |millis| pulse.beat(UnixMillis(millis), 60_000);
    assert_eq!(at(10_000), Beat::Ack);
    assert_eq!(at(10_999), Beat::Rest);
    assert_eq!(at(11_000), Beat::Ack);
    assert_eq!(at(9_000), Beat::Ack);
    assert_eq!(at(70_001), Beat::Dead);
    assert_eq!(
        ack(Offset(5), Some(Offset(3))),
        b"*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n5\r\n$4\r\nFACK\r\n$1\r\n3\r\n"
    );
}
