//! Publish/subscribe: SUBSCRIBE and its kin, PUBLISH, SPUBLISH, PUBSUB.

use base::strings::until_nul;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, KeySpec, Run, Spec};
use resp::Reply;

use super::reply_help;
use crate::aftermath;
use crate::client::ReplyMode;
use crate::pubsub::Kind;
use crate::session::{ControlRun, Session};
use crate::tracking;

const ANYTIME: Flags = Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE);
const SUBSCRIBER: Flags = ANYTIME.or(Flags::NOSCRIPT);
const PUBLISHER: Flags = ANYTIME.or(Flags::FAST).or(Flags::MAY_REPLICATE);

const CHANNEL: Arg = Arg::new("channel", ArgKind::String);
const SHARD_CHANNEL: Arg = Arg::new("shardchannel", ArgKind::String);
const PATTERN: Arg = Arg::new("pattern", ArgKind::Pattern);
const MESSAGE: Arg = Arg::new("message", ArgKind::String);
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, &["not_key"])];

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: SUBSCRIBER,
        since: "2.0.0",
        summary: "Listens to all channels whose name matches a pattern.",
        complexity: "O(N), N being the number of patterns",
        args: &[PATTERN.multiple()],
        ..command("psubscribe", -2, psubscribe)
    },
    Spec {
        flags: PUBLISHER,
        since: "2.0.0",
        summary: "Sends a message to those who listen to a channel.",
        complexity: "O(N+M), N being the number of listeners, M that of all patterns",
        args: &[CHANNEL, MESSAGE],
        ..command("publish", 3, publish)
    },
    Spec {
        since: "2.8.0",
        summary: "Tells about channels and listeners: subcommands.",
        complexity: "See each subcommand",
        ..Spec::new("pubsub", -2, Group::PubSub, Run::Container(PUBSUB))
    },
    Spec {
        flags: SUBSCRIBER,
        since: "2.0.0",
        summary: "Stops listening to patterns, or to all.",
        complexity: "O(N), N being the number of patterns",
        args: &[PATTERN.optional().multiple()],
        ..command("punsubscribe", -1, punsubscribe)
    },
    Spec {
        flags: PUBLISHER,
        keys: &[KeySpec::first(&["not_key"])],
        since: "7.0.0",
        summary: "Sends a message to those who listen to a shard channel.",
        complexity: "O(N), N being the number of listeners",
        args: &[SHARD_CHANNEL, MESSAGE],
        ..command("spublish", 3, spublish)
    },
    Spec {
        flags: SUBSCRIBER,
        keys: SHARD_CHANNELS,
        since: "7.0.0",
        summary: "Listens to shard channels.",
        complexity: "O(N), N being the number of channels",
        args: &[SHARD_CHANNEL.multiple()],
        ..command("ssubscribe", -2, ssubscribe)
    },
    Spec {
        flags: SUBSCRIBER,
        since: "2.0.0",
        summary: "Listens to channels.",
        complexity: "O(N), N being the number of channels",
        args: &[CHANNEL.multiple()],
        ..command("subscribe", -2, subscribe)
    },
    Spec {
        flags: SUBSCRIBER,
        keys: SHARD_CHANNELS,
        since: "7.0.0",
        summary: "Stops listening to shard channels, or to all.",
        complexity: "O(N), N being the number of channels",
        args: &[SHARD_CHANNEL.optional().multiple()],
        ..command("sunsubscribe", -1, sunsubscribe)
    },
    Spec {
        flags: SUBSCRIBER,
        since: "2.0.0",
        summary: "Stops listening to channels, or to all.",
        complexity: "O(N), N being the number of channels",
        args: &[CHANNEL.optional().multiple()],
        ..command("unsubscribe", -1, unsubscribe)
    },
];

const PUBSUB: &[Spec<ControlRun>] = &[
    Spec {
        flags: ANYTIME,
        since: "2.8.0",
        summary: "Lists the channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels",
        args: &[PATTERN.optional()],
        ..command("channels", -2, channels)
    },
    Spec {
        flags: Flags::LOADING.or(Flags::STALE),
        since: "6.2.0",
        summary: "Explains the subcommands.",
        ..command("help", 2, help)
    },
    Spec {
        flags: ANYTIME,
        since: "2.8.0",
        summary: "Counts the patterns that somebody listens to.",
        ..command("numpat", 2, numpat)
    },
    Spec {
        flags: ANYTIME,
        since: "2.8.0",
        summary: "Counts the listeners of channels.",
        complexity: "O(N), N being the number of channels",
        args: &[CHANNEL.optional().multiple()],
        ..command("numsub", -2, numsub)
    },
    Spec {
        flags: ANYTIME,
        since: "7.0.0",
        summary: "Lists the shard channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels",
        args: &[PATTERN.optional()],
        ..command("shardchannels", -2, shardchannels)
    },
    Spec {
        flags: ANYTIME,
        since: "7.0.0",
        summary: "Counts the listeners of shard channels.",
        complexity: "O(N), N being the number of channels",
        args: &[SHARD_CHANNEL.optional().multiple()],
        ..command("shardnumsub", -2, shardnumsub)
    },
];

const fn command(name: &'static str, arity: i16, run: ControlRun) -> Spec<ControlRun> {
    Spec::new(name, arity, Group::PubSub, Run::Do(run))
}

const NOT_IN_TRANSACTION: Failure =
    Failure::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");

