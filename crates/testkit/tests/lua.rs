//! What scripts compute, Ruddle beside Redis: see `testkit::differential::lua`. `LUA_SCRIPTS` and
//! `LUA_SEED` make it longer or another one.

use std::env;

use testkit::differential::lua;
use testkit::peers::Kind;

fn setting(name: &str, usual: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => usual,
    }
}

#[test]
fn scripts_compute_the_same() {
    let (seed, scripts) = (setting("LUA_SEED", 1), setting("LUA_SCRIPTS", 5_000));
    if let Err(why) = lua::run(Kind::Ruddle, Kind::Redis, seed, scripts as usize) {
        panic!("{why}");
    }
}
