//! Publish/subscribe where numbers matter: slow subscribers, many subscriptions, long replies.

use std::thread;
use std::time::Instant;

use testkit::client::Client;
use testkit::process::Server;
use testkit::reply::Reply;

use crate::clients::{PATIENCE, is_closed, text, until, with_workers};

/// A message that a client has got.
fn message(client: &mut Client) -> Vec<u8> {
    let reply = client.receive().expect("a message");
    let items = reply.items().unwrap_or_default();
    let payload = items.last().and_then(Reply::bytes);
    payload.expect("a payload").to_vec()
}

fn subscriber(server: &Server, channel: &str) -> Client {
    let mut client = server.connect().expect("a connection");
    let reply = text(&mut client, &format!("SUBSCRIBE {channel}"));
    assert!(reply.ends_with("(integer) 1"), "{reply}");
    client
}

/// Who does not read is cut off, and the others get every message, in order, meanwhile.
#[test]
fn a_slow_subscriber_is_cut_off_and_holds_nobody_up() {
    let args = ["--client-output-buffer-limit", "pubsub 1000000 0 0"];
    with_workers(&args, |server| {
        let mut deaf = subscriber(server, "news");
        let mut others: Vec<Client> = (0..3).map(|_| subscriber(server, "news")).collect();
        let mut me = server.connect().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let padding = "x".repeat(100_000);
        for number in 0.. {
            let payload = format!("{number} {padding}");
            let receivers = me.call(&["PUBLISH", "news", &payload]).unwrap();
            for other in &mut others {
                assert_eq!(message(other), payload.as_bytes());
            }
            if receivers == Reply::Int(3) {
                break;
            }
            assert!(Instant::now() < deadline, "nobody is cut off");
        }
        while deaf.receive().is_ok() {}
        assert!(is_closed(&mut deaf));
        assert!(server.log().contains("client-output-buffer-limit"));
        let numsub = text(&mut me, "PUBSUB NUMSUB news");
        assert!(numsub.ends_with("(integer) 3"), "{numsub}");
    });
}

/// One of many can be found and given up, in any order: each has its reply within the deadline of
/// a reply, as if there were few.
#[test]
fn a_hundred_thousand_channels_of_one_client() {
    const CHANNELS: usize = 100_000;
    with_workers(&[], |server| {
        let mut client = server.connect().unwrap();
        let mut words = vec!["SUBSCRIBE".to_owned()];
        words.extend((0..CHANNELS).map(|number| number.to_string()));
        client.send(&words).unwrap();
        for number in 1..=CHANNELS {
            let reply = client.receive().unwrap();
            let count = reply.items().and_then(<[Reply]>::last);
            assert_eq!(count, Some(&Reply::Int(number as i64)));
        }
        words[0] = "UNSUBSCRIBE".to_owned();
        words[1..].reverse();
        client.send(&words).unwrap();
        for number in (0..CHANNELS).rev() {
            let reply = client.receive().unwrap();
            let count = reply.items().and_then(<[Reply]>::last);
            assert_eq!(count, Some(&Reply::Int(number as i64)));
        }
    });
}

/// A message to many is not written to all of them at once: each gets each, in one order, between
/// the replies to its own commands, and who comes to the place of one that has left gets no more
/// than it asked for.
#[test]
fn messages_to_many_reach_all_of_them_in_order() {
    const LISTENERS: usize = 300;
    const MESSAGES: usize = 60;
    with_workers(&[], |server| {
        let mut me = server.connect().unwrap();
        let mut listeners: Vec<Client> =
            (0..LISTENERS).map(|_| subscriber(server, "news")).collect();
        for number in 0..MESSAGES {
            let receivers = me.call(&["PUBLISH", "news", &number.to_string()]).unwrap();
            let Reply::Int(receivers) = receivers else {
                panic!("{receivers:?}");
            };
            assert!(receivers as usize >= listeners.len(), "{receivers}");
            let at = number * 7 % listeners.len();
            listeners[at].send(&["PING"]).unwrap();
            if number % 10 == 9 {
                // A stranger may get this one's place while something is on its way to it.
                drop(listeners.swap_remove(at + 1));
                let mut stranger = server.connect().unwrap();
                assert_eq!(text(&mut stranger, "PING"), "PONG");
            }
        }
        let mut pongs = 0;
        for listener in &mut listeners {
            let mut next = 0;
            while next < MESSAGES {
                let message = message(listener);
                if message.is_empty() {
                    pongs += 1;
                    continue;
                }
                assert_eq!(message, next.to_string().as_bytes());
                next += 1;
            }
        }
        assert!(pongs >= MESSAGES / 2, "{pongs}");
    });
}

