//! The place that distances are measured from: what of their formula depends on it alone is
//! computed once, and most other places are told to be near or far without trigonometry.

use super::geohash::{Degrees, EARTH_RADIUS, Point};

/// See the module's head. Angles in radians.
pub(super) struct Origin {
    place: Point,
    longitude: f64,
    latitude: f64,
    sine: f64,
    cosine: f64,
}

/// Larger differences of longitude or latitude are left to the exact formula.
const DIFFERENCE_MAX: f64 = 0.2;

impl Origin {
    pub(super) fn new(place: Point) -> Origin {
        let latitude = place.latitude.to_radians_as_redis();
        Origin {
            place,
            longitude: place.longitude.to_radians_as_redis(),
            latitude,
            sine: latitude.sin(),
            cosine: latitude.cos(),
        }
    }

    /// [`Point::distance`] from the origin, to the last bit.
    pub(super) fn distance(&self, other: Point) -> f64 {
        let v = ((other.longitude.to_radians_as_redis() - self.longitude) / 2.0).sin();
        if v == 0.0 {
            return self.place.latitude_distance(other);
        }
        let latitude = other.latitude.to_radians_as_redis();
        let u = ((latitude - self.latitude) / 2.0).sin();
        let a = u * u + self.cosine * latitude.cos() * v * v;
        2.0 * EARTH_RADIUS * a.sqrt().asin()
    }

    /// The square of the sine of half the angle between the origin and a place that is not far, as
    /// seen from the centre of the earth. Sines and cosines are the first terms of their series:
    /// the result is wrong by less than 1e-9 of it.
    #[inline]
    pub(super) fn haversine(&self, other: Point) -> Option<f64> {
        let latitudes = other.latitude.to_radians_as_redis() - self.latitude;
        let longitudes = other.longitude.to_radians_as_redis() - self.longitude;
        if latitudes.abs() > DIFFERENCE_MAX || longitudes.abs() > DIFFERENCE_MAX {
            return None;
        }
        let (u, v) = (sine(latitudes / 2.0), sine(longitudes / 2.0));
        // The cosine of the sum of the origin's latitude and the difference.
        let cosine = self.cosine * cosine(latitudes) - self.sine * sine(latitudes);
        Some(u * u + self.cosine * cosine * v * v)
    }
}

/// Of an angle up to [`DIFFERENCE_MAX`].
#[inline]
fn sine(x: f64) -> f64 {
    let square = x * x;
    x * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
}

/// Of an angle up to [`DIFFERENCE_MAX`].
#[inline]
fn cosine(x: f64) -> f64 {
    let square = x * x;
    1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places all over the scores' world, and some around each.
    #[test]
    fn is_the_formula() {
        let mut checked = 0;
        for number in 0..2000_u32 {
            let share = |by: u32| f64::from(number.wrapping_mul(by) >> 8) / f64::from(1 << 24);
            let place = Point {
                longitude: share(2_654_435_761) * 360.0 - 180.0,
                latitude: share(2_246_822_519) * 170.0 - 85.0,
            };
            let origin = Origin::new(place);
            for step in 0..20 {
                let way = f64::from(step) / 20.0 * std::f64::consts::TAU;
                let reach = 12.0 * share(3_266_489_917) * f64::from(step) / 20.0;
                let other = Point {
                    longitude: place.longitude + reach * way.cos(),
                    latitude: (place.latitude + reach * way.sin()).clamp(-85.0, 85.0),
                };
                let exact = place.distance(other);
                assert_eq!(origin.distance(other).to_bits(), exact.to_bits());
                let Some(haversine) = origin.haversine(other) else {
                    continue;
                };
                let about = 2.0 * EARTH_RADIUS * haversine.sqrt().asin();
                assert!(
                    (about - exact).abs() <= exact * 1e-9 + 1e-6,
                    "{about} {exact}"
                );
                checked += 1;
            }
        }
        assert!(checked > 20_000);
    }
}
