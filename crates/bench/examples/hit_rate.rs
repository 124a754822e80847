//! Hit rate of a server used as a cache under a Zipf workload, for comparing eviction policies.
//!
//! Cache-aside: GET a key, and SET it when it is missing. The server must already have its
//! `maxmemory` and policy; the fair limit is a share of what the whole key set would take in THAT
//! server (fill it once and read `used_memory`).
//!
//! `cargo run --release -p bench --example hit_rate -- PORT KEYS VALUE_BYTES EXPONENT
//! REQUESTS_PER_SECOND SECONDS` The first half of the requests warms the cache; the rate of the
//! second half is printed. A fixed rate of requests matters: idle times are kept in seconds, so a
//! faster run would see fewer of them.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Requests per round trip.
const PIPELINE: usize = 64;

fn main() -> io::Result<()> {
    let numbers: Vec<f64> = env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let [port, keys, value_bytes, exponent, rate, seconds] = numbers[..] else {
        eprintln!("usage: hit_rate PORT KEYS VALUE_BYTES EXPONENT REQUESTS_PER_SECOND SECONDS");
        return Ok(());
    };
    let mut cache = Cache::connect(port as u16, value_bytes as usize)?;
    let zipf = Zipf::new(keys as usize, exponent);
    let mut random = fastrand::Rng::with_seed(42);
    let total = (rate * seconds) as usize;
    let start = Instant::now();
    let (mut hits, mut measured) = (0, 0);
    for done in (0..total).step_by(PIPELINE) {
        let due = Duration::from_secs_f64(done as f64 / rate);
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let batch: Vec<usize> = (0..PIPELINE).map(|_| zipf.draw(&mut random)).collect();
        let found = cache.look_up(&batch)?;
        if done >= total / 2 {
            hits += found;
            measured += batch.len();
        }
    }
    println!(
        "hit rate {:.2} % of {measured} requests, {:.0} requests/s",
        hits as f64 * 100.0 / measured as f64,
        total as f64 / start.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// Draws ranks with probability proportional to `1 / rank^exponent`, by searching the distribution
/// function. Ranks are scattered over key numbers, so that insertion order says nothing about
/// popularity.
struct Zipf {
    sums: Vec<f64>,
    names: Vec<usize>,
}

impl Zipf {
    fn new(keys: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=keys)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        let mut names: Vec<usize> = (0..keys).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut names);
        Zipf { sums, names }
    }

    fn draw(&self, random: &mut fastrand::Rng) -> usize {
        let total = self.sums.last().copied().unwrap_or(0.0);
        let at = random.f64() * total;
        let rank = self.sums.partition_point(|&sum| sum <= at);
        self.names[rank.min(self.names.len() - 1)]
    }
}

/// A server used as a cache.
struct Cache {
    stream: BufReader<TcpStream>,
    value: Vec<u8>,
    wire: Vec<u8>,
}

impl Cache {
    fn connect(port: u16, value_bytes: usize) -> io::Result<Cache> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Cache {
            stream: BufReader::with_capacity(1 << 20, stream),
            value: vec![b'x'; value_bytes],
            wire: Vec::new(),
        })
    }

    /// Asks for keys, stores the missing ones, and returns how many were there.
    fn look_up(&mut self, keys: &[usize]) -> io::Result<usize> {
        for key in keys {
            write!(self.wire, "*2\r\n$3\r\nGET\r\n$12\r\nkey:{key:08}\r\n")?;
        }
        self.send()?;
        let mut missing = Vec::new();
        for &key in keys {
            if !self.read_value()? {
                missing.push(key);
            }
        }
        for key in &missing {
            let length = self.value.len();
            write!(
                self.wire,
                "*3\r\n$3\r\nSET\r\n$12\r\nkey:{key:08}\r\n${length}\r\n"
            )?;
            self.wire.extend_from_slice(&self.value);
            self.wire.extend_from_slice(b"\r\n");
        }
        self.send()?;
        for _ in &missing {
            self.line()?;
        }
        Ok(keys.len() - missing.len())
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.wire)?;
        self.wire.clear();
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.starts_with('-') {
            return Err(io::Error::other(line));
        }
        Ok(line)
    }

    fn read_value(&mut self) -> io::Result<bool> {
        let head = self.line()?;
        let length: i64 = head[1..].trim().parse().map_err(io::Error::other)?;
        if length < 0 {
            return Ok(false);
        }
        let mut body = vec![0; length as usize + 2];
        self.stream.read_exact(&mut body)?;
        Ok(true)
    }
}
