//! The way of a snapshot's bytes to the disk, on a thread of its own: they are written and synced
//! while the next ones are encoded.
//!
//! Invariant: between the two threads are at most [`WAITING`] buffers, which go round.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rdb::Crc64;
use rdb::file::put_sum;

/// Buffers that wait to be written.
const WAITING: usize = 4;
/// At most so many bytes are on their way to the disk if they are synced steadily: the last sync
/// will be short.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// With a checksum (`rdbchecksum`).
    pub(super) summed: bool,
    /// Not only synced at its end (`rdb-save-incremental-fsync`).
    pub(super) steadily: bool,
}

/// Where the bytes of a snapshot go.
pub trait Destination: Send + 'static {
    /// Takes some.
    ///
    /// # Errors
    /// As the operating system says.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes sure that what was put lasts, as far as that is its business: all of it or, on the
    /// way, the bytes alone.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync(&mut self, all: bool) -> io::Result<()>;
}

impl Destination for File {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self, all: bool) -> io::Result<()> {
        match all {
            true => self.sync_all(),
            false => self.sync_data(),
        }
    }
}

enum Order {
    /// These bytes are the next, with their checksum.
    Write(Vec<u8>, Crc64),
    /// There are no more.
    End,
}

/// See the module's head. Dropped before its end, it leaves a file without one.
pub(super) struct Outlet {
    orders: SyncSender<Order>,
    written: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<()>>,
}

impl Outlet {
    /// Writes to `file`.
    pub(super) fn open(file: Box<dyn Destination>, manner: Manner) -> io::Result<Outlet> {
        let (orders, taken) = sync_channel(WAITING);
        let (give_back, written) = sync_channel(WAITING + 2);
        let builder = thread::Builder::new().name("outlet".to_owned());
        let thread = builder.spawn(move || write(file, manner, &taken, &give_back))?;
        Ok(Outlet {
            orders,
            written,
            thread,
        })
    }

    /// Takes bytes to write, and their checksum; whether that still has a meaning. `bytes` becomes
    /// empty.
    pub(super) fn write(&self, bytes: &mut Vec<u8>, sum: Crc64) -> bool {
        let next = self.written.try_recv().unwrap_or_default();
        let order = Order::Write(std::mem::replace(bytes, next), sum);
        self.orders.send(order).is_ok()
    }

    /// Adds the checksum and waits until everything is on disk.
    ///
    /// # Errors
    /// As the operating system said, now or before.
    pub(super) fn finish(self) -> io::Result<()> {
        // If it has failed already, that is what it says.
        let _ = self.orders.send(Order::End);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn write(
    mut file: Box<dyn Destination>,
    manner: Manner,
    orders: &Receiver<Order>,
    give_back: &SyncSender<Vec<u8>>,
) -> io::Result<()> {
    let (mut sum, mut unsynced_bytes) = (Crc64::default(), 0);
    loop {
        let (mut bytes, of_bytes) = match orders.recv() {
            Ok(Order::Write(bytes, sum)) => (bytes, sum),
            Ok(Order::End) => break,
            Err(_) => return Err(io::Error::other("called off")),
        };
        sum.append(of_bytes, bytes.len());
        file.put(&bytes)?;
        unsynced_bytes += bytes.len();
        bytes.clear();
        // There is always room, unless nobody is there any more.
        let _ = give_back.try_send(bytes);
        if manner.steadily && unsynced_bytes >= UNSYNCED_BYTES_MAX {
            unsynced_bytes = 0;
            file.sync(false)?;
        }
    }
    let mut end = Vec::new();
    put_sum(if manner.summed { sum.sum() } else { 0 }, &mut end);
    file.put(&end)?;
    file.sync(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner {
        summed: true,
        steadily: true,
    };

    #[test]
    fn bytes_arrive_in_order_with_their_sum() {
        let path = std::env::temp_dir().join(format!("ruddle-outlet-{}", std::process::id()));
        let outlet =
            Outlet::open(Box::new(File::create(&path).expect("a file")), MANNER).expect("a thread");
        let mut expected = Vec::new();
        for n in 0..100_u8 {
            let mut bytes = vec![n; 100_000];
            expected.extend_from_slice(&bytes);
            let mut sum = Crc64::default();
            sum.update(&bytes);
            assert!(outlet.write(&mut bytes, sum) && bytes.is_empty());
        }
        outlet.finish().expect("it is written");
        let mut sum = Crc64::default();
        sum.update(&expected);
        put_sum(sum.sum(), &mut expected);
        assert_eq!(std::fs::read(&path).expect("a file"), expected);
        std::fs::remove_file(&path).expect("it goes");
    }

    #[test]
    fn a_full_disk_is_told_at_the_end_at_the_latest() {
        let file = File::options().write(true).open("/dev/full");
        let outlet = Outlet::open(Box::new(file.expect("a device")), MANNER).expect("a thread");
        while outlet.write(&mut vec![1; 100], Crc64::default()) {}
        let error = outlet.finish().expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
