//! CLIENT TRACKING and its kin: client-side caching, as one client asks for it.

use std::sync::atomic::Ordering::Relaxed;

use base::ids::ClientId;
use engine::args::Args;
use engine::failure::Failure;
use resp::Reply;

use super::ON_OFF;
use crate::session::Session;
use crate::tracking::{Caching, Mode, Post, Wish};

const ONE_REDIRECT: Failure =
    Failure::fixed("ERR A client can only redirect to a single other client");
const NO_SUCH_TARGET: Failure =
    Failure::fixed("ERR The client ID you want redirect to does not exist");
const PREFIX_WITHOUT_BCAST: Failure =
    Failure::fixed("ERR PREFIX option requires BCAST mode to be enabled");
const SWITCHES_BCAST: Failure = Failure::fixed(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);
const BCAST_WITH_OPT: Failure =
    Failure::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST");
const BOTH_OPT: Failure = Failure::fixed("ERR You can't specify both OPTIN mode and OPTOUT mode");
const SWITCHES_OPT: Failure = Failure::fixed(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);
const NOT_CACHING: Failure = Failure::fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
     OPTOUT mode enabled",
);
const NOT_OPTIN: Failure =
    Failure::fixed("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NOT_OPTOUT: Failure =
    Failure::fixed("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");

/// The words behind ON or OFF.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<(ClientId, Post)>,
    prefixes: Vec<&'a [u8]>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
}

pub(super) fn tracking(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let switch = args.bytes();
    let options = read_options(session, args)?;
    let switch = ON_OFF
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(switch));
    let &(_, on) = switch.ok_or(Failure::SYNTAX)?;
    if on {
        let mode = check(&options, session.client.caching.as_deref())?;
        let wish = Wish {
            mode,
            no_loop: options.no_loop,
            redirect: options.redirect,
        };
        session
            .server
            .tracking
            .start(session.client, wish, &options.prefixes);
        // From the next command on, also of this round.
        session.env.broadcast = session.server.tracking.is_broadcasting();
    } else {
        session.server.tracking.stop(session.client);
    }
    out.ok();
    Ok(())
}

fn read_options<'a>(
    session: &Session<'_, '_>,
    args: &mut Args<'a>,
) -> Result<Options<'a>, Failure> {
    let mut options = Options::default();
    while args.left() > 0 {
        let more = args.left() > 1;
        if more && args.accept("REDIRECT") {
            if options.redirect.is_some() {
                return Err(ONE_REDIRECT);
            }
            let id = args.int();
            args.check()?;
            let card = u64::try_from(id)
                .ok()
                .and_then(|id| session.server.clients.get(ClientId(id)))
                .filter(|card| !card.killed.load(Relaxed))
                .ok_or(NO_SUCH_TARGET)?;
            let post = Post {
                worker: card.worker,
                place: card.place.load(Relaxed),
            };
            options.redirect = Some((card.id, post));
        } else if more && args.accept("PREFIX") {
            options.prefixes.push(args.bytes());
        } else if args.accept("BCAST") {
            options.broadcast = true;
        } else if args.accept("OPTIN") {
            options.opt_in = true;
        } else if args.accept("OPTOUT") {
            options.opt_out = true;
        } else if args.accept("NOLOOP") {
            options.no_loop = true;
        } else {
            return Err(Failure::SYNTAX);
        }
    }
    Ok(options)
}

/// The mode that the options ask for, if they go together with one another and with what is on.
fn check(options: &Options<'_>, current: Option<&Caching>) -> Result<Mode, Failure> {
    if !options.broadcast && !options.prefixes.is_empty() {
        return Err(PREFIX_WITHOUT_BCAST);
    }
    let mode = current.map(|caching| caching.wish.mode);
    if mode.is_some_and(|mode| (mode == Mode::Broadcast) != options.broadcast) {
        return Err(SWITCHES_BCAST);
    }
    if options.broadcast && (options.opt_in || options.opt_out) {
        return Err(BCAST_WITH_OPT);
    }
    if options.opt_in && options.opt_out {
        return Err(BOTH_OPT);
    }
    if options.opt_in && mode == Some(Mode::OptOut) || options.opt_out && mode == Some(Mode::OptIn)
    {
        return Err(SWITCHES_OPT);
    }
    check_prefixes(&options.prefixes, current)?;
    Ok(match options {
        Options {
            broadcast: true, ..
        } => Mode::Broadcast,
        Options { opt_in: true, .. } => Mode::OptIn,
        Options { opt_out: true, .. } => Mode::OptOut,
        _ => Mode::Reads,
    })
}

