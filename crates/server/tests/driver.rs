//! The driver over real sockets, with a toy protocol and a stand-in for the broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod toy;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::budget::Class;
use server::driver::Ending;
use toy::{Server, Slow, Toy, frame};

const PATIENCE: Duration = Duration::from_secs(20);

struct Client {
    socket: TcpStream,
}

impl Client {
    fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        self.socket.write_all(&frame(kind, body)).unwrap();
        self
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).unwrap();
        (head[4], body)
    }

    fn ends(&mut self) -> bool {
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A number that looks random and is the same each time.
fn scrambled(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[test]
fn frames_of_any_size_come_back_in_order() {
    for workers in [1, 2] {
        let server = Server::start(workers, Toy::default());
        let client = Client::connect(&server);
        let mut writer = client.socket.try_clone().unwrap();
        let sizes: Vec<usize> = (0..400)
            .map(|i| match i % 40 {
                0 => 700_000,
                1 => 70_000,
                2..4 => 20_000,
                _ => scrambled(i) as usize % 300,
            })
            .collect();
        let sent = sizes.clone();
        let thread = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            for (index, size) in sent.iter().enumerate() {
                bytes.extend(frame(b'E', &vec![index as u8; *size]));
            }
            // In pieces that have nothing to do with frames.
            let mut rest = bytes.as_slice();
            let mut round = 0;
            while !rest.is_empty() {
                let (piece, others) =
                    rest.split_at(rest.len().min(1 + scrambled(round) as usize % 90_000));
                writer.write_all(piece).unwrap();
                rest = others;
                round += 1;
            }
        });
        let mut client = client;
        for (index, size) in sizes.iter().enumerate() {
            let (kind, body) = client.receive();
            assert_eq!((kind, body.len()), (b'E', *size), "frame {index}");
            assert!(body.iter().all(|byte| *byte == index as u8), "frame {index}");
        }
        thread.join().unwrap();
        server.stop();
    }
}

#[test]
fn a_frame_sent_byte_by_byte_is_one_frame() {
    let server = Server::start(1, Toy::default());
    let mut client = Client::connect(&server);
    for byte in frame(b'E', b"slow") {
        client.socket.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(client.receive(), (b'E', b"slow".to_vec()));
    server.stop();
}

#[test]
fn every_subscriber_gets_every_message_in_order_on_both_workers() {
    let server = Server::start(2, Toy::default());
    let mut subscribers: Vec<Client> = (0..10).map(|_| Client::connect(&server)).collect();
    let mut workers = [0; 2];
    for subscriber in &mut subscribers {
        subscriber.send(b'S', b"");
        let (kind, body) = subscriber.receive();
        assert_eq!(kind, b'S');
        workers[usize::from(body[0])] += 1;
    }
    assert_eq!(workers, [5, 5], "connections are spread over the workers");
    let mut publishers: Vec<Client> = (0..2).map(|_| Client::connect(&server)).collect();
    const COUNT: u32 = 20_000;
    let threads: Vec<_> = subscribers
        .into_iter()
        .map(|mut subscriber| {
            std::thread::spawn(move || {
                let mut next = [0; 2];
                for _ in 0..2 * COUNT {
                    let (kind, body) = subscriber.receive();
                    assert_eq!(kind, b'M');
                    let number = u32::from_be_bytes([body[1], body[2], body[3], body[4]]);
                    let publisher = usize::from(body[0]);
                    assert_eq!(number, next[publisher]);
                    next[publisher] += 1;
                }
            })
        })
        .collect();
    for number in 0..COUNT {
        for (index, publisher) in (0..).zip(&mut publishers) {
            let mut body = vec![index];
            body.extend(number.to_be_bytes());
            publisher.send(b'P', &body);
        }
        // Live messages to a slow receiver are dropped: no faster than the receivers read.
        if number % 1000 == 999 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    server.stop();
}

#[test]
fn a_session_that_panics_ends_its_connection_alone() {
    let server = Server::start(1, Toy::default());
    let mut bystander = Client::connect(&server);
    let mut victim = Client::connect(&server);
    victim.send(b'X', b"");
    assert!(victim.ends());
    assert_eq!(bystander.send(b'E', b"still here").receive(), (b'E', b"still here".to_vec()));
    assert_eq!(server.totals().ended(Ending::Panicked), 1);
    server.stop();
}

#[test]
fn bytes_behind_a_pause_are_given_again_after_the_answer() {
    let server = Server::start(1, Toy::default());
    let mut client = Client::connect(&server);
    let mut bytes = Vec::new();
    for index in 0..200_u8 {
        bytes.extend(frame(b'W', &[index]));
        bytes.extend(frame(b'E', &[index]));
    }
    client.socket.write_all(&bytes).unwrap();
    for index in 0..200_u8 {
        assert_eq!(client.receive(), (b'W', vec![index]));
        assert_eq!(client.receive(), (b'E', vec![index]));
    }
    server.stop();
}

#[test]
fn a_connection_with_too_many_open_requests_is_not_read() {
    let server = Server::start(1, Toy::default());
    server.hold_answers(true);
    let mut client = Client::connect(&server);
    let mut writer = client.socket.try_clone().unwrap();
    const COUNT: u32 = 300_000;
    let thread = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        for number in 0..COUNT {
            bytes.extend(frame(b'A', &number.to_be_bytes()));
        }
        writer.write_all(&bytes).unwrap();
    });
    wait_until("the first requests", || server.requests() > 1000);
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.requests() < 1000 + 65_536 / 9, "{} requests taken", server.requests());
    let other = Client::connect(&server).send(b'E', b"others go on").receive();
    assert_eq!(other, (b'E', b"others go on".to_vec()));
    server.hold_answers(false);
    for number in 0..COUNT {
        assert_eq!(client.receive(), (b'A', number.to_be_bytes().to_vec()));
    }
    thread.join().unwrap();
    server.stop();
}

