//! Places: sorted sets whose scores are geohashes.
//!
//! This file has the table; `points` has the commands on single places, `search` those that look
//! for places; `geohash` computes, `shape` knows the areas.

use crate::spec::{
    Arg, ArgKind, Begin, DataRun, Deprecated, Find, Flags, Group, KeySpec, ReadRun, Run, Spec,
    WriteRun,
};

mod geohash;
mod origin;
mod points;
mod search;
mod shape;
#[cfg(test)]
mod tests;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["RW", "update"])],
        since: "3.2.0",
        summary: "Adds places to a sorted set, with their coordinates as scores.",
        complexity: "O(log(N)) for each place",
        history: &[("6.2.0", "`CH`, `NX` and `XX`.")],
        args: &[
            Arg::KEY,
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")])
                .since("6.2.0")
                .optional(),
            Arg::word("change", "CH").since("6.2.0").optional(),
            Arg::block(
                "data",
                &[
                    Arg::new("longitude", ArgKind::Double),
                    Arg::new("latitude", ArgKind::Double),
                    MEMBER,
                ],
            )
            .multiple(),
        ],
        ..write("geoadd", -5, points::geoadd)
    },
    Spec {
        keys: READ_FIRST,
        since: "3.2.0",
        summary: "Returns the distance between two places.",
        args: &[
            Arg::KEY,
            Arg::new("member1", ArgKind::String),
            Arg::new("member2", ArgKind::String),
            UNIT.optional(),
        ],
        ..read("geodist", -4, points::geodist)
    },
    Spec {
        keys: READ_FIRST,
        since: "3.2.0",
        summary: "Returns places as geohash texts.",
        complexity: "O(N) in the number of places asked for",
        args: &[Arg::KEY, MEMBER.multiple().optional()],
        ..read("geohash", -2, points::geohash)
    },
    Spec {
        keys: READ_FIRST,
        since: "3.2.0",
        summary: "Returns the coordinates of places.",
        complexity: "O(N) in the number of places asked for",
        args: &[Arg::KEY, MEMBER.multiple().optional()],
        ..read("geopos", -2, points::geopos)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["RO", "access"]),
            after_word("STORE", 6),
            after_word("STOREDIST", 6),
        ],
        since: "3.2.0",
        summary: "Finds, and stores if wanted, the places within a distance from coordinates.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        }),
        history: &[
            ("6.2.0", "`ANY` after `COUNT`."),
            ("7.0.0", "Units in upper case."),
        ],
        args: &[
            Arg::KEY,
            Arg::new("longitude", ArgKind::Double),
            Arg::new("latitude", ArgKind::Double),
            Arg::new("radius", ArgKind::Double),
            UNIT,
            Arg::word("withcoord", "WITHCOORD").optional(),
            Arg::word("withdist", "WITHDIST").optional(),
            Arg::word("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[
                    Arg::new("count", ArgKind::Integer).token("COUNT"),
                    Arg::word("any", "ANY").since("6.2.0").optional(),
                ],
            )
            .optional(),
            ORDER,
            Arg::one_of(
                "store",
                &[
                    Arg::new("storekey", ArgKind::Key)
                        .of_key_spec(1)
                        .token("STORE"),
                    Arg::new("storedistkey", ArgKind::Key)
                        .of_key_spec(2)
                        .token("STOREDIST"),
                ],
            )
            .optional(),
        ],
        ..write("georadius", -6, search::georadius)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["RO", "access"]),
            after_word("STORE", 5),
            after_word("STOREDIST", 5),
        ],
        since: "3.2.0",
        summary: "Finds, and stores if wanted, the places within a distance from a place.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and \
                          `FROMMEMBER` arguments",
        }),
        history: &[
            ("6.2.0", "`ANY` after `COUNT`."),
            ("7.0.0", "Units in upper case."),
        ],
        args: &[
            Arg::KEY,
            MEMBER,
            Arg::new("radius", ArgKind::Double),
            UNIT,
            Arg::word("withcoord", "WITHCOORD").optional(),
            Arg::word("withdist", "WITHDIST").optional(),
            Arg::word("withhash", "WITHHASH").optional(),
            COUNT,
            ORDER,
            Arg::one_of(
                "store",
                &[
                    Arg::new("storekey", ArgKind::Key)
                        .of_key_spec(1)
                        .token("STORE"),
                    Arg::new("storedistkey", ArgKind::Key)
                        .of_key_spec(2)
                        .token("STOREDIST"),
                ],
            )
            .optional(),
        ],
        ..write("georadiusbymember", -5, search::georadiusbymember)
    },
    Spec {
        keys: READ_FIRST,
        since: "3.2.10",
        summary: "Finds the places within a distance from a place.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        }),
        history: &[
            ("6.2.0", "`ANY` after `COUNT`."),
            ("7.0.0", "Units in upper case."),
        ],
        args: &[
            Arg::KEY,
            MEMBER,
            Arg::new("radius", ArgKind::Double),
            UNIT,
            Arg::word("withcoord", "WITHCOORD").optional(),
            Arg::word("withdist", "WITHDIST").optional(),
            Arg::word("withhash", "WITHHASH").optional(),
            COUNT,
            ORDER,
        ],
        ..read("georadiusbymember_ro", -5, search::georadiusbymember_ro)
    },
    Spec {
        keys: READ_FIRST,
        since: "3.2.10",
        summary: "Finds the places within a distance from coordinates.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`GEOSEARCH` with the `BYRADIUS` argument",
        }),
        history: &[
            ("6.2.0", "`ANY` after `COUNT`."),
            ("7.0.0", "Units in upper case."),
        ],
        args: &[
            Arg::KEY,
            Arg::new("longitude", ArgKind::Double),
            Arg::new("latitude", ArgKind::Double),
            Arg::new("radius", ArgKind::Double),
            UNIT,
            Arg::word("withcoord", "WITHCOORD").optional(),
            Arg::word("withdist", "WITHDIST").optional(),
            Arg::word("withhash", "WITHHASH").optional(),
            Arg::block(
                "count-block",
                &[
                    Arg::new("count", ArgKind::Integer).token("COUNT"),
                    Arg::word("any", "ANY").since("6.2.0").optional(),
                ],
            )
            .optional(),
            ORDER,
        ],
        ..read("georadius_ro", -6, search::georadius_ro)
    },
    Spec {
        keys: READ_FIRST,
        since: "6.2.0",
        summary: "Finds the places in a circle, a box or a polygon.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        history: &[("7.0.0", "Units in upper case.")],
        args: &[
            Arg::KEY,
            FROM,
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[Arg::new("radius", ArgKind::Double).token("BYRADIUS"), UNIT],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::new("width", ArgKind::Double).token("BYBOX"),
                            Arg::new("height", ArgKind::Double),
                            UNIT,
                        ],
                    ),
                ],
            ),
            ORDER,
            COUNT,
            Arg::word("withcoord", "WITHCOORD").optional(),
            Arg::word("withdist", "WITHDIST").optional(),
            Arg::word("withhash", "WITHHASH").optional(),
        ],
        ..read("geosearch", -7, search::geosearch)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[
            KeySpec::first(&["OW", "update"]),
            KeySpec::at(2, &["RO", "access"]),
        ],
        since: "6.2.0",
        summary: "Stores the places in a circle, a box or a polygon.",
        complexity: "O(N+log(M)): N the places in the cells that cover the area, M all",
        history: &[("7.0.0", "Units in upper case.")],
        args: &[
            Arg::new("destination", ArgKind::Key).of_key_spec(0),
            Arg::new("source", ArgKind::Key).of_key_spec(1),
            FROM,
            Arg::one_of(
                "by",
                &[
                    Arg::block(
                        "circle",
                        &[Arg::new("radius", ArgKind::Double).token("BYRADIUS"), UNIT],
                    ),
                    Arg::block(
                        "box",
                        &[
                            Arg::new("width", ArgKind::Double).token("BYBOX"),
                            Arg::new("height", ArgKind::Double),
                            UNIT,
                        ],
                    ),
                ],
            ),
            ORDER,
            COUNT,
            Arg::word("storedist", "STOREDIST").optional(),
        ],
        ..write("geosearchstore", -8, search::geosearchstore)
    },
];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];

