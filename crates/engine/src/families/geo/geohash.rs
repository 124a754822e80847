//! Places as numbers of 52 bits: the geohash that Redis keeps as scores.
//!
//! Longitude and latitude are each halved 26 times, and the bits are interleaved, those of the
//! longitude first. A prefix of the bits is a cell of the grid; the cells of one size are `step`
//! halvings small. Latitudes reach from -85.05112878 to 85.05112878, where the Mercator projection
//! is a square (EPSG:3857); GEOHASH's text uses -90 to 90, as everybody else does.
//!
//! Compat: computed in the order of operations of Redis's geohash.c and geohash_helper.c, because
//! replies show all digits.

/// Halvings in a score.
pub(super) const STEP_MAX: u32 = 26;
pub(super) const LONGITUDE_MAX: f64 = 180.0;
pub(super) const LATITUDE_MAX: f64 = 85.051_128_78;

/// Metres; the mean of the WGS 84 ellipsoid's.
pub(super) const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Half of the length of the equator in the projection. Metres.
const MERCATOR_MAX: f64 = 20_037_726.37;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// Limits of both coordinates, in degrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) min: Point,
    pub(super) max: Point,
}

/// What scores can say.
const WORLD: Area = Area {
    min: Point {
        longitude: -LONGITUDE_MAX,
        latitude: -LATITUDE_MAX,
    },
    max: Point {
        longitude: LONGITUDE_MAX,
        latitude: LATITUDE_MAX,
    },
};

/// What the texts of GEOHASH can say.
const WHOLE_WORLD: Area = Area {
    min: Point {
        longitude: -180.0,
        latitude: -90.0,
    },
    max: Point {
        longitude: 180.0,
        latitude: 90.0,
    },
};

/// A cell of the grid: twice `step` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    step: u32,
}

impl Point {
    /// The score of the place.
    pub(super) fn score(self) -> f64 {
        Cell::of(self, STEP_MAX, &WORLD).bits as f64
    }

    /// The place that a score stands for: the middle of its cell.
    pub(super) fn of_score(score: f64) -> Point {
        let cell = Cell {
            bits: wrapped(score),
            step: STEP_MAX,
        };
        let area = cell.area();
        let middle = |min: f64, max: f64, limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
        Point {
            longitude: middle(area.min.longitude, area.max.longitude, LONGITUDE_MAX),
            latitude: middle(area.min.latitude, area.max.latitude, LATITUDE_MAX),
        }
    }

    /// Eleven characters, as everybody writes geohashes. Compat: the last one is always `0`, for
    /// lack of bits.
    pub(super) fn text(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::of(self, STEP_MAX, &WHOLE_WORLD).bits;
        std::array::from_fn(|at| match at {
            10 => b'0',
            _ => ALPHABET[(bits >> (52 - (at + 1) * 5)) as usize & 0x1f],
        })
    }

