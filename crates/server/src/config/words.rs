//! Readers of the parameters whose value has a shape of its own: several words, or a checked text.
//!
//! Each checks everything before it stores anything. Called by the rows of `catalogue.rs` only.

use std::path::{Path, PathBuf};

use base::num::{parse_f64, parse_i64};
use base::units::parse_memory;
use engine::event::Classes;

use crate::shutdown::Wish;

use super::kinds::{Fault, WRONG_WORD_COUNT, find_name, not_one_of};
use super::settings::{
    BindAddress, BindHost, OutputLimit, OutputLimits, Primary, SavePoint, Settings,
};

/// A path from bytes of the configuration.
pub(super) fn path_of(text: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(text))
}

/// The bytes of a path, as the configuration shows it.
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}

/// `None` for an empty text, which means "not set" for passwords and paths.
pub(super) fn non_empty(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

/// One line of the configuration file that holds the value as it is printed.
pub(super) fn one_line(shown: &[u8]) -> Vec<Vec<u8>> {
    let value = if shown.is_empty() { b"\"\"" } else { shown };
    vec![value.to_vec()]
}

/// An empty list can be written as no word (CONFIG SET) or as one empty word (a file).
fn is_empty_list(words: &[Vec<u8>]) -> bool {
    words.is_empty() || (words.len() == 1 && words[0].is_empty())
}

fn join(words: &[Vec<u8>]) -> Vec<u8> {
    words.join(&b' ')
}

/// `bind`: addresses, `*`, `::*`, each with an optional `-` before it.
pub(super) fn bind(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    const ADDRESSES_MAX: usize = 16;
    if words.len() > ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".into());
    }
    if is_empty_list(words) {
        settings.bind = Vec::new();
        return Ok(Vec::new());
    }
    // No such address exists. Compat: upstream finds out when it listens, and says this.
    if !words
        .iter()
        .all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
    {
        return Err("Failed to bind to specified addresses.".into());
    }
    settings.bind = words.iter().map(|word| bind_address(word)).collect();
    Ok(join(words))
}

fn bind_address(word: &[u8]) -> BindAddress {
    let (name, required) = match word.strip_prefix(b"-") {
        Some(name) => (name, false),
        None => (word, true),
    };
    let host = match name {
        b"*" => BindHost::AnyV4,
        b"::*" => BindHost::AnyV6,
        name => BindHost::Named(String::from_utf8_lossy(name).into_owned()),
    };
    BindAddress { host, required }
}

/// A list of words that nothing reads.
pub(super) fn any_words(_: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    Ok(if is_empty_list(words) {
        Vec::new()
    } else {
        join(words)
    })
}

/// `min-replicas-to-ack-users`: any number of `user replicas`. A user need not exist yet.
pub(super) fn quorum_users(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    if is_empty_list(words) {
        settings.primary.quorum_users = Vec::new();
        return Ok(Vec::new());
    }
    if !words.len().is_multiple_of(2) {
        return Err("each user needs a number of replicas".into());
    }
    let mut users: Vec<(Vec<u8>, usize)> = Vec::new();
    for pair in words.chunks_exact(2) {
        let (user, count) = (&pair[0], parse_i64(&pair[1]));
        let count = count.and_then(|count| i32::try_from(count).ok());
        let count = count.and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or("number of replicas is not an integer or out of range")?;
        if user.is_empty() || users.iter().any(|(known, _)| known == user) {
            return Err("each user is to be named once".into());
        }
        users.push((user.clone(), count));
    }
    settings.primary.quorum_users = users;
    Ok(join(words))
}

/// `client-output-buffer-limit`: any number of `class hard soft seconds`; classes that are not
/// named keep their limits.
pub(super) fn output_limits(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut limits = settings.client_output_buffer_limit;
    for words in words.chunks_exact(4) {
        let [class, hard, soft, seconds] = words else {
            unreachable!("chunks_exact(4) gives four");
        };
        let limit = match class.to_ascii_lowercase().as_slice() {
            b"normal" => &mut limits.normal,
            b"replica" | b"slave" => &mut limits.replica,
            b"pubsub" => &mut limits.pubsub,
            _ => {
                return Err("Invalid client class specified in buffer limit configuration.".into());
            }
        };
        *limit = output_limit(hard, soft, seconds)
            .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
    }
    settings.client_output_buffer_limit = limits;
    Ok(show_output_limits(&limits).into_bytes())
}

fn output_limit(hard: &[u8], soft: &[u8], seconds: &[u8]) -> Option<OutputLimit> {
    Some(OutputLimit {
        hard_bytes: parse_memory(hard)?,
        soft_bytes: parse_memory(soft)?,
        soft_seconds: u64::try_from(parse_i64(seconds)?).ok()?,
    })
}

