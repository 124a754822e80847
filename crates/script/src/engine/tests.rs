//! What needs a state of its own: its limit of memory. All else is asked of whole servers.

use resp::{Proto, Reply};

use super::*;
use crate::host::{Asked, Level, Words};

/// Answers every command OK.
struct Obliging;

impl Host for Obliging {
    fn run(&mut self, _: &Words) -> Asked {
        Asked::Ran
    }

    fn reply(&mut self) -> &[u8] {
        b"+OK\r\n"
    }

    fn note_error(&mut self, _: &[u8], _: bool) {}

    fn set_proto(&mut self, _: Proto) {}

    fn proto(&self) -> Proto {
        Proto::Resp2
    }

    fn set_recorded(&mut self, _: bool) {}

    fn log(&mut self, _: Level, _: &[u8]) {}

    fn may_run(&mut self, _: &Words) -> Option<bool> {
        None
    }

    fn interrupted(&mut self) -> bool {
        false
    }
}

const BYTES_MAX: usize = 4 << 20;

fn engine() -> Engine {
    let facts = Facts {
        version: "1.2.3",
        version_number: 0x1_02_03,
        bytes_max: BYTES_MAX,
    };
    Engine::new(&facts).expect("a state fits")
}

/// The reply, or the error with `-` before it.
fn run(engine: &mut Engine, source: &str) -> Vec<u8> {
    let code = engine.compile(source.as_bytes()).expect("it compiles");
    let mut out = Reply::new(Proto::Resp2);
    let input = Input {
        buffer: b"",
        keys: &[],
        args: &[],
    };
    let result = engine.run(code, input, &mut Obliging, &mut out);
    engine.forget(code);
    match result {
        Ok(()) => out.contiguous().unwrap_or_default().to_vec(),
        Err(Ended::Failed { text, .. }) => [b"-", &text[..]].concat(),
        Err(Ended::ByHost) => b"ended".to_vec(),
    }
}

const NO_MEMORY: &[u8] = b"-ERR not enough memory";

/// However a script gets at memory, it gets no more than the limit, and the next one finds it free.
#[test]
fn a_state_does_not_outgrow_its_limit() {
    let greedy = [
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e9)",
        "local t = {} while true do t[#t + 1] = redis.call('any') end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    ];
    let mut engine = engine();
    for source in greedy {
        assert_eq!(run(&mut engine, source), NO_MEMORY, "{source}");
        assert!(engine.memory_bytes() < BYTES_MAX / 4, "{source}");
        assert_eq!(run(&mut engine, "return 'next'"), b"$4\r\nnext\r\n");
    }
}

/// A script may catch that, and go on with what is left.
#[test]
fn running_out_of_memory_can_be_caught() {
    let mut engine = engine();
    let source = "local ok, text = pcall(function() return string.rep('x', 1e9) end)
                  return {tostring(ok), text, redis.call('any').ok}";
    let reply = run(&mut engine, source);
    assert_eq!(
        reply,
        b"*3\r\n$5\r\nfalse\r\n$17\r\nnot enough memory\r\n$2\r\nOK\r\n"
    );
}

/// What the libraries make counts once it is there.
#[test]
fn libraries_fill_a_state_too() {
    let mut engine = engine();
    let source = "local t = {} while true do t[#t + 1] = cjson.decode('[{},{},{}]') end";
    assert_eq!(run(&mut engine, source), NO_MEMORY);
    assert_eq!(
        run(&mut engine, "return cjson.encode({1})"),
        b"$3\r\n[1]\r\n"
    );
}
