//! The server as a whole: TIME, ROLE, MONITOR, SHUTDOWN, MODULE, LOLWUT.

use base::rng::Rng;
use base::time::Clock;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use log::info;
use resp::Reply;
use signal_hook::consts::SIGTERM;

use crate::connection::Waiting;
use crate::families::reply_help;
use crate::session::{ControlRun, Session};
use crate::shutdown::Wish;
use crate::version::{REDIS_VERSION, VERSION};

const ANYTIME: Flags = Flags::LOADING.or(Flags::STALE);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: ANYTIME.or(Flags::FAST),
        since: "2.6.0",
        summary: "Returns the server's time.",
        tips: &["nondeterministic_output"],
        ..Spec::new("time", 1, Group::Server, Run::Do(time))
    },
    Spec {
        flags: ANYTIME.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        summary: "Shows every command that is run.",
        complexity: "",
        ..Spec::new("monitor", 1, Group::Server, Run::Do(monitor))
    },
    Spec {
        flags: ANYTIME
            .or(Flags::ADMIN)
            .or(Flags::NOSCRIPT)
            .or(Flags::NO_MULTI)
            .or(Flags::ALLOW_BUSY),
        summary: "Ends the server.",
        complexity: "O(N) when it saves, N being the number of keys; else O(1)",
        history: &[("7.0.0", "The words `NOW`, `FORCE` and `ABORT`.")],
        args: &[
            Arg::one_of(
                "save-selector",
                &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")],
            )
            .optional(),
            Arg::word("now", "NOW").optional().since("7.0.0"),
            Arg::word("force", "FORCE").optional().since("7.0.0"),
            Arg::word("abort", "ABORT").optional().since("7.0.0"),
        ],
        ..Spec::new("shutdown", -1, Group::Server, Run::Do(shutdown))
    },
    Spec {
        since: "4.0.0",
        summary: "Tells which modules are loaded.",
        complexity: "Depends on the subcommand",
        ..Spec::new("module", -2, Group::Server, Run::Container(MODULE))
    },
    Spec {
        flags: Flags::READONLY.or(Flags::FAST),
        since: "5.0.0",
        summary: "Paints a picture.",
        complexity: "",
        args: &[Arg::new("version", ArgKind::Integer)
            .token("VERSION")
            .optional()],
        ..Spec::new("lolwut", -1, Group::Server, Run::Do(lolwut))
    },
];

const MODULE: &[Spec<ControlRun>] = &[
    Spec {
        flags: ANYTIME,
        since: "5.0.0",
        summary: "Explains the subcommands.",
        ..Spec::new("help", 2, Group::Server, Run::Do(module_help))
    },
    Spec {
        flags: Flags::ADMIN.or(Flags::NOSCRIPT),
        since: "4.0.0",
        summary: "Lists the modules.",
        complexity: "O(N), N being the number of modules",
        tips: &["nondeterministic_output_order"],
        ..Spec::new("list", 2, Group::Server, Run::Do(module_list))
    },
];

const MODULE_HELP: &[&str] = &[
    "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "LIST",
    "    List the modules. There are none: this server cannot load any.",
    "HELP",
    "    Show these lines.",
];

fn time(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    let env = &session.env;
    let micros = match env.script_micros.get() {
        micros if env.scripted && micros != 0 => micros,
        _ => session.server.clock.now_micros(),
    };
    env.script_micros.set(micros);
    out.array(2);
    out.bulk_int(micros.div_euclid(1_000_000));
    out.bulk_int(micros.rem_euclid(1_000_000));
    Ok(())
}

fn monitor(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if session.lease.is_pinned() {
        let text = "ERR MONITOR isn't allowed for DENY BLOCKING client";
        return Err(Failure::fixed(text));
    }
    // Whoever monitors already gets no answer, as from Redis.
    if !session.client.monitors {
        session.monitor();
        out.ok();
    }
    Ok(())
}

/// The words of SHUTDOWN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    NoSave,
    Save,
    Now,
    Force,
    Abort,
}

const WORDS: &[(&str, Word)] = &[
    ("nosave", Word::NoSave),
    ("save", Word::Save),
    ("now", Word::Now),
    ("force", Word::Force),
    ("abort", Word::Abort),
];

fn shutdown(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut words = Vec::new();
    while let Some(word) = args.option(WORDS) {
        words.push(word);
    }
    args.end()?;
    let has = |word| words.contains(&word);
    if has(Word::Abort) && words.len() > 1 || has(Word::Save) && has(Word::NoSave) {
        return Err(Failure::SYNTAX);
    }
    if has(Word::Abort) {
        if !session.server.shutdown_wait.abort() {
            return Err(Failure::fixed("ERR No shutdown in progress."));
        }
        out.ok();
        return Ok(());
    }
    let save = (has(Word::Save) || has(Word::NoSave)).then(|| has(Word::Save));
    let (now, force) = (has(Word::Now), has(Word::Force));
    info!("User requested shutdown...");
    *session.server.shutdown.lock() = Some(Wish { save, now, force });
    signal_hook::low_level::raise(SIGTERM)
        .map_err(|error| Failure::owned(format!("ERR cannot shut down: {error}")))?;
    session.waiting = Some(Waiting::Shutdown);
    Ok(())
}

fn module_list(
    _: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    out.array(0);
    Ok(())
}

fn module_help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(MODULE_HELP, out);
    Ok(())
}

/// Cells across and generations down; a line of text shows two generations.
const CANVAS: (usize, usize) = (66, 40);
/// Wolfram's numbers of rules whose pictures look like something.
const RULES: &[u8] = &[18, 22, 30, 45, 54, 60, 73, 90, 105, 110, 126, 150];

/// A patch of rust that spreads by a rule drawn at random. Any version and any further words paint
/// the same kind of picture.
fn lolwut(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if args.left() >= 2 && args.accept("version") {
        args.int();
        args.check()?;
    }
    let mut rng = Rng::from_seed(session.env.random());
    let rule = RULES[rng.below(RULES.len() as u64) as usize];
    let mut text = picture(rule, &mut rng);
    text.push_str(&format!(
        "\nRust, spreading by rule {rule}. Ruddle {VERSION}, at the service of \
         Redis ver. {REDIS_VERSION}\n"
    ));
    out.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// The generations of a cellular automaton that starts with a few cells, two to a line of half
/// blocks.
fn picture(rule: u8, rng: &mut Rng) -> String {
    let (width, height) = CANVAS;
    let mut cells = vec![false; width];
    for _ in 0..=rng.below(3) {
        cells[rng.below(width as u64) as usize] = true;
    }
    let mut text = String::new();
    for _ in 0..height / 2 {
        let below = next_generation(rule, &cells);
        for (&upper, &lower) in cells.iter().zip(&below) {
            text.push(match (upper, lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push('\n');
        cells = next_generation(rule, &below);
    }
    text
}

fn next_generation(rule: u8, cells: &[bool]) -> Vec<bool> {
    let width = cells.len();
    let cell = |at: usize| u8::from(cells[at % width]);
    (0..width)
        .map(|at| cell(at + width - 1) << 2 | cell(at) << 1 | cell(at + 1))
        .map(|neighbourhood| rule >> neighbourhood & 1 == 1)
        .collect()
}