/// PUBSUB HELP.
const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    List the channels that somebody listens to, those that match <pattern> if given.",
    "NUMPAT",
    "    Count the patterns that somebody listens to.",
    "NUMSUB [<channel> ...]",
    "    Count the listeners of each <channel>, those by pattern left out.",
    "SHARDCHANNELS [<pattern>]",
    "    List the shard channels that somebody listens to.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Count the listeners of each <shardchannel>.",
    "HELP",
    "    Show these lines.",
];

/// The words of the replies to subscribing and unsubscribing.
const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Channel => ("subscribe", "unsubscribe"),
        Kind::Pattern => ("psubscribe", "punsubscribe"),
        Kind::Shard => ("ssubscribe", "sunsubscribe"),
    }
}

/// One reply to a subscription or its end, with the number of those that are left: of channels and
/// patterns together, or of shard channels.
///
/// Compat: it is a message more than a reply, so CLIENT REPLY OFF and SKIP do not keep it back.
fn confirm(
    session: &mut Session<'_, '_>,
    kind: Kind,
    word: &str,
    name: Option<&[u8]>,
    out: &mut Reply,
) {
    let mine = &session.client.subscriptions;
    let count = match kind {
        Kind::Shard => mine.count(Kind::Shard),
        Kind::Channel | Kind::Pattern => mine.count(Kind::Channel) + mine.count(Kind::Pattern),
    };
    let write = |out: &mut Reply| {
        out.push(3);
        out.bulk(word.as_bytes());
        match name {
            Some(name) => out.bulk(name),
            None => out.null(),
        }
        out.int(count as i64);
    };
    if session.client.reply_mode == ReplyMode::On {
        return write(out);
    }
    let mut unmuted = Reply::new(out.proto());
    write(&mut unmuted);
    let bytes = unmuted.contiguous().unwrap_or_default();
    session.client.unmuted.extend_from_slice(bytes);
}

fn subscribe_to(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    kind: Kind,
) -> Result<(), Failure> {
    // Compat: shard channels only, since clients are used to the others.
    if kind == Kind::Shard && session.lease.is_pinned() {
        return Err(NOT_IN_TRANSACTION);
    }
    for name in args.rest() {
        session.subscribe(kind, name);
        confirm(session, kind, words(kind).0, Some(name), out);
    }
    Ok(())
}

fn unsubscribe_from(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    kind: Kind,
) -> Result<(), Failure> {
    let word = words(kind).1;
    if args.left() > 0 {
        for name in args.rest() {
            session.unsubscribe(kind, name);
            confirm(session, kind, word, Some(name), out);
        }
        return Ok(());
    }
    let names = session.client.subscriptions.names(kind);
    if names.is_empty() {
        confirm(session, kind, word, None, out);
    }
    for name in names {
        session.unsubscribe(kind, &name);
        confirm(session, kind, word, Some(&name), out);
    }
    Ok(())
}

macro_rules! handlers {
    ($($name:ident = $run:ident($kind:ident);)*) => {
        $(fn $name(
            session: &mut Session<'_, '_>,
            args: &mut Args<'_>,
            out: &mut Reply,
        ) -> Result<(), Failure> {
            $run(session, args, out, Kind::$kind)
        })*
    };
}

handlers! {
    subscribe = subscribe_to(Channel);
    psubscribe = subscribe_to(Pattern);
    ssubscribe = subscribe_to(Shard);
    unsubscribe = unsubscribe_from(Channel);
    punsubscribe = unsubscribe_from(Pattern);
    sunsubscribe = unsubscribe_from(Shard);
    publish = publish_to(Channel);
    spublish = publish_to(Shard);
    channels = list(Channel);
    shardchannels = list(Shard);
    numsub = count_each(Channel);
    shardnumsub = count_each(Shard);
}

fn publish_to(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    kind: Kind,
) -> Result<(), Failure> {
    let (channel, payload) = (args.bytes(), args.bytes());
    let server = session.server;
    let own = session.client.card.worker;
    let mailboxes = &server.mailboxes;
    // What the same transaction has done before comes first, so that nobody who hears the message
    // finds what it is about in a cache of before.
    if session.env.has_invalidations() {
        tracking::tell(server, own, session.env, Some(session.client));
    }
    aftermath::tell_events(server, own, session.env);
    let receivers = server
        .exchange
        .publish(kind, channel, payload, mailboxes, own);
    if server.appending.journal.is_kept() {
        let words = || args.words().map(<[u8]>::to_vec).collect();
        session.env.record(session.client.db, words);
    }
    out.int(receivers as i64);
    Ok(())
}

fn list(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    kind: Kind,
) -> Result<(), Failure> {
    let pattern = (args.left() > 0).then(|| args.bytes());
    if args.left() > 0 {
        return Err(wrong_words(args.word(1)));
    }
    let names = session.server.exchange.list(kind, pattern);
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name));
    Ok(())
}

/// Compat: too many words are reported like an unknown subcommand.
fn wrong_words(subcommand: &[u8]) -> Failure {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(until_nul(subcommand));
    text.extend_from_slice(b"'. Try PUBSUB HELP.");
    Failure::owned(text)
}

fn count_each(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    kind: Kind,
) -> Result<(), Failure> {
    out.array(args.left() * 2);
    for channel in args.rest() {
        out.bulk(channel);
        let count = session.server.exchange.subscribers(kind, channel);
        out.int(count as i64);
    }
    Ok(())
}

fn numpat(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    out.int(session.server.exchange.pattern_count() as i64);
    Ok(())
}

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}
