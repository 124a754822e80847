//! What GEO searches look in: circles, boxes, polygons.

use super::geohash::{Area, EARTH_RADIUS, Point};
use super::origin::Origin;

/// An area around a place.
#[derive(Clone)]
pub(super) enum Shape {
    /// Of this radius, in units.
    Circle(f64),
    /// Of this width and height, in units.
    Box(f64, f64),
    /// Between these corners.
    Polygon(Vec<Point>),
}

/// Where to look.
pub(super) struct Search<'a> {
    middle: Point,
    shape: &'a Shape,
    /// Metres in the unit of distances.
    unit: f64,
    origin: Origin,
    /// What [`Origin::haversine`] is for places on a circle's edge; `None` if the circle is too
    /// large for it, or no circle.
    edge: Option<f64>,
}

/// Half the angle, seen from the centre of the earth, of the largest circles that have an edge.
const EDGE_ANGLE_MAX: f64 = 0.05;
/// What places near the edge are told apart by computing their distance; far more than
/// [`Origin::haversine`] is wrong by, relative to it.
const EDGE_WIDTH: f64 = 1e-7;

impl<'a> Search<'a> {
    /// A search around `middle`.
    pub(super) fn new(middle: Point, shape: &'a Shape, unit: f64) -> Search<'a> {
        let edge = match shape {
            Shape::Circle(radius) => {
                let angle = radius * unit / EARTH_RADIUS / 2.0;
                (angle < EDGE_ANGLE_MAX).then(|| angle.sin() * angle.sin())
            }
            Shape::Box(..) | Shape::Polygon(_) => None,
        };
        Search {
            middle,
            shape,
            unit,
            origin: Origin::new(middle),
            edge,
        }
    }

    /// The limits of the area.
    pub(super) fn bounds(&self) -> Area {
        match self.shape {
            Shape::Circle(radius) => {
                let radius = self.unit * radius;
                self.middle.surroundings(radius, radius)
            }
            Shape::Box(width, height) => self
                .middle
                .surroundings(self.unit * (width / 2.0), self.unit * (height / 2.0)),
            Shape::Polygon(corners) => bounds_of(corners),
        }
    }

    /// Metres from the middle to the farthest corner.
    pub(super) fn radius(&self) -> f64 {
        match self.shape {
            Shape::Circle(radius) => radius * self.unit,
            Shape::Box(width, height) => {
                let (x, y) = (width / 2.0, height / 2.0);
                (x * x + y * y).sqrt() * self.unit
            }
            Shape::Polygon(corners) => {
                let area = bounds_of(corners);
                let (min, max) = (area.min, area.max);
                [min.longitude, max.longitude]
                    .into_iter()
                    .flat_map(|longitude| {
                        [min.latitude, max.latitude].map(|latitude| Point {
                            longitude,
                            latitude,
                        })
                    })
                    .map(|corner| self.middle.distance(corner))
                    .fold(0.0, f64::max)
            }
        }
    }

    /// Metres from the middle to a place in the area; `None` if it is not in it. Anything for a
    /// place in it if the distance is not `needed`.
    #[inline]
    pub(super) fn distance(&self, place: Point, needed: bool) -> Option<f64> {
        if let Some(edge) = self.edge
            && let Some(haversine) = self.origin.haversine(place)
        {
            if haversine > edge * (1.0 + EDGE_WIDTH) {
                return None;
            }
            if !needed && haversine < edge * (1.0 - EDGE_WIDTH) {
                return Some(0.0);
            }
        }
        self.exact_distance(place)
    }

    fn exact_distance(&self, place: Point) -> Option<f64> {
        match self.shape {
            Shape::Circle(radius) => {
                let distance = self.origin.distance(place);
                (distance <= radius * self.unit).then_some(distance)
            }
            Shape::Box(width, height) => {
                let across = Point {
                    longitude: self.middle.longitude,
                    ..place
                };
                let inside = place.latitude_distance(self.middle) <= height * self.unit / 2.0
                    && place.distance(across) <= width * self.unit / 2.0;
                inside.then(|| self.origin.distance(place))
            }
            Shape::Polygon(corners) => {
                contains(corners, place).then(|| self.origin.distance(place))
            }
        }
    }
}

fn bounds_of(corners: &[Point]) -> Area {
    let mut area = Area {
        min: corners[0],
        max: corners[0],
    };
    for corner in corners {
        area.min.longitude = area.min.longitude.min(corner.longitude);
        area.min.latitude = area.min.latitude.min(corner.latitude);
        area.max.longitude = area.max.longitude.max(corner.longitude);
        area.max.latitude = area.max.latitude.max(corner.latitude);
    }
    area
}

/// Whether a place lies between the corners: a ray from it crosses an odd number of sides
/// (Shimrat, 1962). Degrees are taken for plane coordinates.
fn contains(corners: &[Point], place: Point) -> bool {
    let mut inside = false;
    let mut previous = corners[corners.len() - 1];
    for &corner in corners {
        let crosses = (corner.latitude > place.latitude) != (previous.latitude > place.latitude);
        if crosses {
            let share = (place.latitude - corner.latitude) / (previous.latitude - corner.latitude);
            let at = (previous.longitude - corner.longitude) * share + corner.longitude;
            inside ^= place.longitude < at;
        }
        previous = corner;
    }
    inside
}
