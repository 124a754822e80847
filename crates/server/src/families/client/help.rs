//! CLIENT HELP.

use engine::args::Args;
use engine::failure::Failure;
use resp::Reply;

use crate::session::Session;

const LINES: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Say whether the next command's keys will be cached: YES with OPTIN, NO with OPTOUT.",
    "CAPA <capability> [<capability> ...]",
    "    Claim that this client can do more than others. Known is:",
    "    * REDIRECT",
    "      It can follow a redirection to another primary.",
    "GETNAME",
    "    Tell the name of this connection.",
    "GETREDIR",
    "    Tell the ID of the client that gets this one's invalidation messages.",
    "ID",
    "    Tell the ID of this connection.",
    "IMPORT-SOURCE (ON|OFF)",
    "    Say whether this connection feeds an import. There is no import mode: only OFF is right.",
    "INFO",
    "    Tell all about this connection.",
    "KILL <ip:port>",
    "    Close the connection that comes from this address.",
    "KILL <filter> <value> [<filter> <value> ...]",
    "    Close the connections that all filters want. They are those of LIST;",
    "    SKIPME is YES unless it is given.",
    "LIST [<filter> <value> ...]",
    "    Tell all about the connections that all filters want. They are:",
    "    * ID <client-id> [<client-id> ...]",
    "      One of these connections.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      What the client is to the server.",
    "    * USER <username>",
    "      Who has logged in.",
    "    * ADDR <ip:port>, IP <ip>, LADDR <ip:port>",
    "      Where it comes from, with and without port, and where it came to.",
    "    * NAME <name>, LIB-NAME <name>, LIB-VER <version>",
    "      What SETNAME and SETINFO have set.",
    "    * DB <index>",
    "      The database it has selected.",
    "    * FLAGS <flags>, CAPA <capabilities>",
    "      Letters that it must all have.",
    "    * MAXAGE <seconds>, IDLE <seconds>",
    "      Connected, or silent, for at least as long.",
    "    * SKIPME (YES|NO)",
    "      Whether this connection is left out.",
    "    All but the last two lines have an opposite: NOT-ID, NOT-TYPE and so on.",
    "NO-EVICT (ON|OFF)",
    "    Keep this connection when clients need too much memory, or not.",
    "NO-TOUCH (ON|OFF)",
    "    Let this connection's commands not count as uses of their keys, or let them.",
    "PAUSE <milliseconds> [WRITE|ALL]",
    "    Hold back all commands, or those that write, for so long.",
    "QUORUM (<numreplicas> [TIMEOUT <milliseconds>]|DEFAULT)",
    "    Set how many replicas must have this connection's writes on disk before it is told.",
    "REPLY (ON|OFF|SKIP)",
    "    Answer this connection's commands, or none, or not the next one.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Say which client library this connection uses.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <client-id>] [BCAST] [PREFIX <prefix> ...]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Hear when keys change that this connection has read, or with BCAST that begin",
    "    with a prefix.",
    "TRACKINGINFO",
    "    Tell what this connection has asked of TRACKING.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the waiting of a blocked client as if its time was up, or with an error.",
    "UNPAUSE",
    "    End a pause.",
    "HELP",
    "    Show this text.",
];

pub(super) fn help(
    _: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.array(LINES.len());
    LINES.iter().for_each(|line| out.simple(line.as_bytes()));
    Ok(())
}
