//! Which clients CLIENT LIST and CLIENT KILL mean: the filters of both families.
//!
//! Redis 8.2 has ID and TYPE for LIST, and ID, TYPE, USER, ADDR, LADDR, SKIPME, MAXAGE for KILL;
//! Valkey
//! 9.1 has the rest, each but the limits of time with a NOT- form, and lets ID take several. A
//! filter given twice counts as given last.

use std::sync::atomic::Ordering::Relaxed;

use base::ids::ClientId;
use base::num::parse_i64;
use base::strings::eq_ignore_case;
use base::time::UnixMillis;
use engine::args::Args;
use engine::failure::Failure;

use crate::client_line::flags;
use crate::clients::Card;
use crate::login::DEFAULT_USER;

/// What a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Type,
    User,
    Addr,
    Laddr,
    Ip,
    Flags,
    Name,
    LibName,
    LibVer,
    Db,
    Capa,
    MaxAge,
    Idle,
    SkipMe,
}

const FIELDS: &[(&str, Field)] = &[
    ("ID", Field::Id),
    ("TYPE", Field::Type),
    ("USER", Field::User),
    ("ADDR", Field::Addr),
    ("LADDR", Field::Laddr),
    ("IP", Field::Ip),
    ("FLAGS", Field::Flags),
    ("NAME", Field::Name),
    ("LIB-NAME", Field::LibName),
    ("LIB-VER", Field::LibVer),
    ("DB", Field::Db),
    ("CAPA", Field::Capa),
    ("MAXAGE", Field::MaxAge),
    ("IDLE", Field::Idle),
    ("SKIPME", Field::SkipMe),
];

const YES_NO: &[(&str, bool)] = &[("YES", true), ("NO", false)];

/// What a field has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Ids(Vec<u64>),
    Kind(ClientKind),
    /// Everybody (all are the default user).
    Anybody,
    Text(Vec<u8>),
    Number(i64),
}

#[derive(Clone, Debug)]
struct Condition {
    field: Field,
    negated: bool,
    wanted: Wanted,
}

/// Conditions that all have to be met.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    conditions: Vec<Condition>,
    /// Whether the asking client is left out unless SKIPME says otherwise.
    skips_me: bool,
}

/// How NOT-ID is read, which only Valkey knows.
const NOT_ID: Dialect = Dialect {
    skips_me: false,
    bad_id: Failure::fixed("ERR client-id should be greater than 0"),
    bad_next: Failure::SYNTAX,
    id_min: 1,
};

/// Differences between the two commands.
pub(super) struct Dialect {
    /// Whether the asking client is left out by default.
    pub(super) skips_me: bool,
    /// What is said of an ID that is no number.
    pub(super) bad_id: Failure,
    /// What is said of a word behind an ID that is neither another ID nor a filter.
    pub(super) bad_next: Failure,
    /// The least ID.
    pub(super) id_min: i64,
}

impl Filter {
    /// The filter that only wants this address.
    pub(super) fn address(address: &[u8]) -> Filter {
        let condition = Condition {
            field: Field::Addr,
            negated: false,
            wanted: Wanted::Text(address.to_vec()),
        };
        Filter {
            conditions: vec![condition],
            skips_me: false,
        }
    }

    /// Reads all words that are left.
    pub(super) fn read(
        args: &mut Args<'_>,
        dialect: &Dialect,
        databases: u32,
    ) -> Result<Filter, Failure> {
        let mut filter = Filter {
            conditions: Vec::new(),
            skips_me: dialect.skips_me,
        };
        while args.left() > 0 {
            let word = args.bytes();
            let (field, negated) = field_of(word).ok_or(Failure::SYNTAX)?;
            if args.left() == 0 {
                return Err(Failure::SYNTAX);
            }
            let wanted = match field {
                Field::SkipMe => {
                    filter.skips_me = args.option(YES_NO).ok_or(Failure::SYNTAX)?;
                    continue;
                }
                Field::Id if negated => read_ids(args, &NOT_ID)?,
                Field::Id => read_ids(args, dialect)?,
                _ => read_wanted(field, negated, args.bytes(), databases)?,
            };
            filter
                .conditions
                .retain(|old| (old.field, old.negated) != (field, negated));
            filter.conditions.push(Condition {
                field,
                negated,
                wanted,
            });
        }
        Ok(filter)
    }

