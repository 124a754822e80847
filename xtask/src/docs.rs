//! `cargo xtask docs`: writes COMPATIBILITY.md from the running server's commands, the neighbours'
//! inventory and the remarks in `xtask/data`. The file is never edited; `tidy` compares it with
//! what would be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use testkit::peers;
use toml::Table;

use crate::inventory::{self, Row};
use crate::server;

const PAGE: &str = "COMPATIBILITY.md";
const REMARKS: &str = "xtask/data/compatibility.toml";
const FAILURES: &str = "xtask/data/tcl-failures.toml";

const HEAD: &str = "\
# Compatibility

Written by `cargo xtask docs`; do not edit. Remarks live in `xtask/data/compatibility.toml` and
`xtask/data/tcl-failures.toml`.

Ruddle takes the commands of Redis and Valkey. Where the two answer differently, it answers as
Redis 8 does. *since* is the release that brought a command to Redis or Valkey (`-`: never).
`same` means: the same replies, errors included, as the transcripts and the differential runner
check them against the peer itself.
";

/// Writes the page.
pub(crate) fn run() -> Result<(), String> {
    let page = render(&server::commands()?)?;
    fs::write(peers::root().join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
}

/// Complains when the page is not what would be written now.
pub(crate) fn check(commands: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let wanted = render(commands)?;
    let found = fs::read_to_string(peers::root().join(PAGE)).unwrap_or_default();
    let stale = found != wanted;
    Ok(stale
        .then(|| format!("{PAGE}:1: out of date: run `cargo xtask docs`"))
        .into_iter()
        .collect())
}

struct Remarks {
    groups: BTreeMap<String, String>,
    commands: BTreeMap<String, String>,
}

fn render(commands: &BTreeSet<String>) -> Result<String, String> {
    let mut rows = inventory::read()?;
    let known: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let ours: Vec<&String> = commands
        .iter()
        .filter(|c| !known.contains(c.as_str()))
        .collect();
    let own_rows: Vec<Row> = ours.into_iter().map(|name| own_row(name)).collect();
    rows.extend(own_rows);
    let remarks = remarks(&rows)?;
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        groups.entry(&row.group).or_default().push(row);
    }
    let mut page = HEAD.to_owned();
    summary(&mut page, &groups, commands);
    for (group, rows) in &groups {
        section(&mut page, group, rows, commands, &remarks)?;
    }
    failures(&mut page)?;
    Ok(page)
}

/// A command that only Ruddle has.
fn own_row(name: &str) -> Row {
    let none = || "-".to_owned();
    Row {
        name: name.to_owned(),
        group: "ruddle".to_owned(),
        redis: none(),
        valkey: none(),
        others: none(),
    }
}

// Writing to a String cannot fail, hence the ignored results below.

fn summary(page: &mut String, groups: &BTreeMap<&str, Vec<&Row>>, commands: &BTreeSet<String>) {
    page.push_str("\n| group | commands | in Ruddle |\n| --- | ---: | ---: |\n");
    for (group, rows) in groups {
        let here = rows
            .iter()
            .filter(|row| commands.contains(&row.name))
            .count();
        _ = writeln!(page, "| {group} | {} | {here} |", rows.len());
    }
}

fn section(
    page: &mut String,
    group: &str,
    rows: &[&Row],
    commands: &BTreeSet<String>,
    remarks: &Remarks,
) -> Result<(), String> {
    _ = writeln!(page, "\n## {group}");
    let (here, absent): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .copied()
        .partition(|row| commands.contains(&row.name));
    let remarked = |row: &&Row| remarks.commands.contains_key(&row.name);
    let (absent_with_reason, absent): (Vec<&Row>, Vec<&Row>) =
        absent.into_iter().partition(remarked);
    if !here.is_empty() || !absent_with_reason.is_empty() {
        page.push_str(
            "\n| command | since Redis | since Valkey | Ruddle |\n| --- | --- | --- | --- |\n",
        );
        for row in &here {
            let status = match remarks.commands.get(&row.name) {
                Some(remark) if remark.starts_with("same") => remark.clone(),
                Some(remark) => format!("differs: {remark}"),
                None => "same".to_owned(),
            };
            _ = writeln!(
                page,
                "| {} | {} | {} | {status} |",
                row.name, row.redis, row.valkey
            );
        }
        for row in &absent_with_reason {
            let remark = &remarks.commands[&row.name];
            let (name, redis, valkey) = (&row.name, &row.redis, &row.valkey);
            _ = writeln!(page, "| {name} | {redis} | {valkey} | absent: {remark} |");
        }
    }
    if !absent.is_empty() {
        let remark = remarks.groups.get(group);
        let remark = remark.ok_or_else(|| format!("{REMARKS}: [groups] lacks `{group}`"))?;
        let names: Vec<String> = absent.iter().map(|row| mention(row)).collect();
        _ = writeln!(page, "\nAbsent ({remark}): {}.", names.join(", "));
    }
    Ok(())
}

/// A name, with the letters of those other servers that have it when neither Redis nor Valkey does.
fn mention(row: &Row) -> String {
    let elsewhere = row.redis == "-" && row.valkey == "-" && row.others != "-";
    if elsewhere {
        format!("{} ({})", row.name, row.others)
    } else {
        row.name.clone()
    }
}

fn remarks(rows: &[Row]) -> Result<Remarks, String> {
    let table = table(REMARKS)?;
    let texts = |section: &str| -> Result<BTreeMap<String, String>, String> {
        let entries = table
            .get(section)
            .and_then(toml::Value::as_table)
            .cloned()
            .unwrap_or_default();
        let text = |(name, value): (String, toml::Value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            _ => Err(format!("{REMARKS}: `{name}` is not a text")),
        };
        entries.into_iter().map(text).collect()
    };
    let remarks = Remarks {
        groups: texts("groups")?,
        commands: texts("commands")?,
    };
    let stray = remarks
        .commands
        .keys()
        .find(|name| rows.iter().all(|row| row.name != **name));
    match stray {
        Some(name) => Err(format!("{REMARKS}: `{name}` is no command")),
        None => Ok(remarks),
    }
}

fn failures(page: &mut String) -> Result<(), String> {
    page.push_str("\n## Tests of the peers' suite that do not pass\n");
    let table = table(FAILURES)?;
    if let Some(about) = table.get("about").and_then(toml::Value::as_str) {
        _ = writeln!(page, "\n{about}");
    }
    let reasons = table
        .get("reason")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    if reasons.is_empty() {
        page.push_str("\nNone recorded.\n");
    }
    for reason in reasons {
        let why = reason.get("why").and_then(toml::Value::as_str);
        let tests = reason.get("tests").and_then(toml::Value::as_array);
        let (Some(why), Some(tests)) = (why, tests) else {
            return Err(format!("{FAILURES}: a [[reason]] needs `why` and `tests`"));
        };
        _ = writeln!(page, "\n### {why}\n");
        for test in tests.iter().filter_map(toml::Value::as_str) {
            _ = writeln!(page, "- {test}");
        }
    }
    Ok(())
}

fn table(file: &str) -> Result<Table, String> {
    let text = fs::read_to_string(peers::root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    text.parse().map_err(|error| format!("{file}: {error}"))
}
