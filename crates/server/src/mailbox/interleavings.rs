//! The mailbox under shuttle, which tries interleavings of its lock and flags: builds with
//! `--cfg shuttle` only, see `cargo xtask interleavings`.
//!
//! [`Waker`] stands for the kernel's: a wake-up is kept until the worker sleeps, and sleeping takes
//! it. It has no timeout, so a wake-up that gets lost is a deadlock, which shuttle reports.

use std::io;

use mio::{Registry, Token};
use shuttle::sync::{Condvar, Mutex};

/// `mio::Waker`, as far as it is used.
pub(super) struct Waker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Waker {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Waker> {
        Ok(Waker {
            woken: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        *self.woken.lock().expect("no thread has panicked") = true;
        self.changed.notify_one();
        Ok(())
    }

    #[cfg(test)]
    fn sleep(&self) {
        let mut woken = self.woken.lock().expect("no thread has panicked");
        while !*woken {
            woken = self.changed.wait(woken).expect("no thread has panicked");
        }
        *woken = false;
    }
}

#[cfg(test)]
mod tests {
    use base::ids::ClientId;
    use shuttle::{check_pct, check_random, thread};

    use super::super::{Mailbox, Message};
    use super::*;

    /// Interleavings of each test, by each scheduler.
    const ITERATIONS: usize = 10_000;

    /// Points at which the second scheduler makes a thread stop for a more important one.
    const DEPTH: usize = 4;

    const SENDERS: u64 = 2;
    const MESSAGES: u32 = 3;

    fn mailbox() -> Mailbox {
        let poll = mio::Poll::new().expect("a poll");
        Mailbox::new(poll.registry(), Token(0)).expect("a mailbox")
    }

    /// A message with a number from a sender.
    fn message(from: u64, number: u32) -> Message {
        Message::Broken(ClientId(from), number)
    }

    /// A worker that reads its mail as `worker::run` does: it looks once when it is woken, again
    /// between reading commands and running them, and until it has left itself nothing more. It
    /// leaves itself one message for each that it gets from others.
    fn read_all(mailbox: &Mailbox) -> Vec<Vec<u32>> {
        let expected = 2 * SENDERS as usize * MESSAGES as usize;
        let mut read = vec![Vec::new(); SENDERS as usize + 1];
        let mut count = 0;
        let mut take = |mailbox: &Mailbox| {
            for message in mailbox.drain(Vec::new()) {
                let Message::Broken(ClientId(from), number) = message else {
                    panic!("nobody sent that");
                };
                if from < SENDERS {
                    mailbox.leave(self::message(SENDERS, number));
                }
                read[from as usize].push(number);
                count += 1;
            }
            count
        };
        while take(mailbox) < expected {
            if !mailbox.has_left() {
                mailbox.0.waker.sleep();
                take(mailbox);
            }
            if mailbox.is_filled() {
                take(mailbox);
            }
            // As after a command that has published something.
            assert!(mailbox.drain_publications().is_empty());
            while mailbox.has_left() {
                take(mailbox);
            }
        }
        read
    }

    fn no_message_is_left_lying() {
        let mailbox = mailbox();
        let senders: Vec<_> = (0..SENDERS)
            .map(|from| {
                let mailbox = mailbox.clone();
                thread::spawn(move || {
                    (0..MESSAGES).for_each(|number| mailbox.send(message(from, number)));
                })
            })
            .collect();
        let read = read_all(&mailbox);
        for sender in senders {
            sender.join().expect("a sender");
        }
        for numbers in &read[..SENDERS as usize] {
            assert_eq!(*numbers, (0..MESSAGES).collect::<Vec<_>>(), "oldest first");
        }
        assert_eq!(
            read[SENDERS as usize].len(),
            (SENDERS as usize) * MESSAGES as usize
        );
        assert!(!mailbox.is_filled() && !mailbox.has_left());
    }

    #[test]
    fn the_mailbox_leaves_no_message_lying() {
        check_random(no_message_is_left_lying, ITERATIONS);
        check_pct(no_message_is_left_lying, ITERATIONS, DEPTH);
    }
}