/// No prefix may be a prefix of another: a client would hear of a key twice.
fn check_prefixes(prefixes: &[&[u8]], current: Option<&Caching>) -> Result<(), Failure> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refusal = |prefix: &[u8], what: &str, other: &[u8]| {
        let (prefix, other) = (
            String::from_utf8_lossy(prefix),
            String::from_utf8_lossy(other),
        );
        Failure::owned(format!(
            "ERR Prefix '{prefix}' overlaps with {what} prefix '{other}'. Prefixes for a single \
             client must not overlap."
        ))
    };
    let known = current.map_or(&[][..], |caching| &caching.prefixes);
    for (at, &prefix) in prefixes.iter().enumerate() {
        if let Some(other) = known.iter().find(|other| overlap(prefix, other)) {
            return Err(refusal(prefix, "an existing", other));
        }
        let mut rest = prefixes[at + 1..].iter();
        if let Some(other) = rest.find(|other| overlap(prefix, other)) {
            return Err(refusal(prefix, "another provided", other));
        }
    }
    Ok(())
}

pub(super) fn caching(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const ANSWERS: &[(&str, Mode, Failure)] = &[
        ("YES", Mode::OptIn, NOT_OPTIN),
        ("NO", Mode::OptOut, NOT_OPTOUT),
    ];
    let caching = session.client.caching.as_deref_mut().ok_or(NOT_CACHING)?;
    let answer = args.bytes();
    let answer = ANSWERS
        .iter()
        .find(|(name, ..)| name.as_bytes().eq_ignore_ascii_case(answer));
    let (_, mode, refusal) = answer.ok_or(Failure::SYNTAX)?;
    if caching.wish.mode != *mode {
        return Err(refusal.clone());
    }
    caching.given = true;
    out.ok();
    Ok(())
}

pub(super) fn trackinginfo(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let caching = session.client.caching.as_deref();
    let broken = session.client.card.tracking.is_broken();
    out.map(3);
    out.bulk(b"flags");
    let flags = flags_of(caching, broken);
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag.as_bytes()));
    out.bulk(b"redirect");
    out.int(session.client.card.tracking.shown_redirect());
    out.bulk(b"prefixes");
    let prefixes = caching.map_or(&[][..], |caching| &caching.prefixes);
    out.array(prefixes.len());
    prefixes.iter().for_each(|prefix| out.bulk(prefix));
    Ok(())
}

fn flags_of(caching: Option<&Caching>, broken: bool) -> Vec<&'static str> {
    let Some(caching) = caching else {
        return vec!["off"];
    };
    let (mode, given): (&[_], _) = match caching.wish.mode {
        Mode::Reads => (&[], ""),
        Mode::Broadcast => (&["bcast"], ""),
        Mode::OptIn => (&["optin"], "caching-yes"),
        Mode::OptOut => (&["optout"], "caching-no"),
    };
    let mut flags = vec!["on"];
    flags.extend(mode);
    let more = [
        (given, caching.given && !given.is_empty()),
        ("noloop", caching.wish.no_loop),
        ("broken_redirect", broken),
    ];
    flags.extend(
        more.iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(flag, _)| *flag),
    );
    flags
}

pub(super) fn getredir(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.int(session.client.card.tracking.shown_redirect());
    Ok(())
}

/// There is no import mode (`import-mode` cannot be set), so nobody can be an import's source.
pub(super) fn import_source(
    _: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    if !args.accept("OFF") {
        return Err(Failure::fixed("ERR Server is not in import mode"));
    }
    out.ok();
    Ok(())
}
