//! Asks the built server what commands it has. The running program is the truth; nothing is parsed
//! out of sources.

use std::collections::BTreeSet;

use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// Every command: top-level names, and for containers `CONTAINER SUBCOMMAND` instead. Upper case.
pub(crate) fn commands() -> Result<BTreeSet<String>, String> {
    let server = Server::start(Kind::Ruddle, &[])?;
    let reply = server
        .connect()
        .and_then(|mut client| client.call(&["COMMAND"]));
    let reply = reply.map_err(|error| format!("COMMAND: {error}\n{}", server.log()))?;
    let mut names = BTreeSet::new();
    for row in reply
        .items()
        .ok_or_else(|| format!("COMMAND answered {reply}"))?
    {
        collect(row, &mut names);
    }
    Ok(names)
}

/// A row of COMMAND: the name first, the subcommands (if any) as tenth element.
fn collect(row: &Reply, names: &mut BTreeSet<String>) {
    let Some(fields) = row.items() else { return };
    let subcommands = fields.get(9).and_then(Reply::items).unwrap_or_default();
    if subcommands.is_empty() {
        let name = fields.first().and_then(Reply::bytes).unwrap_or_default();
        names.insert(
            String::from_utf8_lossy(name)
                .to_uppercase()
                .replace('|', " "),
        );
    }
    for subcommand in subcommands {
        collect(subcommand, names);
    }
}
