//! Checks the manifests: who depends on whom, and that every crate takes the workspace's lints.

use std::fs;

use testkit::peers;
use toml::Table;

use super::tables::{CRATES, CrateRule, DEV_DEPENDENCIES};

/// Complaints about the manifests.
pub(super) fn check() -> Result<Vec<String>, String> {
    let mut complaints = Vec::new();
    for directory in member_directories()? {
        let path = format!("{directory}/Cargo.toml");
        let text = fs::read_to_string(peers::root().join(&path));
        let text = text.map_err(|error| format!("{path}: {error}"))?;
        let manifest: Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
        match CRATES.iter().find(|rule| rule.path == directory) {
            Some(rule) => complaints.extend(check_manifest(rule, &path, &manifest)),
            None => complaints.push(format!("{path}: this crate has no row in xtask's CRATES")),
        }
    }
    Ok(complaints)
}

fn member_directories() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(peers::root().join("crates")).map_err(|e| format!("crates: {e}"))?;
    let names = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut members: Vec<String> = names
        .map(|entry| format!("crates/{}", entry.file_name().to_string_lossy()))
        .collect();
    members.push("xtask".to_owned());
    members.sort();
    Ok(members)
}

fn check_manifest(rule: &CrateRule, path: &str, manifest: &Table) -> Vec<String> {
    let mut complaints = Vec::new();
    let names = |section: &str| -> Vec<String> {
        // Also those of some targets only.
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        let targets = targets.into_iter().flat_map(|targets| targets.values());
        let tables = targets.filter_map(|target| target.get(section));
        let tables = tables.chain(manifest.get(section));
        let tables = tables.filter_map(toml::Value::as_table);
        tables.flat_map(|table| table.keys().cloned()).collect()
    };
    let known =
        |name: &String| rule.own.contains(&name.as_str()) || rule.foreign.contains(&name.as_str());
    for name in names("dependencies").iter().filter(|name| !known(name)) {
        let row = rule.name;
        complaints.push(format!(
            "{path}: `{row}` may not depend on `{name}` (xtask's CRATES)"
        ));
    }
    let dev_known = |name: &String| known(name) || DEV_DEPENDENCIES.contains(&name.as_str());
    for name in names("dev-dependencies")
        .iter()
        .filter(|name| !dev_known(name))
    {
        complaints.push(format!("{path}: tests may not depend on `{name}`"));
    }
    let lints = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        complaints.push(format!("{path}: say `[lints] workspace = true`"));
    }
    complaints
}