/// Compat: CONFIG GET says `slave`, CONFIG REWRITE `replica`.
fn show_output_limits(limits: &OutputLimits) -> String {
    let class = |name: &str, limit: OutputLimit| {
        format!(
            "{name} {} {} {}",
            limit.hard_bytes, limit.soft_bytes, limit.soft_seconds
        )
    };
    [
        class("normal", limits.normal),
        class("slave", limits.replica),
        class("pubsub", limits.pubsub),
    ]
    .join(" ")
}

/// One line per class, sizes with units, from the text that CONFIG GET prints.
pub(super) fn output_limit_lines(shown: &[u8]) -> Vec<Vec<u8>> {
    let words: Vec<&[u8]> = shown.split(|byte| *byte == b' ').collect();
    let line = |words: &[&[u8]]| match words {
        [class, hard, soft, seconds] => {
            let class: &[u8] = if *class == b"slave" {
                b"replica"
            } else {
                class
            };
            [class, &with_unit(hard), &with_unit(soft), seconds].join(&b' ')
        }
        _ => words.join(&b' '),
    };
    words.chunks(4).map(line).collect()
}

/// A number of bytes in the largest unit that divides it, as the file writes it.
pub(super) fn with_unit(shown: &[u8]) -> Vec<u8> {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    let Some(bytes) = parse_i64(shown).filter(|bytes| *bytes != 0) else {
        return shown.to_vec();
    };
    match UNITS.iter().find(|(unit, _)| bytes % unit == 0) {
        Some((unit, name)) => format!("{}{name}", bytes / unit).into_bytes(),
        None => shown.to_vec(),
    }
}

/// `save`: pairs of seconds and changes.
pub(super) fn save(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    const INVALID: &str = "Invalid save parameters";
    settings.save_points.clear();
    if is_empty_list(words) {
        return Ok(Vec::new());
    }
    if !words.len().is_multiple_of(2) {
        return Err(INVALID.into());
    }
    let point = |pair: &[Vec<u8>]| {
        let seconds = parse_i64(&pair[0]).filter(|&seconds| seconds >= 1)?;
        let changes = u64::try_from(parse_i64(&pair[1])?).ok()?;
        Some(SavePoint { seconds, changes })
    };
    let points: Option<Vec<SavePoint>> = words.chunks_exact(2).map(point).collect();
    settings.save_points = points.ok_or(INVALID)?;
    Ok(join(words))
}

/// One line per save point.
pub(super) fn save_lines(shown: &[u8]) -> Vec<Vec<u8>> {
    if shown.is_empty() {
        return one_line(shown);
    }
    let words: Vec<&[u8]> = shown.split(|byte| *byte == b' ').collect();
    words.chunks(2).map(|point| point.join(&b' ')).collect()
}

/// `replicaof`: a host and a port, or `no one`.
pub(super) fn replicaof(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    if is_empty_list(words) {
        settings.replica.of = None;
        return Ok(Vec::new());
    }
    let [host, port] = words else {
        return Err(WRONG_WORD_COUNT.into());
    };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        settings.replica.of = None;
        return Ok(Vec::new());
    }
    match parse_i64(port).and_then(|port| u16::try_from(port).ok()) {
        Some(port) => {
            let host = host.clone();
            settings.replica.of = Some(Primary { host, port });
            Ok(join(words))
        }
        None => Err("Invalid master port".into()),
    }
}

/// `shutdown-on-sigint`.
pub(super) fn on_sigint(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    let (wish, shown) = shutdown_wish(words)?;
    settings.shutdown_on_sigint = wish;
    Ok(shown)
}

/// `shutdown-on-sigterm`.
pub(super) fn on_sigterm(settings: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    let (wish, shown) = shutdown_wish(words)?;
    settings.shutdown_on_sigterm = wish;
    Ok(shown)
}

