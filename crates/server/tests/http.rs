//! The HTTP pages over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use server::http::{self, Stage, Status};

fn serve() -> (SocketAddr, Arc<Status>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let status = Status::new("1.2.3");
    http::serve(status.clone(), vec![socket]).unwrap();
    (address, status)
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Everything that the server says until it closes.
fn heard(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut socket = connect(address);
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let answer = heard(&mut socket);
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn a_server_that_starts_is_live_and_not_ready() {
    let (address, status) = serve();
    assert_eq!(ask(address, "GET", "/health/live"), (200, r#"{"status":"live"}"#.to_owned()));
    let not_ready = |reason| (503, format!(r#"{{"reason":"{reason}","status":"not ready"}}"#));
    assert_eq!(ask(address, "GET", "/health/ready"), not_ready("starting"));
    status.enter(Stage::Draining);
    assert_eq!(ask(address, "GET", "/health/ready"), not_ready("draining"));
    let (code, page) = ask(address, "GET", "/metrics");
    assert_eq!(code, 200);
    assert!(page.contains("robust_ready 0\n"), "{page}");
    assert!(page.contains("robust_build_info{version=\"1.2.3\"} 1\n"), "{page}");
}

#[test]
fn what_is_not_served_is_said_in_json() {
    let (address, _) = serve();
    let (code, body) = ask(address, "GET", "/nowhere");
    assert_eq!(code, 404);
    assert_eq!(body, r#"{"error":{"message":"there is nothing at /nowhere","status":404}}"#);
    let (code, body) = ask(address, "POST", "/metrics");
    assert_eq!(code, 405);
    assert_eq!(body, r#"{"error":{"message":"only GET is served here","status":405}}"#);
}

#[test]
fn endless_headers_and_bodies_end_the_connection() {
    let (address, _) = serve();
    for beginning in
        ["GET /metrics HTTP/1.1\r\n", "POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"]
    {
        let mut socket = connect(address);
        socket.write_all(beginning.as_bytes()).unwrap();
        let line = b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
        let mut sent = 0;
        while sent < 64 << 20 && socket.write_all(line).is_ok() {
            sent += line.len();
        }
        assert!(sent < 64 << 20, "sixty-four megabytes were taken after {beginning:?}");
        assert_eq!(ask(address, "GET", "/health/live").0, 200);
    }
}

#[test]
fn connections_are_few_and_their_places_become_free() {
    let (address, _) = serve();
    let mut idle: Vec<TcpStream> = (0..64).map(|_| connect(address)).collect();
    // All are taken once the last one is answered.
    write!(idle[63], "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(idle[63].read(&mut [0; 64]).unwrap() > 0);
    assert_eq!(heard(&mut connect(address)), "", "one too many");
    drop(idle);
    let end = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let mut socket = connect(address);
        write!(socket, "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        if !heard(&mut socket).is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < end, "no place became free");
    }
}
