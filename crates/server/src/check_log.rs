//! `ruddle check [--fix] FILE` for append-only files and their manifests, and `ruddle restore --to
//! TIME DIR`, which takes a directory of them back to a moment.
//!
//! Neither starts a server; the server that owns the files must not be running.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, copy};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use base::units::format_human;
use chrono::{DateTime, NaiveDateTime};
use journal::disk::RealDisk;
use journal::files::{Place, read_manifest};
use journal::manifest::{Entry, Manifest};
use journal::read::{Fault, Item, Reader};
use rdb::Input;
use rdb::file as snapshot;

use crate::check;

const MANIFEST: &str = ".manifest";

/// What a file of commands holds.
#[derive(Default)]
struct Content {
    /// Bytes of the snapshot at its beginning.
    snapshot_bytes: u64,
    commands: u64,
    /// First and last time stamp.
    times: Option<(i64, i64)>,
    /// Where the first stamp after a moment is.
    later_from: Option<u64>,
    fault: Option<Fault>,
    len: u64,
}

/// Whether this is about an append-only file rather than a snapshot.
pub fn concerns(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    path.is_dir()
        || [MANIFEST.as_bytes(), b".aof"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Checks a file, a manifest with all that it names, or a directory with a manifest. With `fix`, a
/// torn end is cut off. The report, and whether all is sound now.
///
/// # Errors
/// Something cannot be read.
pub fn check(path: &Path, fix: bool) -> Result<(String, bool), String> {
    let mut report = String::new();
    let name = path.file_name().unwrap_or_default().as_bytes();
    if !path.is_dir() && !name.ends_with(MANIFEST.as_bytes()) {
        let sound = check_part(path, fix, &mut report)?;
        return Ok((report, sound));
    }
    let (place, manifest) = read_set(path)?;
    let parts: Vec<PathBuf> = manifest
        .parts()
        .map(|part| place.path(&part.name))
        .collect();
    let mut sound = true;
    for (at, part) in parts.iter().enumerate() {
        let later = parts[at + 1..].iter();
        let is_last = later
            .map(|path| len_of(path))
            .try_fold(true, |last, len| len.map(|len| last && len == 0))?;
        // Only the end of the set can be cut off without a gap.
        sound &= check_part(part, fix && is_last, &mut report)?;
    }
    let count = parts.len();
    // Writing to a String cannot fail; here and below.
    let _ = writeln!(report, "{}: {count} files", place.manifest().display());
    Ok((report, sound))
}

/// The manifest at a path, or in a directory, or in the directory of append-only files in it.
fn read_set(path: &Path) -> Result<(Place, Manifest), String> {
    let file = match path.is_dir() {
        false => path.to_owned(),
        true => find_manifest(path)
            .or_else(|| find_manifest(&path.join("appendonlydir")))
            .ok_or_else(|| format!("{}: there is no manifest in it", path.display()))?,
    };
    let name = file.file_name().unwrap_or_default().as_bytes();
    let name = name.strip_suffix(MANIFEST.as_bytes()).unwrap_or(name);
    let dir = file.parent().unwrap_or(Path::new("")).to_owned();
    let place = Place {
        dir,
        name: name.to_vec(),
    };
    let manifest = read_manifest(&RealDisk, &place).map_err(|fault| fault.to_string())?;
    match manifest.is_empty() {
        true => Err(format!("{}: there is no such manifest", file.display())),
        false => Ok((place, manifest)),
    }
}

fn find_manifest(dir: &Path) -> Option<PathBuf> {
    let entries = dir.read_dir().ok()?.filter_map(Result::ok);
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        name.ends_with(MANIFEST.as_bytes()) && !name.starts_with(b"temp-")
    })
}

fn len_of(path: &Path) -> Result<u64, String> {
    let metadata = std::fs::metadata(path);
    metadata
        .map(|meta| meta.len())
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn check_part(path: &Path, fix: bool, report: &mut String) -> Result<bool, String> {
    let content = read_content(path, i64::MAX)?;
    let name = path.display();
    if content.snapshot_bytes > 0 && content.snapshot_bytes == content.len {
        let (text, sound) = check::check(path)?;
        report.push_str(&text);
        return Ok(sound);
    }
    let size = format_human(content.len);
    let _ = writeln!(report, "{name}: {size}, {} commands", content.commands);
    if let Some((first, last)) = content.times {
        let _ = writeln!(report, "  from {} to {}", show_time(first), show_time(last));
    }
    let Some(fault) = content.fault else {
        return Ok(true);
    };
    let _ = writeln!(report, "  {fault}");
    let lost = content.len - fault.valid;
    if !fault.is_torn_tail() {
        let valid = fault.valid;
        let _ = writeln!(
            report,
            "  This is no torn end, so it is not cut off by itself: `truncate -s {valid} {name}` \
             gives up the {lost} bytes from there on (keep a copy)"
        );
        return Ok(false);
    }
    if !fix {
        let _ = writeln!(
            report,
            "  `--fix` cuts {lost} bytes off (at the end of the last file)"
        );
        return Ok(false);
    }
    truncate(path, fault.valid)?;
    let _ = writeln!(report, "  cut off: {lost} bytes");
    Ok(true)
}

fn truncate(path: &Path, len: u64) -> Result<(), String> {
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(len)?;
        file.sync_all()
    });
    cut.map_err(|error| format!("cannot truncate {}: {error}", path.display()))
}

