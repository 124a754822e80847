//! Threads that are in no hurry make room for those that answer clients.
//!
//! Only threads that take no lock which a client may want but to move something from here to there,
//! and wake nobody while they hold it: who waits for such a lock waits for everybody in between.

use log::debug;

/// The nice value of such threads: on a busy processor about a tenth of a worker's share, so that
/// they go on, if slowly, and somebody who wakes up takes the processor from them at once.
const NICE: i32 = 10;

/// The calling thread is in no hurry from now on, and neither are those that it starts.
pub fn lower() {
    // Linux has one priority per thread, whatever the name of the call says.
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now.max(NICE)));
    if let Err(error) = lowered {
        debug!("a thread keeps its priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_those_it_starts_are_in_no_hurry_and_others_are() {
        let nice = || rustix::process::getpriority_process(None).expect("it is told");
        let before = nice();
        let of_others = std::thread::spawn(move || {
            lower();
            [nice(), std::thread::spawn(nice).join().expect("no panic")]
        });
        let expected = before.max(NICE);
        assert_eq!(of_others.join().expect("no panic"), [expected; 2]);
        assert_eq!(nice(), before);
    }
}