    /// The IDs that are asked for, in order, if nothing else is.
    pub(super) fn only_ids(&self) -> Option<&[u64]> {
        match &self.conditions[..] {
            [
                Condition {
                    wanted: Wanted::Ids(ids),
                    negated: false,
                    ..
                },
            ] => Some(ids),
            _ => None,
        }
    }

    /// Whether it wants this client; `me` is the one that asks.
    pub(super) fn matches(&self, card: &Card, me: ClientId, now: UnixMillis) -> bool {
        let left_out = self.skips_me && card.id == me;
        let meets = |condition: &Condition| condition.is_met(card, now) != condition.negated;
        !left_out && self.conditions.iter().all(meets)
    }
}

/// The field that a word names, and whether it says NOT-.
fn field_of(word: &[u8]) -> Option<(Field, bool)> {
    let named = |name: &[u8]| {
        let row = FIELDS
            .iter()
            .find(|(known, _)| eq_ignore_case(name, known.as_bytes()));
        row.map(|&(_, field)| field)
    };
    if let Some(field) = named(word) {
        return Some((field, false));
    }
    let (prefix, rest) = word.split_at_checked(4)?;
    let can_be_negated =
        |field: &Field| !matches!(field, Field::MaxAge | Field::Idle | Field::SkipMe);
    if !eq_ignore_case(prefix, b"NOT-") {
        return None;
    }
    named(rest)
        .filter(can_be_negated)
        .map(|field| (field, true))
}

/// One or more IDs. A word that is neither a number nor a filter's name is a bad ID.
fn read_ids(args: &mut Args<'_>, dialect: &Dialect) -> Result<Wanted, Failure> {
    let mut ids = Vec::new();
    while let Some(word) = args.peek() {
        let Some(id) = parse_i64(word) else {
            match ids.is_empty() {
                true => return Err(dialect.bad_id.clone()),
                false if field_of(word).is_none() => return Err(dialect.bad_next.clone()),
                false => break,
            }
        };
        if id < dialect.id_min {
            return Err(dialect.bad_id.clone());
        }
        ids.push(id as u64);
        args.skip(1);
    }
    Ok(Wanted::Ids(ids))
}

fn read_wanted(
    field: Field,
    negated: bool,
    word: &[u8],
    databases: u32,
) -> Result<Wanted, Failure> {
    let place: &[u8] = match (negated, field) {
        (false, _) => b"provided",
        (true, Field::Flags) => b"NOT-FLAGS",
        (true, _) => b"NOT-CAPA",
    };
    let name = if negated { "NOT-DB" } else { "DB" };
    let about = |text: &[&[u8]]| Failure::owned(text.concat());
    Ok(match field {
        Field::Type => match kind_of(word) {
            Some(kind) => Wanted::Kind(kind),
            None => return Err(about(&[b"ERR Unknown client type '", word, b"'"])),
        },
        Field::User if word == DEFAULT_USER.as_bytes() => Wanted::Anybody,
        Field::User => return Err(about(&[b"ERR No such user '", word, b"'"])),
        Field::Flags if !is_subset(word, KNOWN_FLAGS) => {
            let parts: [&[u8]; 4] = [
                b"ERR Unknown flags found in the ",
                place,
                b" filter: ",
                word,
            ];
            return Err(about(&parts));
        }
        Field::Capa if !is_subset(word, KNOWN_CAPA) => {
            let parts: [&[u8]; 4] = [b"ERR Unknown capa found in the ", place, b" filter: ", word];
            return Err(about(&parts));
        }
        Field::Db => {
            let no_number = || {
                let text = format!("ERR {name} is not an integer or out of range");
                Failure::owned(text)
            };
            let db = parse_i64(word).ok_or_else(no_number)?;
            if !(0..i64::from(databases)).contains(&db) {
                let last = databases.saturating_sub(1);
                let text = format!("ERR {name} number should be between 0 and {last}");
                return Err(Failure::owned(text));
            }
            Wanted::Number(db)
        }
        Field::MaxAge => Wanted::Number(positive("maxage", word)?),
        Field::Idle => Wanted::Number(positive("idle", word)?),
        _ => Wanted::Text(word.to_vec()),
    })
}

