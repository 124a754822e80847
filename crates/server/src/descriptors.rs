//! The limit of open files, which bounds the number of clients.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Fault;

/// Descriptors that are not clients: listeners, polls, wake-ups, files. As in Redis.
const RESERVED: u64 = 32;

/// Sees to it that this process may hold `clients` connections.
///
/// # Errors
/// The operating system does not allow so many; the text says how many it does.
pub fn allow_clients(clients: u32) -> Result<(), Fault> {
    let wanted = u64::from(clients) + RESERVED;
    let unknown = |error: nix::Error| Fault::from(error.desc());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(unknown)?;
    if soft >= wanted {
        return Ok(());
    }
    // More than the hard limit is for the privileged; then the hard limit itself has to do.
    for limit in [wanted, hard.min(wanted)] {
        if setrlimit(Resource::RLIMIT_NOFILE, limit, hard.max(limit)).is_ok() && limit == wanted {
            return Ok(());
        }
    }
    let possible = hard.saturating_sub(RESERVED);
    Err(format!(
        "The operating system is not able to handle the specified number of clients, \
         try with {possible}"
    )
    .into())
}