const MEMBER: Arg = Arg::new("member", ArgKind::String);
const UNIT: Arg = Arg::one_of(
    "unit",
    &[
        Arg::word("m", "M"),
        Arg::word("km", "KM"),
        Arg::word("ft", "FT"),
        Arg::word("mi", "MI"),
    ],
);
const ORDER: Arg = Arg::one_of(
    "order",
    &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")],
)
.optional();
const COUNT: Arg = Arg::block(
    "count-block",
    &[
        Arg::new("count", ArgKind::Integer).token("COUNT"),
        Arg::word("any", "ANY").optional(),
    ],
)
.optional();
const FROM: Arg = Arg::one_of(
    "from",
    &[
        MEMBER.token("FROMMEMBER"),
        Arg::block(
            "fromlonlat",
            &[
                Arg::new("longitude", ArgKind::Double),
                Arg::new("latitude", ArgKind::Double),
            ],
        )
        .token("FROMLONLAT"),
    ],
);

/// The key after a word.
const fn after_word(word: &'static str, from: i16) -> KeySpec {
    KeySpec {
        flags: &["OW", "update"],
        begin: Begin::Keyword(word, from),
        find: Find::Range {
            last: 0,
            step: 1,
            limit: 0,
        },
        notes: None,
    }
}

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Geo, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::Geo, Run::Do(DataRun::Write(run)))
}