/// Reads a file; `until` is the last second that is of interest.
fn read_content(path: &Path, until: i64) -> Result<Content, String> {
    let io = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let mut content = Content {
        len,
        ..Content::default()
    };
    let (bytes, written) = read_snapshot(&mut file, path)?;
    content.snapshot_bytes = bytes;
    if let Some(second) = written {
        content.times = Some((second, second));
        content.later_from = (second > until).then_some(0);
    }
    file.seek(SeekFrom::Start(content.snapshot_bytes))
        .map_err(io)?;
    let mut reader = Reader::new(file, len, content.snapshot_bytes);
    let mut words = Vec::new();
    loop {
        let at = reader.at();
        match reader.next(&mut words) {
            Ok(None) => return Ok(content),
            Ok(Some(Item::Command(_))) => content.commands += 1,
            Ok(Some(Item::Remark(_))) => {}
            Ok(Some(Item::Stamp(second))) => {
                let first = content.times.map_or(second, |(first, _)| first);
                content.times = Some((first, second));
                if second > until && content.later_from.is_none() {
                    content.later_from = Some(at);
                }
            }
            Err(fault) => {
                content.fault = Some(fault);
                return Ok(content);
            }
        }
    }
}

/// Length of the snapshot at the beginning of a file, 0 if there is none, and when it was taken.
fn read_snapshot(file: &mut File, path: &Path) -> Result<(u64, Option<i64>), String> {
    let io = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut magic = [0; 6];
    let filled = file.read(&mut magic).map_err(io)?;
    let magic = &magic[..filled];
    if !magic.starts_with(b"REDIS") && magic != b"VALKEY" {
        return Ok((0, None));
    }
    let fault = |fault: rdb::Fault| format!("{}: {fault}", path.display());
    let input = Input::of_reader(File::open(path).map_err(io)?);
    let mut reader = snapshot::Reader::open(input).map_err(fault)?;
    let (mut copy, mut written) = (Vec::new(), None);
    loop {
        match reader.next_item().map_err(fault)? {
            snapshot::Item::Key(head) => {
                copy.clear();
                reader.raw_value(head.kind, &mut copy).map_err(fault)?;
            }
            snapshot::Item::Fact(name, value) if name == b"ctime" => {
                written = base::num::parse_i64(&value);
            }
            snapshot::Item::End(_) => return Ok((reader.offset(), written)),
            _ => {}
        }
    }
}

fn show_time(second: i64) -> String {
    let time = DateTime::from_timestamp(second, 0);
    time.map_or_else(
        || second.to_string(),
        |time| time.format("%F %T UTC").to_string(),
    )
}

/// Seconds since 1970 of a time as people write it: those seconds, or `2026-11-22 20:00:00` (UTC),
/// or with an offset as RFC 3339 has it.
pub fn read_time(text: &str) -> Option<i64> {
    let plain = || {
        let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
        let parse = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
        forms
            .iter()
            .find_map(parse)
            .map(|time| time.and_utc().timestamp())
    };
    let zoned = || {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.timestamp())
    };
    text.parse().ok().or_else(plain).or_else(zoned)
}

/// Takes the files in a directory back to the end of second `until`: what was done later is cut
/// off. The old manifest and the file that is cut stay beside the new ones. The report.
///
/// # Errors
/// One line; nothing has been changed then.
pub fn restore(dir: &Path, until: i64) -> Result<String, String> {
    let (place, manifest) = read_set(dir)?;
    let (mut stamped, mut cut) = (false, None);
    let bases = usize::from(manifest.base.is_some());
    for (at, entry) in manifest.parts().enumerate() {
        let path = place.path(&entry.name);
        let content = read_content(&path, until)?;
        if let Some(fault) = content.fault.filter(|fault| !fault.is_torn_tail()) {
            return Err(format!("{}: {fault}", path.display()));
        }
        stamped |= at >= bases && content.times.is_some();
        if let Some(from) = content.later_from {
            cut = Some((at, from));
            break;
        }
    }
    let when = show_time(until);
    if !stamped && cut.is_none() {
        return Err(format!(
            "{}: there are no times in these files (aof-timestamp-enabled was off)",
            place.dir.display()
        ));
    }
    let Some((at, from)) = cut else {
        return Ok(format!(
            "Nothing was done after {when}: the files stay as they are\n"
        ));
    };
    if at < bases {
        return Err(format!(
            "{}: the base was made after {when}, and cannot be taken back",
            place.dir.display()
        ));
    }
    cut_back(&place, &manifest, at - bases, from, &when)
}

/// Cuts the increment number `at` at `from` and drops the later ones.
fn cut_back(
    place: &Place,
    manifest: &Manifest,
    at: usize,
    from: u64,
    when: &str,
) -> Result<String, String> {
    let keep = |path: &Path| {
        let mut kept = path.as_os_str().to_owned();
        kept.push(".before-restore");
        let kept = PathBuf::from(kept);
        match copy(path, &kept) {
            Ok(_) => Ok(kept),
            Err(error) => Err(format!("cannot copy {}: {error}", path.display())),
        }
    };
    let entry: &Entry = &manifest.increments[at];
    let path = place.path(&entry.name);
    let (old_manifest, old_file) = (keep(&place.manifest())?, keep(&path)?);
    let mut next = manifest.clone();
    next.increments.truncate(at + 1);
    if let Some(last) = next.increments.last_mut() {
        last.end = None;
    }
    let temporary = place.path(b"temp-restore.manifest");
    let put = std::fs::write(&temporary, next.text())
        .and_then(|()| File::open(&temporary)?.sync_all())
        .and_then(|()| std::fs::rename(&temporary, place.manifest()))
        .and_then(|()| File::open(&place.dir)?.sync_all());
    put.map_err(|error| format!("cannot write {}: {error}", place.manifest().display()))?;
    truncate(&path, from)?;
    let dropped = manifest.increments.len() - next.increments.len();
    Ok(format!(
        "Restored to {when}: {} ends at byte {from}, {dropped} later files are left out.\n\
         What was there before: {} and {}\n",
        path.display(),
        old_manifest.display(),
        old_file.display()
    ))
}