    /// Metres along the sphere (haversine formula).
    pub(super) fn distance(self, other: Point) -> f64 {
        let longitudes = (
            self.longitude.to_radians_as_redis(),
            other.longitude.to_radians_as_redis(),
        );
        let v = ((longitudes.1 - longitudes.0) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance(other);
        }
        let latitudes = (
            self.latitude.to_radians_as_redis(),
            other.latitude.to_radians_as_redis(),
        );
        let u = ((latitudes.1 - latitudes.0) / 2.0).sin();
        let a = u * u + latitudes.0.cos() * latitudes.1.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    /// Metres between the two latitudes.
    pub(super) fn latitude_distance(self, other: Point) -> f64 {
        let (a, b) = (
            self.latitude.to_radians_as_redis(),
            other.latitude.to_radians_as_redis(),
        );
        EARTH_RADIUS * (b - a).abs()
    }

    /// The area that reaches so many metres to each side.
    ///
    /// Compat: a degree of longitude is as long as at the edge that is farther from the equator in
    /// the north, nearer to the pole in the south.
    pub(super) fn surroundings(self, width: f64, height: f64) -> Area {
        let degrees = |radians: f64| radians / DEGREE;
        let latitudes = degrees(height / EARTH_RADIUS);
        let edge = if self.latitude < 0.0 {
            self.latitude - latitudes
        } else {
            self.latitude + latitudes
        };
        let longitudes = degrees(width / EARTH_RADIUS / edge.to_radians_as_redis().cos());
        Area {
            min: Point {
                longitude: self.longitude - longitudes,
                latitude: self.latitude - latitudes,
            },
            max: Point {
                longitude: self.longitude + longitudes,
                latitude: self.latitude + latitudes,
            },
        }
    }

    /// The middle of several places, on the sphere.
    pub(super) fn middle(points: &[Point]) -> Point {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for point in points {
            let latitude = point.latitude.to_radians_as_redis();
            let longitude = point.longitude.to_radians_as_redis();
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let count = points.len() as f64;
        let (x, y, z) = (x / count, y / count, z / count);
        Point {
            longitude: y.atan2(x) / DEGREE,
            latitude: z.atan2((x * x + y * y).sqrt()) / DEGREE,
        }
    }
}

/// Radians in a degree.
const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// Degrees to radians.
pub(super) trait Degrees {
    /// As C's arithmetic does it.
    fn to_radians_as_redis(self) -> f64;
}

impl Degrees for f64 {
    /// The standard library's conversion rounds otherwise.
    #[inline]
    fn to_radians_as_redis(self) -> f64 {
        self * DEGREE
    }
}

/// A score as bits. Compat: those of any double as C's cast gives them on x86-64, for GEO commands
/// on sets of other scores.
fn wrapped(score: f64) -> u64 {
    const HALF: f64 = (1_u64 << 63) as f64;
    if score < HALF {
        return score as i64 as u64;
    }
    let rest = score - HALF;
    let low = if rest < HALF { rest as i64 } else { i64::MIN };
    low as u64 ^ 1 << 63
}

/// Bits of `low` and `high` in turn, the lowest from `low`.
fn interleave(low: u32, high: u32) -> u64 {
    spread(low) | spread(high) << 1
}

/// Puts a zero before each bit.
fn spread(number: u32) -> u64 {
    const STEPS: [(u32, u64); 5] = [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    let spread = |bits: u64, (by, mask): (u32, u64)| (bits | bits << by) & mask;
    STEPS.into_iter().fold(u64::from(number), spread)
}

/// Every second bit, the lowest first.
fn gather(bits: u64) -> u32 {
    const STEPS: [(u32, u64); 6] = [
        (0, 0x5555_5555_5555_5555),
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ];
    let gather = |bits: u64, (by, mask): (u32, u64)| (bits | bits >> by) & mask;
    STEPS.into_iter().fold(bits, gather) as u32
}

const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

impl Cell {
    /// The cell around a place, in a grid over `world`.
    fn of(point: Point, step: u32, world: &Area) -> Cell {
        let share = |value: f64, min: f64, max: f64| (value - min) / (max - min);
        let cells = (1_u64 << step) as f64;
        let latitude = share(point.latitude, world.min.latitude, world.max.latitude);
        let longitude = share(point.longitude, world.min.longitude, world.max.longitude);
        let bits = interleave((latitude * cells) as u32, (longitude * cells) as u32);
        Cell { bits, step }
    }

    fn area(self) -> Area {
        let (latitude, longitude) = (gather(self.bits), gather(self.bits >> 1));
        let cells = (1_u64 << self.step) as f64;
        let at = |number: u32, min: f64, max: f64| min + (f64::from(number) / cells) * (max - min);
        let (min, max) = (WORLD.min, WORLD.max);
        let corner = |latitude: u32, longitude: u32| Point {
            longitude: at(longitude, min.longitude, max.longitude),
            latitude: at(latitude, min.latitude, max.latitude),
        };
        Area {
            min: corner(latitude, longitude),
            max: corner(latitude.wrapping_add(1), longitude.wrapping_add(1)),
        }
    }

    /// The lowest score in the cell, and the lowest after it.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 52 - self.step * 2;
        let score = |bits: u64| (bits << shift) as f64;
        (score(self.bits), score(self.bits + 1))
    }

    /// The neighbour so many cells to the east and to the north (-1, 0 or 1), around the world.
    ///
    /// Compat: the very edge of the world in the north and in the east lies in a row of cells of
    /// its own, with one bit more; it is left by moving only.
    fn neighbour(self, east: i8, north: i8) -> Cell {
        let unused = 64 - self.step * 2;
        let moved = |by: i8, own: u64, other: u64| {
            let (own_bits, fill) = (self.bits & own, other >> unused);
            let bits = match by {
                0 => return own_bits,
                1 => own_bits.wrapping_add(fill + 1),
                _ => (own_bits | fill).wrapping_sub(fill + 1),
            };
            bits & own >> unused
        };
        let longitude = moved(east, LONGITUDE_BITS, LATITUDE_BITS);
        let latitude = moved(north, LATITUDE_BITS, LONGITUDE_BITS);
        Cell {
            bits: longitude | latitude,
            step: self.step,
        }
    }
}

/// Where the neighbours lie (east, north), in the order in which Redis searches them: north, south,
/// east, west, and the corners.
const NEIGHBOURS: [(i8, i8); 8] = [
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// The cells that cover an area: the one around `middle` and those of its neighbours that the area
/// reaches, in the order in which Redis searches them. The area lies within `radius` metres.
pub(super) fn covering(middle: Point, radius: f64, area: &Area) -> Vec<Cell> {
    let mut step = step_for(radius, middle.latitude);
    let mut centre = Cell::of(middle, step, &WORLD);
    let reached = [(0, 1), (0, -1), (1, 0), (-1, 0)].map(|(east, north)| {
        let side = centre.neighbour(east, north).area();
        match (east, north) {
            (0, 1) => side.max.latitude >= area.max.latitude,
            (0, _) => side.min.latitude <= area.min.latitude,
            (1, _) => side.max.longitude >= area.max.longitude,
            _ => side.min.longitude <= area.min.longitude,
        }
    });
    if step > 1 && reached.contains(&false) {
        step -= 1;
        centre = Cell::of(middle, step, &WORLD);
    }
    let own = centre.area();
    let useless = |east: i8, north: i8| {
        step >= 2
            && (north < 0 && own.min.latitude < area.min.latitude
                || north > 0 && own.max.latitude > area.max.latitude
                || east < 0 && own.min.longitude < area.min.longitude
                || east > 0 && own.max.longitude > area.max.longitude)
    };
    let mut cells = vec![centre];
    for (east, north) in NEIGHBOURS {
        let cell = centre.neighbour(east, north);
        // Compat: of huge areas, neighbours may be one and the same; only the last is compared, and
        // the cell in the middle never.
        let again = cells.len() > 1 && cells.last() == Some(&cell);
        if !useless(east, north) && !again {
            cells.push(cell);
        }
    }
    cells
}

/// How small the cells may be of which nine cover a circle.
fn step_for(radius: f64, latitude: f64) -> u32 {
    if radius == 0.0 {
        return STEP_MAX;
    }
    let (mut step, mut radius) = (1_i32, radius);
    while radius < MERCATOR_MAX {
        radius *= 2.0;
        step += 1;
    }
    step -= 2;
    // Towards the poles, cells are narrower.
    step -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    step.clamp(1, STEP_MAX as i32) as u32
}
