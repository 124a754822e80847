//! Geohashes: examples from redis.io's pages, and properties of random places.

use base::rng::Rng;

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

const ROUNDS: usize = 2000;

fn number(rng: &mut Rng, limit: f64) -> f64 {
    (rng.below(1 << 40) as f64 / (1_u64 << 39) as f64 - 1.0) * limit
}

fn point(rng: &mut Rng) -> Point {
    Point {
        longitude: number(rng, 180.0),
        latitude: number(rng, 85.0),
    }
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

#[test]
fn a_score_is_as_good_as_the_place() {
    let mut rng = Rng::from_seed(1);
    for _ in 0..ROUNDS {
        let point = point(&mut rng);
        let decoded = Point::of_score(point.score());
        assert_eq!(decoded.score(), point.score());
        assert!(decoded.distance(point) < 1.0);
    }
}

#[test]
fn any_score_is_some_place() {
    let mut rng = Rng::from_seed(2);
    let edges = [f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, -1.0];
    let random = (0..ROUNDS).map(|_| f64::from_bits(rng.next_u64()));
    for score in random.chain(edges).filter(|score| !score.is_nan()) {
        let point = Point::of_score(score);
        assert!(point.longitude.abs() <= 180.0 && point.latitude.abs() <= 86.0);
    }
}

#[test]
fn cells_cover_small_circles() {
    let mut rng = Rng::from_seed(3);
    for _ in 0..ROUNDS {
        let middle = Point {
            longitude: number(&mut rng, 170.0),
            latitude: number(&mut rng, 75.0),
        };
        let radius = 1.0 + number(&mut rng, 100_000.0).abs();
        let degrees = radius / 111_000.0;
        let place = Point {
            longitude: middle.longitude + number(&mut rng, degrees),
            latitude: middle.latitude + number(&mut rng, degrees),
        };
        let shape = Shape::Circle(radius);
        let search = Search::new(middle, &shape, 1.0);
        if search.distance(place, false).is_none() {
            continue;
        }
        let score = place.score();
        let cells = covering(middle, search.radius(), &search.bounds());
        let covered = cells.iter().any(|cell| {
            let (min, max) = cell.scores();
            (min..max).contains(&score)
        });
        assert!(covered, "{middle:?} {radius} {place:?} {cells:?}");
    }
}

/// The quick look and the formula agree on who is in a circle, at its edge as well.
#[test]
fn circles_hold_what_the_formula_says() {
    let mut rng = Rng::from_seed(4);
    for _ in 0..ROUNDS {
        let middle = Point {
            longitude: number(&mut rng, 180.0),
            latitude: number(&mut rng, 85.0),
        };
        let reach = 10.0_f64.powf(number(&mut rng, 4.0) - 3.0);
        let place = Point {
            longitude: middle.longitude + number(&mut rng, reach),
            latitude: middle.latitude + number(&mut rng, reach),
        };
        let distance = middle.distance(place);
        let share = 1.0 + number(&mut rng, 2.0);
        let radii = [
            distance,
            distance.next_down(),
            distance * (1.0 + 1e-9),
            distance * (1.0 - 1e-9),
            distance * share.max(0.0),
            0.0,
        ];
        for radius in radii {
            let shape = Shape::Circle(radius);
            let search = Search::new(middle, &shape, 1.0);
            let expected = (distance <= radius).then_some(distance);
            assert_eq!(search.distance(place, true), expected);
            assert_eq!(search.distance(place, false).is_some(), expected.is_some());
        }
    }
}