/// Options of SHUTDOWN, or `default`.
fn shutdown_wish(words: &[Vec<u8>]) -> Result<(Wish, Vec<u8>), Fault> {
    const NAMES: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let mut given = [false; NAMES.len()];
    if words.is_empty() {
        return Err(not_one_of(&NAMES));
    }
    for word in words {
        given[find_name(&NAMES, word).ok_or_else(|| not_one_of(&NAMES))?] = true;
    }
    let [_, save, nosave, now, force] = given;
    if save && nosave {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    let options: Vec<&str> = NAMES
        .iter()
        .zip(given)
        .skip(1)
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect();
    let shown = if options.is_empty() {
        NAMES[0].to_owned()
    } else {
        options.join(" ")
    };
    let save = (save || nosave).then_some(save);
    Ok((Wish { save, now, force }, shown.into_bytes()))
}

/// `oom-score-adj-values`: three numbers.
pub(super) fn oom_values(_: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    if words.len() != 3 {
        return Err(WRONG_WORD_COUNT.into());
    }
    if words
        .iter()
        .all(|word| matches!(parse_i64(word), Some(-2000..=2000)))
    {
        return Ok(join(words));
    }
    Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000.".into())
}

/// `latency-tracking-info-percentiles`: percentiles, printed without trailing zeros.
pub(super) fn percentiles(_: &mut Settings, words: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
    if is_empty_list(words) {
        return Ok(Vec::new());
    }
    let mut shown = Vec::new();
    for word in words {
        let value =
            parse_f64(word).ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .into(),
            );
        }
        let text = format!("{value:.6}");
        shown.push(text.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(shown.join(" ").into_bytes())
}

/// `notify-keyspace-events`: letters, printed in a fixed order; `A` stands for the common ones.
pub(super) fn event_letters(settings: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    /// What `A` stands for, in the order in which they are printed.
    const COMMON: &[u8] = b"g$lshzxetd";
    /// Printed after the common ones. Compat: left out when `A` is printed.
    const OTHER_KINDS: &[u8] = b"noc";
    /// Always printed, at the end.
    const CHANNELS: &[u8] = b"KEm";
    let known =
        |byte: &u8| *byte == b'A' || [COMMON, OTHER_KINDS, CHANNELS].concat().contains(byte);
    if !text.iter().all(known) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into());
    }
    let given = |byte: &u8| text.contains(byte) || (text.contains(&b'A') && COMMON.contains(byte));
    let mut shown = Vec::new();
    if COMMON.iter().all(given) {
        shown.push(b'A');
    } else {
        shown.extend(COMMON.iter().chain(OTHER_KINDS).copied().filter(given));
    }
    shown.extend(CHANNELS.iter().copied().filter(given));
    settings.events = Classes::from_letters(text);
    Ok(shown)
}

/// `dir`: must exist; printed as an absolute path.
pub(super) fn dir(settings: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let path = path_of(text);
    let meta = std::fs::metadata(&path).map_err(|error| io_text(&error))?;
    if !meta.is_dir() {
        return Err("Not a directory".into());
    }
    // A directory that was deleted under our feet still exists but has no name.
    settings.dir = std::fs::canonicalize(&path).unwrap_or(path);
    Ok(bytes_of(&settings.dir))
}

/// What went wrong, without the error number that Rust adds.
pub(crate) fn io_text(error: &std::io::Error) -> Fault {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned().into(),
        None => text.into(),
    }
}

/// `dbfilename`.
pub(super) fn dbfilename(settings: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let name = plain_name(text, "dbfilename can't be a path, just a filename")?;
    settings.dbfilename = path_of(&name);
    Ok(name)
}

/// `appendfilename`.
pub(super) fn appendfilename(s: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let text = plain_name(text, "appendfilename can't be a path, just a filename")?;
    s.aof.file_name.clone_from(&text);
    Ok(text)
}

/// `appenddirname`.
pub(super) fn appenddirname(s: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let text = plain_name(text, "appenddirname can't be a path, just a dirname")?;
    s.aof.dir_name = path_of(&text);
    Ok(text)
}

fn plain_name(text: &[u8], fault: &'static str) -> Result<Vec<u8>, Fault> {
    if text.contains(&b'/') {
        Err(fault.into())
    } else {
        Ok(text.to_vec())
    }
}

/// `locale-collate`: only the locales whose order is the order of bytes, which is the one we have.
pub(super) fn byte_order_locale(_: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    const BYTE_ORDER: [&[u8]; 4] = [b"", b"C", b"POSIX", b"C.UTF-8"];
    if BYTE_ORDER.contains(&text) {
        Ok(text.to_vec())
    } else {
        Err("Invalid locale name".into())
    }
}

/// `proc-title-template`: not empty, and in braces only the variables there are.
pub(super) fn title_template(_: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    const INVALID: &str = "template format is invalid or contains unknown variables";
    const VARIABLES: [&[u8]; 7] = [
        b"title",
        b"listen-addr",
        b"server-mode",
        b"port",
        b"tls-port",
        b"unixsocket",
        b"config-file",
    ];
    if text.is_empty() {
        return Err(INVALID.into());
    }
    for rest in text.split(|byte| *byte == b'{').skip(1) {
        let end = rest.iter().position(|byte| *byte == b'}').ok_or(INVALID)?;
        if !VARIABLES.contains(&&rest[..end]) {
            return Err(INVALID.into());
        }
    }
    Ok(text.to_vec())
}
