//! The part of the grammar about places.
//!
//! With STORE only once: which of several keys counts, the peers and their key specs do not agree.

use super::super::Mode::{Exact, Unordered};
use super::{Row, redis, row, valkey};

pub(super) const ROWS: &[Row] = &[
    row(
        30,
        "GEOADD geo [NX | XX | CH | junk] (lon lat member)+",
        Exact,
    ),
    row(20, "GEOADD geo (lon lat member)+", Exact),
    redis(8, "GEODIST geo member member [unit | junk]", Exact),
    row(6, "GEOHASH geo (member)+", Exact),
    redis(8, "GEOPOS geo (member)+", Exact),
    redis(
        12,
        "GEOSEARCH geo FROMLONLAT lon lat BYRADIUS extent unit [WITHDIST | WITHHASH | WITHCOORD | \
         ASC | DESC | COUNT pops | COUNT pops ANY | ANY | junk]*",
        Exact,
    ),
    row(
        10,
        "GEOSEARCH geo FROMMEMBER member BYRADIUS extent unit [WITHDIST | WITHHASH | ASC | DESC]*",
        Unordered,
    ),
    redis(
        12,
        "GEOSEARCH geo FROMLONLAT lon lat BYBOX extent extent unit [WITHDIST | WITHHASH | ASC | \
         DESC | COUNT pops | COUNT pops ANY | FROMMEMBER member | junk]*",
        Exact,
    ),
    valkey(
        10,
        "GEOSEARCH geo BYPOLYGON 3 corner_lon corner_lat corner_lon corner_lat \
         corner_lon corner_lat [WITHDIST | WITHHASH | COUNT pops]* ASC",
        Exact,
    ),
    valkey(
        10,
        "GEOSEARCH geo BYPOLYGON 4 corner_lon corner_lat corner_lon corner_lat \
         corner_lon corner_lat corner_lon corner_lat [WITHDIST | WITHHASH]*",
        Unordered,
    ),
    valkey(
        3,
        "GEOSEARCH geo BYPOLYGON pops (corner_lon corner_lat)+ \
         [FROMMEMBER member | BYRADIUS extent unit | junk]",
        Exact,
    ),
    redis(
        4,
        "GEOSEARCH geo [FROMMEMBER member | FROMLONLAT lon lat] [BYRADIUS extent unit | BYBOX \
         extent extent unit] [junk] ASC ASC ASC",
        Exact,
    ),
    redis(
        10,
        "GEOSEARCHSTORE geo geo FROMLONLAT lon lat BYRADIUS extent unit [STOREDIST | COUNT pops | \
         ASC | DESC | WITHDIST | junk]*",
        Exact,
    ),
    redis(
        6,
        "GEORADIUS geo lon lat extent unit [WITHDIST | WITHHASH | WITHCOORD | ASC | DESC | COUNT \
         pops | COUNT pops ANY | junk]*",
        Exact,
    ),
    redis(
        4,
        "GEORADIUS_RO geo lon lat extent unit [WITHDIST | WITHHASH | ASC | COUNT pops | STORE \
         geo]*",
        Exact,
    ),
    redis(
        6,
        "GEORADIUSBYMEMBER geo member extent unit [WITHDIST | WITHCOORD | ASC | COUNT pops | \
         junk]*",
        Exact,
    ),
    redis(
        4,
        "GEORADIUSBYMEMBER_RO geo member extent unit [WITHDIST | DESC | COUNT pops | junk]*",
        Exact,
    ),
    redis(
        4,
        "GEORADIUS geo lon lat extent unit [ASC | COUNT pops | WITHDIST] [STORE geo | STOREDIST \
         geo]",
        Exact,
    ),
    row(2, "ZREM geo member", Exact),
    row(2, "DEL geo", Exact),
    row(2, "OBJECT ENCODING geo", Exact),
];
