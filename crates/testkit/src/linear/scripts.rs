//! The scripts of [`drive`](super::drive): what two of its operations do by a script instead of by
//! commands, in every way in which a server can be asked to run one.

use std::io;

use super::drive::nonsense;
use super::model::By;
use crate::client::Client;
use crate::process::Server;
use crate::reply::Reply;

/// What `Call::Transfer` does. No spaces: these separate the words of a command here.
const TRANSFER_SCRIPT: &str = "return{redis.call('decrby',KEYS[1],ARGV[1]),\
    redis.call('incrby',KEYS[2],ARGV[1])}";

/// What `Call::Move` does.
const MOVE_SCRIPT: &str = "local\te=redis.call('lpop',KEYS[1])\n\
    if\te\tthen\tredis.call('rpush',KEYS[2],e)end\nreturn\te";

/// A script that the server knows by its hash and as a function, too.
pub(super) struct Scripted {
    text: &'static str,
    function: &'static str,
    hash: String,
}

/// What the server knows.
pub(super) struct Known {
    pub(super) moving: Scripted,
    pub(super) transferring: Scripted,
}

impl Scripted {
    fn load(
        text: &'static str,
        function: &'static str,
        client: &mut Client,
    ) -> io::Result<Scripted> {
        let library = format!(
            "#!lua name={function}\nredis.register_function('{function}', \
             function(KEYS, ARGV) {text} end)"
        );
        let loaded = client.call(&["FUNCTION", "LOAD", "REPLACE", &library])?;
        if loaded.is_error() {
            return Err(nonsense("FUNCTION LOAD", &loaded));
        }
        match client.call(&["SCRIPT", "LOAD", text])? {
            Reply::Bulk(hash) => Ok(Scripted {
                text,
                function,
                hash: String::from_utf8_lossy(&hash).into_owned(),
            }),
            other => Err(nonsense("SCRIPT LOAD", &other)),
        }
    }

    /// Its call, with its keys declared or as mere arguments.
    pub(super) fn call(&self, by: By, [a, b]: &[String; 2], more: &str) -> String {
        let Scripted {
            text,
            function,
            hash,
        } = self;
        match by {
            By::Script => format!("EVAL {text} 2 {a} {b}{more}"),
            By::Hash => format!("EVALSHA {hash} 2 {a} {b}{more}"),
            By::Function => format!("FCALL {function} 2 {a} {b}{more}"),
            // What commands do is no script's.
            By::ScriptOfUndeclared | By::Command => {
                let text = text.replace("ARGV[1]", "ARGV[3]").replace("KEYS", "ARGV");
                format!("EVAL {text} 0 {a} {b}{more}")
            }
        }
    }
}

impl Known {
    /// Tells it to a server.
    pub(super) fn load(server: &Server) -> io::Result<Known> {
        let client = &mut server.connect()?;
        Ok(Known {
            moving: Scripted::load(MOVE_SCRIPT, "moving", client)?,
            transferring: Scripted::load(TRANSFER_SCRIPT, "transferring", client)?,
        })
    }
}
