//! One Lua state: compiles scripts, runs them, loads libraries and runs their functions.

use mlua::chunk::ChunkMode;
use mlua::{Error, HookTriggers, Result, Table, Value, VmState};
use resp::{Reply, Span};

use crate::host::{self, Host};
use crate::library::{Library, Registering};
use crate::raw::{Door, Form, Outcome, Task};
use crate::sandbox::{self, Sandbox};
use crate::thrown::{Report, Thrown};

/// Instructions between two looks at the clock.
const HOOK_INSTRUCTIONS: u32 = 100_000;

/// What a script can learn about the server.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `redis.REDIS_VERSION`
    pub version: &'static str,
    /// `redis.REDIS_VERSION_NUM`
    pub version_number: i64,
    /// As much as a state may take. A script that wants more fails.
    pub bytes_max: usize,
}

/// A compiled script or a function; belongs to the engine that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiled(i32);

/// KEYS and ARGV.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What the spans are of.
    pub buffer: &'a [u8],
    /// The keys.
    pub keys: &'a [Span],
    /// The other arguments.
    pub args: &'a [Span],
}

/// Why a script has given no reply.
#[derive(Debug)]
pub enum Ended {
    /// It raised an error.
    Failed {
        /// The error.
        text: Vec<u8>,
        /// INFO's counters have it already.
        counted: bool,
        /// Source and line.
        place: Option<(String, usize)>,
    },
    /// The host has ended it.
    ByHost,
}

/// See the module's head.
pub struct Engine {
    sandbox: Sandbox,
    /// Compiled scripts and functions by number: a table of Lua's, because mlua can hold only a few
    /// thousand values at once.
    functions: Table,
    free: Vec<i32>,
    last: i32,
    door: Door,
}

impl Engine {
    /// A state with nothing in it.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new(facts: &Facts) -> std::result::Result<Engine, String> {
        Engine::build(facts).map_err(|error| error.to_string())
    }

    fn build(facts: &Facts) -> Result<Engine> {
        let sandbox = sandbox::build(facts)?;
        let shared = sandbox.shared.clone();
        let triggers = HookTriggers::new().every_nth_instruction(HOOK_INSTRUCTIONS);
        sandbox.lua.set_global_hook(triggers, move |_, _| {
            if shared.ending.get() || host::with(|host, _| host.interrupted()) == Some(true) {
                shared.ending.set(true);
                return Err(Thrown::End.into());
            }
            Ok(VmState::Continue)
        })?;
        let functions = sandbox.lua.create_table()?;
        let Sandbox {
            lua,
            globals,
            handler,
            ..
        } = &sandbox;
        let door = Door::new(lua, &functions, globals, handler)?;
        Ok(Engine {
            sandbox,
            functions,
            door,
            free: Vec::new(),
            last: 0,
        })
    }

    /// Bytes that Lua has allocated.
    pub fn memory_bytes(&self) -> usize {
        self.sandbox.lua.used_memory()
    }

    /// Compiles a script.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(&mut self, source: &[u8]) -> std::result::Result<Compiled, Vec<u8>> {
        let function = self.load(source, "@user_script", None)?;
        self.keep(function)
            .map_err(|error| error.to_string().into_bytes())
    }

    fn load(
        &self,
        source: &[u8],
        name: &str,
        environment: Option<&Table>,
    ) -> std::result::Result<mlua::Function, Vec<u8>> {
        let mut chunk = self.sandbox.lua.load(source);
        if let Some(environment) = environment {
            chunk = chunk.set_environment(environment.clone());
        }
        match chunk
            .set_name(name)
            .set_mode(ChunkMode::Text)
            .into_function()
        {
            Ok(function) => Ok(function),
            Err(Error::SyntaxError { message, .. }) => Err(message.into_bytes()),
            Err(error) => Err(error.to_string().into_bytes()),
        }
    }

    pub(crate) fn keep(&mut self, function: mlua::Function) -> Result<Compiled> {
        let at = self.free.pop().unwrap_or(self.last + 1);
        self.functions.raw_set(at, function)?;
        self.last = self.last.max(at);
        Ok(Compiled(at))
    }

    /// Lets go of a script.
    pub fn forget(&mut self, compiled: Compiled) {
        // Setting an element to nil never needs memory.
        let _ = self.functions.raw_set(compiled.0, Value::Nil);
        self.free.push(compiled.0);
    }

    /// Runs a script and writes its reply.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn run(
        &self,
        script: Compiled,
        input: Input<'_>,
        host: &mut dyn Host,
        out: &mut Reply,
    ) -> std::result::Result<(), Ended> {
        self.call(Form::Script, script, input, host, out)
    }

    /// Runs a function of a library and writes its reply.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn run_function(
        &self,
        function: Compiled,
        input: Input<'_>,
        host: &mut dyn Host,
        out: &mut Reply,
    ) -> std::result::Result<(), Ended> {
        self.call(Form::Function, function, input, host, out)
    }

    fn call(
        &self,
        form: Form,
        Compiled(function): Compiled,
        input: Input<'_>,
        host: &mut dyn Host,
        out: &mut Reply,
    ) -> std::result::Result<(), Ended> {
        let shared = &self.sandbox.shared;
        shared.ending.set(false);
        let task = Task {
            form,
            function,
            input,
            out,
        };
        match host::lend(host, shared, || self.door.run(task)) {
            Outcome::Returned if !shared.ending.get() => Ok(()),
            Outcome::Returned | Outcome::Raised => Err(self.ended()),
            Outcome::NoMemory => {
                // What the script has left behind must not fail the next one. There is nothing to
                // do if even that fails.
                let _ = self.sandbox.lua.gc_collect();
                Err(Ended::Failed {
                    text: b"ERR not enough memory".to_vec(),
                    counted: false,
                    place: None,
                })
            }
        }
    }

    fn ended(&self) -> Ended {
        let shared = &self.sandbox.shared;
        let report = shared.report.take();
        match report {
            _ if shared.ending.get() => Ended::ByHost,
            Some(Report {
                text,
                counted,
                place,
            }) => Ended::Failed {
                text,
                counted,
                place,
            },
            None => Ended::Failed {
                text: b"ERR error in error handling".to_vec(),
                counted: false,
                place: None,
            },
        }
    }

    /// Loads a library: runs its code, which registers functions.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_library(
        &mut self,
        source: &[u8],
        host: &mut dyn Host,
    ) -> std::result::Result<Library, Ended> {
        let fail = |text: Vec<u8>| Ended::Failed {
            text,
            counted: false,
            place: None,
        };
        let shared = self.sandbox.shared.clone();
        let function = self
            .load(source, "@user_function", Some(&self.sandbox.libraries))
            .map_err(|text| fail([b"ERR Error compiling function: ", &text[..]].concat()))?;
        shared.ending.set(false);
        *shared.registering.borrow_mut() = Some(Registering::default());
        let load = &self.sandbox.load_library;
        let result = host::lend(host, &shared, || load.call::<(bool, Value)>(function));
        let registered = shared.registering.take().unwrap_or_default();
        match result {
            Ok((true, _)) => registered
                .into_library(self)
                .map_err(|error| unexpected(&error)),
            Ok(_) => Err(self.ended()),
            Err(error) => Err(unexpected(&error)),
        }
    }
}

/// An error of mlua's own, outside of what the script did.
fn unexpected(error: &Error) -> Ended {
    Ended::Failed {
        text: format!("ERR {error}").into_bytes(),
        counted: false,
        place: None,
    }
}

#[cfg(test)]
mod tests;