/// Letters that CLIENT LIST of either family shows as flags.
const KNOWN_FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTIN";
/// Letters of what CLIENT CAPA can claim.
const KNOWN_CAPA: &[u8] = b"r";

fn is_subset(letters: &[u8], known: &[u8]) -> bool {
    letters.iter().all(|letter| known.contains(letter))
}

/// The types of clients that TYPE tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientKind {
    Normal,
    Primary,
    Replica,
    Subscriber,
}

impl ClientKind {
    fn of(card: &Card) -> ClientKind {
        if card.replica.load(Relaxed) {
            ClientKind::Replica
        } else if card.primary.load(Relaxed) {
            ClientKind::Primary
        } else if card.is_subscriber() {
            ClientKind::Subscriber
        } else {
            ClientKind::Normal
        }
    }
}

/// The type of this name; `None` if there is none.
fn kind_of(word: &[u8]) -> Option<ClientKind> {
    const KINDS: &[(&str, ClientKind)] = &[
        ("normal", ClientKind::Normal),
        ("master", ClientKind::Primary),
        ("primary", ClientKind::Primary),
        ("slave", ClientKind::Replica),
        ("replica", ClientKind::Replica),
        ("pubsub", ClientKind::Subscriber),
    ];
    let row = KINDS
        .iter()
        .find(|(name, _)| eq_ignore_case(word, name.as_bytes()));
    row.map(|&(_, kind)| kind)
}

fn positive(what: &str, word: &[u8]) -> Result<i64, Failure> {
    match parse_i64(word) {
        Some(number) if number > 0 => Ok(number),
        Some(_) => Err(Failure::owned(format!(
            "ERR {what} should be greater than 0"
        ))),
        None => Err(Failure::owned(format!(
            "ERR {what} is not an integer or out of range"
        ))),
    }
}

impl Condition {
    /// Whether the field is as wanted, NOT- aside.
    fn is_met(&self, card: &Card, now: UnixMillis) -> bool {
        match &self.wanted {
            Wanted::Ids(ids) => ids.contains(&card.id.0),
            Wanted::Kind(kind) => *kind == ClientKind::of(card),
            Wanted::Anybody => true,
            Wanted::Number(number) => self.number_is_met(*number, card, now),
            Wanted::Text(text) => self.text_is_met(text, card),
        }
    }

    fn number_is_met(&self, number: i64, card: &Card, now: UnixMillis) -> bool {
        let seconds_since = |then: i64| (now.0 - then) / 1000;
        match self.field {
            Field::MaxAge => seconds_since(card.since.0) >= number,
            Field::Idle => seconds_since(card.last_active.load(Relaxed) as i64) >= number,
            _ => i64::from(card.db.load(Relaxed)) == number,
        }
    }

    fn text_is_met(&self, text: &[u8], card: &Card) -> bool {
        let is = |name: &[u8]| !name.is_empty() && name == text;
        match self.field {
            Field::Addr => card.peer.as_bytes() == text,
            Field::Laddr => card.local.as_bytes() == text,
            Field::Ip => ip_of(&card.peer).as_bytes() == text,
            Field::Flags => is_subset(text, flags(card).as_bytes()),
            Field::Capa => text.is_empty() || card.can_redirect.load(Relaxed),
            Field::Name => is(&card.names.lock().name),
            Field::LibName => is(&card.names.lock().lib_name),
            _ => is(&card.names.lock().lib_version),
        }
    }
}

/// The address without its port: `127.0.0.1`, `::1`, the path of a unix socket.
fn ip_of(peer: &str) -> &str {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_filters_ignore_case_and_know_not() {
        assert_eq!(field_of(b"id"), Some((Field::Id, false)));
        assert_eq!(field_of(b"not-Lib-Name"), Some((Field::LibName, true)));
        for word in [
            &b"not-skipme"[..],
            b"NOT-MAXAGE",
            b"not-idle",
            b"not-",
            b"",
            b"nam",
        ] {
            assert_eq!(field_of(word), None);
        }
    }

    #[test]
    fn the_ip_is_the_address_without_port_and_brackets() {
        assert_eq!(ip_of("127.0.0.1:5000"), "127.0.0.1");
        assert_eq!(ip_of("[::1]:5000"), "::1");
        assert_eq!(ip_of("/run/ruddle.sock:0"), "/run/ruddle.sock");
    }
}