/// Who asks after a subscriber has had its reply is told of the subscription, and of its end,
/// whichever worker each of them is at.
#[test]
fn counts_are_exact_once_a_subscriber_is_answered() {
    const ROUNDS: usize = 50;
    const COUNTS: &[&str] = &[
        "PUBSUB NUMSUB news",
        "PUBSUB SHARDNUMSUB news",
        "PUBSUB NUMPAT",
    ];
    const LISTS: &[&str] = &["PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS"];
    with_workers(&[], |server| {
        let connect = |_| server.connect().unwrap();
        let mut listeners: Vec<Client> = (0..4).map(connect).collect();
        let mut others: Vec<Client> = (0..4).map(connect).collect();
        let mut check = |count: usize, when: &str| {
            for other in &mut others {
                for question in COUNTS {
                    let reply = text(other, question);
                    let expected = format!("(integer) {count}");
                    assert!(reply.ends_with(&expected), "{when}: {question}: {reply}");
                }
                for question in LISTS {
                    let reply = text(other, question);
                    assert_eq!(
                        reply.contains("news"),
                        count > 0,
                        "{when}: {question}: {reply}"
                    );
                }
                let info = text(other, "INFO clients");
                let expected = format!("pubsub_clients:{count}");
                assert!(info.contains(&expected), "{when}: {info}");
            }
        };
        for round in 0..ROUNDS {
            for (before, listener) in listeners.iter_mut().enumerate() {
                for word in ["SUBSCRIBE", "SSUBSCRIBE", "PSUBSCRIBE"] {
                    // A pattern of its own, for those are counted once.
                    let name = match word {
                        "PSUBSCRIBE" => format!("{before}*"),
                        _ => "news".to_owned(),
                    };
                    assert!(!listener.call(&[word, &name]).unwrap().is_error());
                }
                check(before + 1, "after SUBSCRIBE");
            }
            for (after, listener) in listeners.iter_mut().enumerate().rev() {
                if round % 2 == 0 {
                    listener.call(&["RESET"]).unwrap();
                } else {
                    for word in ["UNSUBSCRIBE", "SUNSUBSCRIBE", "PUNSUBSCRIBE"] {
                        assert!(!listener.call(&[word]).unwrap().is_error());
                    }
                }
                check(after, "after its end");
            }
        }
    });
}

/// A message that comes while a long reply is on its way follows it.
#[test]
fn messages_do_not_come_in_the_middle_of_a_long_reply() {
    const KEYS: usize = 20_000;
    with_workers(&[], |server| {
        let mut me = server.connect().unwrap();
        let padding = "k".repeat(60);
        let mut words = vec!["MSET".to_owned()];
        words.extend((0..KEYS).flat_map(|number| [format!("{padding}{number}"), String::new()]));
        assert!(!me.call(&words).unwrap().is_error());
        let mut listener = server.connect().unwrap();
        listener.call(&["HELLO", "3"]).unwrap();
        listener.call(&["SUBSCRIBE", "news"]).unwrap();
        let (mut pushes, mut sent) = (0, 0);
        thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let mut other = server.connect().unwrap();
                let mut receivers = 0;
                for _ in 0..2000 {
                    let reply = other.call(&["PUBLISH", "news", "x"]).unwrap();
                    receivers += usize::from(reply == Reply::Int(1));
                }
                receivers
            });
            for _ in 0..10 {
                listener.send(&["KEYS", "*"]).unwrap();
                loop {
                    match listener.receive().unwrap() {
                        Reply::Push(_) => pushes += 1,
                        Reply::Array(keys) => {
                            assert_eq!(keys.len(), KEYS);
                            break;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            sent = publisher.join().unwrap();
        });
        while pushes < sent {
            assert!(matches!(listener.receive().unwrap(), Reply::Push(_)));
            pushes += 1;
        }
        until(&mut me, "PUBSUB NUMSUB news", |reply| reply.ends_with('1'));
    });
}

/// What no client does is told, too: expiry of keys and fields that nobody asks for, and eviction.
#[test]
fn expiry_and_eviction_are_told() {
    let args = ["--notify-keyspace-events", "Exegh"];
    with_workers(&args, |server| {
        let mut listener = server.connect().unwrap();
        let mut me = server.connect().unwrap();
        listener.call(&["PSUBSCRIBE", "__keyevent@0__:*"]).unwrap();
        let mut told = |event: &str, key: &str| {
            let reply = listener.receive().expect("an event");
            let channel = format!("__keyevent@0__:{event}");
            let expected = [channel.as_bytes(), key.as_bytes()];
            let texts: Vec<&[u8]> = reply.items().unwrap_or_default()[2..]
                .iter()
                .filter_map(Reply::bytes)
                .collect();
            assert_eq!(texts, expected, "{reply}");
        };
        assert_eq!(text(&mut me, "SET k v PX 1"), "OK");
        told("expire", "k");
        told("expired", "k");
        text(&mut me, "HSET h f 1 g 2");
        told("hset", "h");
        text(&mut me, "HPEXPIRE h 1 FIELDS 2 f g");
        told("hexpire", "h");
        told("hexpired", "h");
        told("del", "h");
        assert_eq!(text(&mut me, "SET k v"), "OK");
        text(&mut me, "CONFIG SET maxmemory-policy allkeys-random");
        text(&mut me, "CONFIG SET maxmemory 1");
        // Whatever comes next makes room first.
        me.send(&["SET", "l", "v"]).unwrap();
        told("evicted", "k");
    });
}
