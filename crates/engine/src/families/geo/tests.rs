//! Geohashes: examples from redis.io's pages, and properties.

use proptest::prelude::*;

use super::geohash::{Point, covering};
use super::shape::{Search, Shape};

const PALERMO: Point = Point {
    longitude: 13.361389,
    latitude: 38.115556,
};
const CATANIA: Point = Point {
    longitude: 15.087269,
    latitude: 37.502669,
};

fn point() -> impl Strategy<Value = Point> {
    (-180.0..=180.0, -85.0..=85.0_f64).prop_map(|(longitude, latitude)| Point {
        longitude,
        latitude,
    })
}

#[test]
fn examples() {
    assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
    assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
    let decoded = Point::of_score(PALERMO.score());
    assert_eq!(decoded.longitude, 13.361389338970184);
    assert_eq!(&decoded.text(), b"sqc8b49rny0");
    let distance = decoded.distance(Point::of_score(CATANIA.score()));
    assert_eq!(format!("{distance:.4}"), "166274.1516");
}

proptest! {
    #[test]
    fn a_score_is_as_good_as_the_place(point in point()) {
        let decoded = Point::of_score(point.score());
        prop_assert_eq!(decoded.score(), point.score());
        prop_assert!(decoded.distance(point) < 1.0);
    }

    #[test]
    fn any_score_is_some_place(score: f64) {
        prop_assume!(!score.is_nan());
        let point = Point::of_score(score);
        prop_assert!(point.longitude.abs() <= 180.0 && point.latitude.abs() <= 86.0);
    }

    #[test]
    fn cells_cover_small_circles(
        middle in point(),
        place in point(),
        radius in 1.0..100_000.0_f64,
    ) {
        // Somewhere in the circle: towards another place.
        let share = radius / middle.distance(place).max(radius) * 0.5;
        let place = Point {
            longitude: middle.longitude + (place.longitude - middle.longitude) * share,
            latitude: middle.latitude + (place.latitude - middle.latitude) * share,
        };
        let search = Search { middle, shape: Shape::Circle(radius), unit: 1.0 };
        prop_assume!(search.distance(place).is_some());
        let score = place.score();
        let cells = covering(middle, search.radius(), &search.bounds());
        let covered = cells.iter().any(|cell| (cell.scores().0..cell.scores().1).contains(&score));
        prop_assert!(covered || middle.latitude.abs() > 80.0, "{:?}", cells);
    }
}