#[test]
fn a_peer_that_does_not_read_is_not_read_and_loses_nothing() {
    let server = Server::start(1, Toy::default());
    let mut client = Client::connect(&server);
    let mut writer = client.socket.try_clone().unwrap();
    const COUNT: u32 = 3_000;
    let thread = std::thread::spawn(move || {
        for number in 0..COUNT {
            let mut body = vec![7; 10_000];
            body[..4].copy_from_slice(&number.to_be_bytes());
            writer.write_all(&frame(b'E', &body)).unwrap();
        }
    });
    wait_until("the high mark", || server.stopped() == 1);
    std::thread::sleep(Duration::from_millis(100));
    let taken = server.totals().received_bytes.load(Ordering::Relaxed);
    // What is between the two ends: socket buffers and the high mark, not all thirty megabytes.
    assert!(taken < 16_000_000, "{taken} bytes read");
    for number in 0..COUNT {
        assert_eq!(client.receive().1[..4], number.to_be_bytes());
    }
    thread.join().unwrap();
    wait_until("the low mark", || server.stopped() == 0);
    server.stop();
}

fn flood(server: &Server, count: u32) {
    let mut publisher = Client::connect(server);
    for _ in 0..count {
        publisher.send(b'P', &[9; 20_000]);
    }
    assert_eq!(publisher.send(b'E', b"done").receive(), (b'E', b"done".to_vec()));
}

#[test]
fn a_slow_receiver_loses_live_messages_and_stays() {
    let server = Server::start(1, Toy::default());
    let mut slow = Client::connect(&server);
    slow.send(b'S', b"").receive();
    let mut quick = Client::connect(&server);
    quick.send(b'S', b"").receive();
    let reader = std::thread::spawn(move || {
        for _ in 0..2_000 {
            quick.receive();
        }
    });
    flood(&server, 2_000);
    reader.join().unwrap();
    let dropped = server.totals().dropped_deliveries.load(Ordering::Relaxed);
    assert!(dropped > 0, "forty megabytes do not fit into the limit of one");
    for _ in 0..2_000 - dropped {
        assert_eq!(slow.receive().1.len(), 20_000);
    }
    assert_eq!(slow.send(b'E', b"alive").receive(), (b'E', b"alive".to_vec()));
    server.stop();
}

#[test]
fn a_slow_receiver_is_closed_where_the_protocol_wants_that() {
    let server = Server::start(1, Toy { slow: Slow::Close });
    let mut slow = Client::connect(&server);
    slow.send(b'S', b"").receive();
    flood(&server, 2_000);
    wait_until("the connection is closed", || server.totals().ended(Ending::Slow) == 1);
    server.stop();
}

#[test]
fn deadlines_fire_in_time_and_not_before() {
    let server = Server::start(2, Toy::default());
    let mut client = Client::connect(&server);
    let begin = Instant::now();
    client.send(b'T', &500_u32.to_be_bytes());
    // Moves away twice, then comes nearer.
    client.send(b'T', &900_u32.to_be_bytes());
    client.send(b'T', &150_u32.to_be_bytes());
    assert_eq!(client.receive().0, b'T');
    let elapsed = begin.elapsed();
    assert!(elapsed >= Duration::from_millis(150), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(450), "{elapsed:?}");
    server.stop();
}

#[test]
fn the_last_words_arrive_though_the_peer_still_sends() {
    let server = Server::start(1, Toy::default());
    for _ in 0..50 {
        let mut client = Client::connect(&server);
        let mut bytes = frame(b'B', b"goodbye");
        bytes.extend(vec![0xff; 200_000]);
        // The server may close while this is being written; what it said must be there still.
        let _ = client.socket.write_all(&bytes);
        assert_eq!(client.receive(), (b'B', b"goodbye".to_vec()));
        assert_eq!(client.socket.read(&mut [0]).unwrap(), 0, "closed, not reset");
    }
    server.stop();
}

