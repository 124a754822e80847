//! What GEO searches look in: circles, boxes, polygons.

use super::geohash::{Area, Point};

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
pub(super) struct Search {
    pub(super) middle: Point,
    pub(super) shape: Shape,
    /// Metres in the unit of distances.
    pub(super) unit: f64,
}

impl Search {
    /// The limits of the area.
    pub(super) fn bounds(&self) -> Area {
        match &self.shape {
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
        match &self.shape {
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

    /// Metres from the middle to a place in the area; `None` if it is not in it.
    pub(super) fn distance(&self, place: Point) -> Option<f64> {
        match &self.shape {
            Shape::Circle(radius) => {
                let distance = self.middle.distance(place);
                (distance <= radius * self.unit).then_some(distance)
            }
            Shape::Box(width, height) => {
                let across = Point {
                    longitude: self.middle.longitude,
                    ..place
                };
                let inside = place.latitude_distance(self.middle) <= height * self.unit / 2.0
                    && place.distance(across) <= width * self.unit / 2.0;
                inside.then(|| self.middle.distance(place))
            }
            Shape::Polygon(corners) => {
                contains(corners, place).then(|| self.middle.distance(place))
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
