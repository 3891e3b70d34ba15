//! Peers that break or bend HTTP/2: the server refuses them, stays small and serves everyone else.
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, client};
use support::{Server, answer, body, framed, headers, predict, spawn};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// More than this over its start means that an attack is kept in memory.
const GROWTH: usize = 64 << 20;

/// The settings of the server's first frame by identifier.
async fn settings(server: &Server) -> Vec<(u16, u32)> {
    let mut stream = server.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(SETTINGS).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.unwrap();
    let entry = |chunk: &[u8]| {
        let (id, value) = chunk.split_at(2);
        (
            u16::from_be_bytes(id.try_into().unwrap()),
            u32::from_be_bytes(value.try_into().unwrap()),
        )
    };
    payload.chunks_exact(6).map(entry).collect()
}

#[tokio::test]
async fn every_limit_is_announced() {
    let server = Server::start(&[]);
    let announced = settings(&server).await;
    // Identifiers of RFC 9113, section 6.5.2.
    assert!(
        announced.contains(&(3, 256)),
        "MAX_CONCURRENT_STREAMS: {announced:?}"
    );
    assert!(
        announced.contains(&(5, 256 << 10)),
        "MAX_FRAME_SIZE: {announced:?}"
    );
    assert!(
        announced.contains(&(6, 16 << 10)),
        "MAX_HEADER_LIST_SIZE: {announced:?}"
    );
    let window = announced
        .iter()
        .find(|(id, _)| *id == 4)
        .map(|(_, value)| *value);
    assert!(
        window.is_some_and(|bytes| (512 << 10..=2 << 20).contains(&bytes)),
        "{announced:?}"
    );
}

#[tokio::test]
async fn small_messages_on_every_stream_are_served() {
    let server = Server::start(&["--max-in-flight=1024"]);
    let sender = server.http2().await;
    for _ in 0..8 {
        let mut calls = Vec::new();
        for _ in 0..256 {
            let sender = sender.clone().ready().await.unwrap();
            calls.push(spawn(predict(sender, 1)));
        }
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let server = Server::start(&[]);
    let before = server.resident_bytes();
    let mut sender = server.http2().await;
    let mut sent = 0;
    for _ in 0..20_000 {
        let Ok(ready) = sender.clone().ready().await else {
            break;
        };
        sender = ready;
        let Ok((_, mut stream)) = sender.send_request(headers(), false) else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
        sent += 1;
    }
    assert!(server.is_alive().await, "after {sent} resets");
    assert!(server.resident_bytes() < before + GROWTH);
}

#[tokio::test]
async fn half_a_request_and_silence_is_answered_and_frees_its_place() {
    let server = Server::start(&["--max-in-flight=1", "--timeout-seconds=0.5"]);
    let mut sender = server.http2().await.ready().await.unwrap();
    let (response, mut stream) = sender.send_request(headers(), false).unwrap();
    stream.send_data(body(1).slice(..7), false).unwrap();
    let result = timeout(PATIENCE, answer(response)).await.unwrap();
    assert_eq!(result.unwrap_err(), "grpc-status 4", "DEADLINE_EXCEEDED");
    drop(stream);
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn a_length_of_four_gibibytes_is_refused_at_its_prefix() {
    let server = Server::start(&[]);
    let before = server.resident_bytes();
    let mut sender = server.http2().await.ready().await.unwrap();
    for _ in 0..64 {
        let (response, mut stream) = sender.send_request(headers(), false).unwrap();
        stream
            .send_data(Bytes::from_static(b"\0\xff\xff\xff\xff"), false)
            .unwrap();
        let result = timeout(PATIENCE, answer(response)).await.unwrap();
        assert_eq!(result.unwrap_err(), "grpc-status 8", "RESOURCE_EXHAUSTED");
        sender = sender.ready().await.unwrap();
    }
    assert!(server.resident_bytes() < before + GROWTH);
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn requests_that_are_no_grpc_are_refused() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await.ready().await.unwrap();
    let (mut plain, two) = (headers(), [body(1), body(1)].concat());
    plain.headers_mut().remove("content-type");
    let (response, _) = sender.send_request(plain, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 415);
    for (message, code) in [
        (Bytes::new(), "grpc-status 3"),
        (Bytes::from_static(b"\x07\0\0\0\0"), "grpc-status 3"),
        (framed(b"\xff\xff"), "grpc-status 3"),
        (Bytes::from(two), "grpc-status 3"),
    ] {
        sender = sender.ready().await.unwrap();
        let (response, mut stream) = sender.send_request(headers(), false).unwrap();
        stream.send_data(message, true).unwrap();
        assert_eq!(answer(response).await.unwrap_err(), code);
    }
}

#[tokio::test]
async fn one_byte_frames_are_put_together() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await.ready().await.unwrap();
    let (response, mut stream) = sender.send_request(headers(), false).unwrap();
    let whole = body(2);
    for index in 0..whole.len() {
        stream
            .send_data(whole.slice(index..=index), index + 1 == whole.len())
            .unwrap();
    }
    let answer = timeout(PATIENCE, answer(response)).await.unwrap().unwrap();
    assert_eq!(answer.raw_output_contents, [vec![7; 8]]);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off() {
    let server = Server::start(&[
        "--max-rows=65536",
        "--max-in-flight=4",
        "--unread-seconds=2",
    ]);
    let mut builder = client::Builder::new();
    builder.initial_window_size(0);
    let (mut sender, connection) = builder.handshake(server.connect().await).await.unwrap();
    let ended = spawn(connection);
    let mut responses = Vec::new();
    for _ in 0..4 {
        sender = sender.ready().await.unwrap();
        let (response, mut stream) = sender.send_request(headers(), false).unwrap();
        stream.send_data(body(1000), true).unwrap();
        responses.push(response.await.unwrap());
    }
    // Every place is taken by an answer that nobody reads.
    let other = server.http2().await.ready().await.unwrap();
    assert_eq!(predict(other, 1).await.unwrap_err(), "grpc-status 8");
    let ended = timeout(PATIENCE, ended).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn floods_of_frames_do_not_stay_in_memory() {
    let server = Server::start(&[]);
    let before = server.resident_bytes();
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
    for frame in [SETTINGS, ping.as_slice()] {
        let mut stream = server.connect().await;
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(SETTINGS).await.unwrap();
        let burst = frame.repeat(1000);
        for _ in 0..200 {
            // Nothing is read: the answers pile up on the way, and then the server stops reading.
            match timeout(Duration::from_millis(200), stream.write_all(&burst)).await {
                Ok(Ok(())) => {}
                _ => break,
            }
        }
        assert!(server.is_alive().await);
    }
    assert!(server.resident_bytes() < before + GROWTH);
}

#[tokio::test]
async fn large_headers_are_refused() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await.ready().await.unwrap();
    let mut large = headers();
    large
        .headers_mut()
        .insert("x-large", "a".repeat(64 << 10).parse().unwrap());
    let refused = match sender.send_request(large, true) {
        Err(_) => true,
        Ok((response, _)) => response.await.map_or(true, |answer| answer.status() == 431),
    };
    assert!(refused);
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn garbage_in_place_of_a_preface_is_closed() {
    let server = Server::start(&[]);
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut received = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(closed.is_ok(), "the connection stays open");
    assert!(server.is_alive().await);
}