#[test]
fn connections_above_the_limit_are_refused_and_places_become_free() {
    let server = Server::start(2, Toy::default());
    let mut clients: Vec<Client> =
        (0..toy::CONNECTIONS).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        assert_eq!(client.send(b'E', b"in").receive().0, b'E');
    }
    let mut refused = Client::connect(&server);
    assert!(refused.ends());
    drop(clients.pop());
    wait_until("a place is free", || {
        let mut client = Client::connect(&server);
        client.socket.write_all(&frame(b'E', b"in")).is_ok()
            && client.socket.read(&mut [0; 1]).is_ok_and(|count| count == 1)
    });
    server.stop();
}

#[test]
fn sessions_are_told_when_publishing_is_refused_and_when_it_is_not() {
    let server = Server::start(2, Toy::default());
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.send(b'E', b"in").receive();
    }
    for pressed in [true, false] {
        server.press(pressed);
        for client in &mut clients {
            client.send(b'E', b"x");
            let mut got = [client.receive(), client.receive()];
            got.sort();
            assert_eq!(got, [(b'E', b"x".to_vec()), (b'N', vec![u8::from(pressed)])]);
        }
        let mut newcomer = Client::connect(&server);
        newcomer.send(b'E', b"x");
        let first = newcomer.receive();
        let told = first.0 == b'N' || (pressed && newcomer.receive().0 == b'N');
        assert_eq!(told, pressed, "whoever comes later is told too");
    }
    server.stop();
}

#[test]
fn connections_count_for_the_budget_until_they_are_gone() {
    let server = Server::start(1, Toy::default());
    let connections = || server.budget.used_by(Class::Connections);
    let mut slow = Client::connect(&server);
    slow.send(b'S', b"").receive();
    assert!((500..10_000).contains(&connections()), "{}", connections());
    flood(&server, 500);
    wait_until("what it does not read counts", || connections() > 500_000);
    drop(slow);
    wait_until("nothing is left", || connections() == 0);
    server.stop();
}

#[test]
fn without_memory_nobody_is_let_in_and_who_reads_slowest_is_closed() {
    let server = Server::start(1, Toy::default());
    let mut fair = Client::connect(&server);
    fair.send(b'E', b"in").receive();
    let mut slow = Client::connect(&server);
    slow.send(b'S', b"").receive();
    flood(&server, 500);
    wait_until("it is far behind", || server.budget.used_by(Class::Connections) > 500_000);
    server.budget.set(Class::State, toy::BUDGET / 100 * 92);
    assert!(Client::connect(&server).ends(), "there is no memory for another one");
    assert_eq!(fair.send(b'E', b"x").receive().0, b'E');
    assert_eq!(server.totals().ended(Ending::Slow), 0);
    // So full that what the slow one has not read makes the difference.
    let rest = toy::BUDGET / 100 * 95 + 1_000_000 - server.budget.used_by(Class::Connections);
    server.budget.set(Class::State, rest);
    wait_until("the slow one is closed", || {
        fair.send(b'E', b"x").receive();
        server.totals().ended(Ending::Slow) == 1
    });
    wait_until("its bytes are free", || server.budget.used_by(Class::Connections) < 10_000);
    assert_eq!(fair.send(b'E', b"x").receive().0, b'E', "the others go on");
    server.stop();
}

#[test]
fn going_down_says_goodbye_and_ends_every_session() {
    let server = Server::start(2, Toy::default());
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.send(b'E', b"in").receive();
    }
    let begin = Instant::now();
    let ended = server.stop();
    assert!(begin.elapsed() < Duration::from_secs(3));
    for client in &mut clients {
        assert_eq!(client.receive().0, b'D');
        assert!(client.ends());
    }
    assert_eq!(ended, 6, "the broker was told of each connection that went");
}

#[test]
fn garbage_is_answered_and_closed_and_others_go_on() {
    let server = Server::start(1, Toy::default());
    let mut good = Client::connect(&server);
    for seed in 0..100 {
        let mut client = Client::connect(&server);
        let mut bytes = vec![0xff];
        bytes.extend((0..1000).map(|i| scrambled(seed * 1000 + i) as u8));
        let _ = client.socket.write_all(&bytes);
        assert_eq!(client.receive().0, b'!');
        assert!(client.ends());
        assert_eq!(good.send(b'E', b"fine").receive(), (b'E', b"fine".to_vec()));
    }
    assert_eq!(server.totals().ended(Ending::Violation), 100);
    server.stop();
}
