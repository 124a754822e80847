//! A loopback proxy that plays a bad network between two servers: partitions, half-open links,
//! delay, loss.
//!
//! What TCP makes of a lost packet is a wait for its retransmission, and everything behind it waits
//! too; so that is what loss is here. Each direction of each link has one thread that reads and one
//! that writes what is due.
//!
//! Invariant: when a [`Proxy`] is dropped all its links are closed and nothing listens.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::random::Random;

/// What TCP waits, at least, before it sends a packet again.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// The size of a packet on the way.
const PACKET_BYTES: usize = 16 * 1024;

/// What the network is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Each packet is so long on its way.
    pub delay: Duration,
    /// Of a thousand packets so many are lost at first.
    pub lost_permille: usize,
}

#[derive(Default)]
struct State {
    weather: Weather,
    /// Nothing passes, and nobody is told: links stay half open.
    frozen: bool,
    /// New links are closed at once.
    refusing: bool,
    ended: bool,
    links: Vec<TcpStream>,
    accepted: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the test; the state is plain data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits while nothing passes; whether the proxy is still there.
    fn pass(&self) -> bool {
        let mut state = self.state();
        while state.frozen && !state.ended {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        !state.ended
    }
}

/// See the module's head.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy before this port on 127.0.0.1.
    ///
    /// # Errors
    /// The operating system has no port left.
    pub fn start(target: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, target, &own));
        Ok(Proxy { port, shared })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Links accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }

    /// Changes the weather for packets that come from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.change(|state| state.weather = weather);
    }

    /// Closes all links; new ones are accepted.
    pub fn cut(&self) {
        self.shared.change(|state| {
            for link in state.links.drain(..) {
                // It may be closed already.
                let _ = link.shutdown(Shutdown::Both);
            }
        });
    }

    /// From now on, or until now, new links are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.shared.change(|state| state.refusing = refuse);
    }

    /// From now on, or until now, nothing passes though all links stay open.
    pub fn freeze(&self, freeze: bool) {
        self.shared.change(|state| state.frozen = freeze);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        self.cut();
        // Wakes the listener so that it sees the end.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: &TcpListener, target: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.state();
        if state.ended {
            return;
        }
        state.accepted += 1;
        let number = state.accepted;
        if state.refusing {
            continue;
        }
        drop(state);
        if let Ok(client) = client
            && let Ok(server) = TcpStream::connect(("127.0.0.1", target))
        {
            // A link that cannot be made is closed, as by a network.
            let _ = link(&client, &server, number, shared);
        }
    }
}

fn link(
    client: &TcpStream,
    server: &TcpStream,
    number: u64,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let ends = [client.try_clone()?, server.try_clone()?];
    shared.state().links.extend(ends);
    for (from, to, seed) in [
        (client, server, 2 * number),
        (server, client, 2 * number + 1),
    ] {
        from.set_nodelay(true)?;
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        let (sender, receiver) = channel();
        let reader = Arc::clone(shared);
        thread::spawn(move || read(&mut from, &sender, seed, &reader));
        let writer = Arc::clone(shared);
        thread::spawn(move || write(&receiver, &mut to, &writer));
    }
    Ok(())
}

/// A packet, and when it arrives.
type Packet = (Instant, Vec<u8>);

fn read(from: &mut TcpStream, packets: &Sender<Packet>, seed: u64, shared: &Shared) {
    let mut random = Random::new(seed);
    let mut due = Instant::now();
    let mut buffer = vec![0; PACKET_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let weather = shared.state().weather;
        let lost = random.below(1000) < weather.lost_permille;
        let way = weather.delay + if lost { RETRANSMISSION } else { Duration::ZERO };
        // None overtakes another.
        due = due.max(Instant::now() + way);
        if packets.send((due, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

fn write(packets: &Receiver<Packet>, to: &mut TcpStream, shared: &Shared) {
    while let Ok((due, bytes)) = packets.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !shared.pass() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    // What came before the end has passed; now the end does.
    if shared.pass() {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = stream.try_clone().expect("a second handle");
                thread::spawn(move || io::copy(&mut reader, &mut &stream));
            }
        });
        port
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("accepted");
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        stream
    }

    fn ask(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text)?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn bytes_pass_late_and_in_order() {
        let proxy = Proxy::start(echo()).expect("a proxy");
        let delay = Duration::from_millis(5);
        proxy.set_weather(Weather {
            delay,
            lost_permille: 300,
        });
        let mut stream = connect(&proxy);
        let begun = Instant::now();
        for round in 0..5 {
            let text = format!("round {round}");
            let answer = ask(&mut stream, text.as_bytes()).expect("an answer");
            assert_eq!(answer, text.as_bytes());
        }
        assert!(begun.elapsed() >= 10 * delay);
    }

    #[test]
    fn links_are_cut_frozen_and_refused() {
        let proxy = Proxy::start(echo()).expect("a proxy");
        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, b"a").expect("an answer"), b"a");
        proxy.cut();
        assert!(ask(&mut stream, b"b").is_err());

        proxy.refuse(true);
        assert!(ask(&mut connect(&proxy), b"c").is_err());
        proxy.refuse(false);

        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, b"d").expect("an answer"), b"d");
        proxy.freeze(true);
        let short = Some(Duration::from_millis(50));
        stream.set_read_timeout(short).expect("a timeout");
        let kind = ask(&mut stream, b"e").expect_err("nothing passes").kind();
        assert!(matches!(
            kind,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ));
        proxy.freeze(false);
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).expect("a timeout");
        let mut late = [0];
        stream.read_exact(&mut late).expect("what was held back");
        assert_eq!(&late, b"e");
    }
}
