//! Who a client is: the default user and its password (`requirepass`).

use std::hint::black_box;

use engine::failure::Failure;

use crate::settings::Settings;

/// The only user there is.
pub const DEFAULT_USER: &str = "default";

/// The answer to a name and a password that do not belong together.
pub const WRONG_PASSWORD: Failure =
    Failure::fixed("WRONGPASS invalid username-password pair or user is disabled.");

/// Whether `user` may log in with `password`. Without `requirepass` any password of the default
/// user is right.
pub fn accepts(settings: &Settings, user: &[u8], password: &[u8]) -> bool {
    let right = |secret: &Vec<u8>| same_secret(password, secret);
    user == DEFAULT_USER.as_bytes() && settings.requirepass.as_ref().is_none_or(right)
}

/// Compares in a time that depends on the length of `given` only, so that a client cannot find the
/// secret byte by byte. `secret` is not empty.
fn same_secret(given: &[u8], secret: &[u8]) -> bool {
    let mut differences = given.len() ^ secret.len();
    for (&byte, &expected) in given.iter().zip(secret.iter().cycle()) {
        differences |= usize::from(black_box(byte ^ expected));
    }
    black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_secret_is_the_same() {
        assert!(same_secret(b"secret", b"secret"));
        for given in [
            &b""[..],
            b"secre",
            b"secret ",
            b"Secret",
            b"secretsecret",
            b"s",
        ] {
            assert!(!same_secret(given, b"secret"));
        }
    }
}
