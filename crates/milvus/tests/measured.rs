//! Measured connections: the same answers, honest instants, and nothing broken by a cancelled request.

use std::time::Duration;

use futures::future::join_all;
use squall_core::row::Outcome;
use squall_core::schema::Transport;
use squall_core::vector_type::VectorType;
use squall_milvus::admin::Admin;
use squall_milvus::encode::{self, Request, SearchTemplate};
use squall_milvus::measured::{Connection, Failure, Reply, Unstarted, Wait};
use squall_milvus::{Endpoint, Protocol};
use squall_sandbox::SandboxConfig;
use tokio::sync::oneshot;

use crate::support::*;

const BOTH: [(Transport, Protocol); 2] =
    [(Transport::Grpc, Protocol::Grpc), (Transport::Rest, Protocol::RestV2)];

fn request(protocol: Protocol, template: &SearchTemplate, number: u64) -> Request {
    template.request(encode::vector(protocol, VectorType::Float32, &query(number)))
}

async fn measured_and_admin_agree(server: &Endpoint, transport: Transport, protocol: Protocol) {
    let admin = Admin::connect(server, transport).await.unwrap();
    let name = unique("agree");
    seed(&admin, &name, &flat()).await;
    let connection = Connection::open_with_sockets(server, protocol, 4).await.unwrap();
    let fields = ["id".to_owned()];
    for (number, filter) in
        (0..20).zip([None, Some("category == \"books\""), Some("price < 0.01")].iter().cycle())
    {
        let expected = admin.search(&name, &spec(*filter, &fields), &query(number)).await.unwrap();
        let template = template(protocol, &name, *filter);
        let reply = connection.send(request(protocol, &template, number)).await.unwrap().finish().await;
        assert_eq!((reply.outcome, reply.code), (Outcome::Ok, None));
        assert_eq!(usize::from(reply.hits), expected.ids.len());
        assert_eq!(reply.bytes_in as usize, reply.body.len());
        assert_eq!(reply.ids().unwrap(), expected);
    }
    admin.drop_collection(&name).await.unwrap();
}

#[tokio::test]
async fn a_measured_search_finds_what_the_admin_face_finds() {
    let sandbox = sandbox().await;
    for (transport, protocol) in BOTH {
        measured_and_admin_agree(&endpoint(&sandbox.uri), transport, protocol).await;
    }
}

#[tokio::test]
async fn a_measured_search_finds_what_the_admin_face_finds_on_milvus_2_3_5() {
    let test = "a_measured_search_finds_what_the_admin_face_finds_on_milvus_2_3_5";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_URI", test) else { return };
    measured_and_admin_agree(&server, Transport::Grpc, Protocol::Grpc).await;
}

#[tokio::test]
async fn a_measured_search_finds_what_the_admin_face_finds_on_milvus_lite() {
    let test = "a_measured_search_finds_what_the_admin_face_finds_on_milvus_lite";
    let Some(server) = real_server("SQUALL_TEST_MILVUS_LITE_URI", test) else { return };
    measured_and_admin_agree(&server, Transport::Grpc, Protocol::Grpc).await;
}

#[tokio::test]
async fn many_requests_are_in_flight_on_one_connection() {
    let sandbox = sandbox().await;
    for (transport, protocol) in BOTH {
        let admin = connect(&sandbox.uri, transport).await;
        let name = unique("many");
        seed(&admin, &name, &flat()).await;
        let connection = Connection::open_with_sockets(&endpoint(&sandbox.uri), protocol, 8).await.unwrap();
        let template = template(protocol, &name, None);
        let replies = join_all((0..200).map(async |number| {
            connection.send(request(protocol, &template, number)).await.unwrap().finish().await
        }))
        .await;
        for (number, reply) in (0..).zip(replies) {
            assert_eq!(reply.outcome, Outcome::Ok);
            assert_eq!(reply.ids().unwrap().ids, nearest(&query(number), |_| true), "{protocol} {number}");
        }
    }
}

#[tokio::test]
async fn the_servers_errors_are_outcomes_with_codes() {
    let sandbox = sandbox().await;
    for (transport, protocol) in BOTH {
        let admin = connect(&sandbox.uri, transport).await;
        let cold = unique("cold");
        create(&admin, &cold).await;
        let connection = Connection::open(&endpoint(&sandbox.uri), protocol).await.unwrap();
        for (name, code) in [("nope", 100), (cold.as_str(), 101)] {
            let request = request(protocol, &template(protocol, name, None), 0);
            let reply = connection.send(request).await.unwrap().finish().await;
            assert_eq!((reply.outcome, reply.code, reply.hits), (Outcome::ClientError, Some(code), 0));
        }
    }
}

#[tokio::test]
async fn a_rate_limit_is_a_rejection_and_a_failure_a_server_error() {
    for (config, expected) in [
        (SandboxConfig { reject_rate: 1.0, ..SandboxConfig::default() }, (Outcome::Rejected, Some(8))),
        (SandboxConfig { error_rate: 1.0, ..SandboxConfig::default() }, (Outcome::ServerError, Some(65535))),
        (SandboxConfig { drop_rate: 1.0, ..SandboxConfig::default() }, (Outcome::Reset, None)),
    ] {
        let sandbox = Running::start(config).await;
        for (transport, protocol) in BOTH {
            let admin = connect(&sandbox.uri, transport).await;
            let name = unique("faults");
            seed(&admin, &name, &flat()).await;
            let connection = Connection::open(&endpoint(&sandbox.uri), protocol).await.unwrap();
            let request = request(protocol, &template(protocol, &name, None), 0);
            let reply = connection.send(request).await.unwrap().finish().await;
            assert_eq!((reply.outcome, reply.code), expected, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_a_client_error_of_grpc_status_16() {
    let config = SandboxConfig { token: Some("root:Milvus".to_owned()), ..SandboxConfig::default() };
    let sandbox = Running::start(config).await;
    let wrong = Endpoint::new(&sandbox.uri, Some("root:wrong".to_owned()), None).unwrap();
    let connection = Connection::open(&wrong, Protocol::RestV2).await.unwrap();
    let request = request(Protocol::RestV2, &template(Protocol::RestV2, "c", None), 0);
    let reply = connection.send(request).await.unwrap().finish().await;
    assert_eq!((reply.outcome, reply.code), (Outcome::ClientError, Some(1800)));
}

#[tokio::test]
async fn a_cancelled_request_leaves_the_connection_usable() {
    let config = SandboxConfig { latency: "fixed:300ms".parse().unwrap(), ..SandboxConfig::default() };
    let sandbox = Running::start(config).await;
    for (transport, protocol) in BOTH {
        let admin = connect(&sandbox.uri, transport).await;
        let name = unique("cancel");
        seed(&admin, &name, &flat()).await;
        let connection = Connection::open_with_sockets(&endpoint(&sandbox.uri), protocol, 2).await.unwrap();
        let template = template(protocol, &name, None);
        for number in 0..4 {
            let pending = connection.send(request(protocol, &template, number)).await.unwrap();
            let cut_off = tokio::time::timeout(Duration::from_millis(1), pending.finish()).await;
            assert!(cut_off.is_err(), "an answer of 300 ms did not come within 1 ms");
        }
        // Dropped before it is sent at all.
        drop(connection.send(request(protocol, &template, 4)));
        let reply = connection.send(request(protocol, &template, 5)).await.unwrap().finish().await;
        assert_eq!(reply.outcome, Outcome::Ok, "{protocol}");
        assert_eq!(reply.ids().unwrap().ids, nearest(&query(5), |_| true));
        assert!(!connection.is_closed());
    }
}

#[tokio::test]
async fn a_full_window_is_noticed_and_a_request_larger_than_it_arrives() {
    let sandbox = sandbox().await;
    let admin = connect(&sandbox.uri, Transport::Grpc).await;
    let name = unique("window");
    seed(&admin, &name, &flat()).await;
    let connection = Connection::open(&endpoint(&sandbox.uri), Protocol::Grpc).await.unwrap();
    let small = request(Protocol::Grpc, &template(Protocol::Grpc, &name, None), 0);
    let pending = connection.send(small).await.unwrap();
    assert_eq!(pending.waited_for(), Wait::Nothing);
    pending.finish().await;
    // 70,000 names in a filter: 500 KB, where a window holds 65,535 bytes.
    let ids: Vec<String> = (0..70_000).map(|id| (id + 100_000).to_string()).collect();
    let filter = format!("id not in [{}]", ids.join(","));
    let large = request(Protocol::Grpc, &template(Protocol::Grpc, &name, Some(&filter)), 0);
    assert!(large.len() > 400_000);
    let pending = connection.send(large).await.unwrap();
    assert_eq!(pending.waited_for(), Wait::Window);
    let reply = pending.finish().await;
    assert_eq!((reply.outcome, reply.hits), (Outcome::Ok, 10));
}

#[tokio::test]
async fn a_server_that_goes_away_resets_what_is_in_flight_and_closes_the_connection() {
    for (transport, protocol) in BOTH {
        let config = SandboxConfig { latency: "fixed:20s".parse().unwrap(), ..SandboxConfig::default() };
        let sandbox = Running::start(config.clone()).await;
        let uri = sandbox.uri.clone();
        let admin = connect(&uri, transport).await;
        let name = unique("restart");
        seed(&admin, &name, &flat()).await;
        let connection = Connection::open_with_sockets(&endpoint(&uri), protocol, 2).await.unwrap();
        let template = template(protocol, &name, None);
        let pending = connection.send(request(protocol, &template, 0)).await.unwrap();
        let (reply, ()) = tokio::join!(pending.finish(), sandbox.stop());
        assert_eq!(reply.outcome, Outcome::Reset, "{protocol}");
        eventually("the connection knows that it is closed", async || connection.is_closed()).await;
        let failure = connection.send(request(protocol, &template, 1)).await.unwrap_err();
        assert_eq!(failure, Failure::Refused);
        assert!(connection.reopen().await.is_err(), "nothing listens");

        let port = endpoint(&uri).port();
        let again = Running::start(SandboxConfig { port, ..SandboxConfig::default() }).await;
        let reopened = connection.reopen().await.unwrap();
        let reply = reopened.send(request(protocol, &template, 2)).await.unwrap().finish().await;
        assert_eq!(reply.code, Some(100), "a new sandbox has no collection");
        again.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_on_everybody_is_not_stormed() {
    // At once: requests meet sockets whose end is not known yet; after a pause it is.
    for pause in [Duration::ZERO, Duration::from_millis(5)] {
        hangs_up_and_is_not_stormed(pause).await;
    }
}

async fn hangs_up_and_is_not_stormed(pause: Duration) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let met = std::cell::Cell::new(0);
    let hang_up = async {
        loop {
            drop(listener.accept().await.unwrap());
            met.set(met.get() + 1);
        }
    };
    let ask = async {
        let connection = Connection::open_with_sockets(&endpoint(&uri), Protocol::RestV2, 4).await.unwrap();
        let template = template(Protocol::RestV2, "c", None);
        loop {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            // Refused, reset on its way or reset afterwards.
            if let Ok(pending) = connection.send(request(Protocol::RestV2, &template, 0)).await {
                assert_eq!(pending.finish().await.outcome, Outcome::Reset);
            }
        }
    };
    let both = async { tokio::join!(hang_up, ask) };
    assert!(tokio::time::timeout(Duration::from_secs(1), both).await.is_err(), "it goes on and on");
    assert!((4..60).contains(&met.get()), "{} connections in a second", met.get());
}

#[tokio::test]
async fn a_request_in_flight_is_small() {
    // It is moved a few times on its way, and there are thousands of them.
    let sandbox = sandbox().await;
    for (_, protocol) in BOTH {
        let connection = Connection::open(&endpoint(&sandbox.uri), protocol).await.unwrap();
        let seat = connection.seat().await.unwrap();
        let start = connection.start(seat, request(protocol, &template(protocol, "c", None), 0));
        let start_bytes = size_of_val(&start);
        let finish = start.await.unwrap().finish();
        let finish_bytes = size_of_val(&finish);
        println!("start {start_bytes} bytes, finish {finish_bytes}");
        assert!(start_bytes.max(finish_bytes) <= 800, "start {start_bytes} bytes, finish {finish_bytes}");
        finish.await;
    }
}

/// A server that speaks gRPC without knowing a method, until it says that it goes away.
async fn leaving_server() -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (leave, mut left) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let mut leaving = false;
        loop {
            tokio::select! {
                asked = connection.accept() => {
                    let Some(Ok((_, mut respond))) = asked else { return };
                    let unimplemented = http::Response::builder().header("grpc-status", "12").body(()).unwrap();
                    respond.send_response(unimplemented, true).unwrap();
                }
                _ = &mut left, if !leaving => {
                    leaving = true;
                    connection.graceful_shutdown();
                }
            }
        }
    });
    (uri, leave, serving)
}

#[tokio::test]
async fn a_connection_whose_server_goes_away_gives_a_request_back() {
    let (uri, leave, serving) = leaving_server().await;
    let connection = Connection::open(&endpoint(&uri), Protocol::Grpc).await.unwrap();
    let template = template(Protocol::Grpc, "c", None);
    let asked = request(Protocol::Grpc, &template, 0);
    let reply = connection.send(asked.clone()).await.unwrap().finish().await;
    assert_eq!(reply.code, Some(12));
    leave.send(()).unwrap();
    serving.await.unwrap();
    eventually("the connection hears of it", async || {
        let seat = connection.seat().await.unwrap();
        match connection.start(seat, asked.clone()).await {
            Ok(_) => false,
            Err(Unstarted { failure, request }) => {
                let request = request.expect("nothing of it was sent");
                assert_eq!(failure, Failure::Refused);
                assert_eq!((request.head, request.tail), (asked.head.clone(), asked.tail.clone()));
                true
            }
        }
    })
    .await;
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_any_more_breaks_the_connection_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(&format!("http://{}", listener.local_addr().unwrap()));
    let endpoint = endpoint.with_patience(Duration::from_millis(300));
    let connection = Connection::open_with_sockets(&endpoint, Protocol::RestV2, 1).await.unwrap();
    // It never reads: what its buffers do not take is not acknowledged, as by a host that is gone.
    let (_peer, _) = listener.accept().await.unwrap();
    let more_than_buffers_hold = bytes::Bytes::from(vec![b' '; 64 << 20]);
    let large = Request { head: more_than_buffers_hold, tail: bytes::Bytes::new() };
    let sent = tokio::time::timeout(Duration::from_secs(60), connection.send(large)).await;
    assert_eq!(sent.expect("it ends").unwrap_err(), Failure::Reset);
}

/// Takes no bytes for 400 ms, though it is there, and then all.
async fn standing_server(listener: tokio::net::TcpListener) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let mut began = None;
    loop {
        let Some(Ok((asked, mut respond))) = connection.accept().await else { return };
        let search = asked.uri().path().ends_with("Search");
        let began = *began.get_or_insert_with(tokio::time::Instant::now);
        tokio::spawn(async move {
            if search {
                tokio::time::sleep_until(began + Duration::from_millis(400)).await;
            }
            let mut body = asked.into_body();
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data.unwrap().len()).unwrap();
            }
            let unimplemented = http::Response::builder().header("grpc-status", "12").body(()).unwrap();
            respond.send_response(unimplemented, true).unwrap();
        });
    }
}

fn three_kilobytes() -> Request {
    Request { head: bytes::Bytes::from_static(&[0; 5]), tail: vec![0; 3_000].into() }
}

/// Sends 180 KB, where a connection's window holds 65,535 bytes, and asserts what those waited for that
/// had no room; the replies to all.
async fn more_than_a_window(connection: &Connection, waited_for: Wait) -> Vec<Reply> {
    let sends = join_all((0..60).map(|_| connection.send(three_kilobytes()))).await;
    let waits: Vec<Wait> = sends.iter().map(|sent| sent.as_ref().unwrap().waited_for()).collect();
    let at_once = waits.iter().filter(|wait| **wait == Wait::Nothing).count();
    assert!((15..=21).contains(&at_once), "{waits:?}");
    assert!(waits[at_once..].iter().all(|wait| *wait == waited_for), "{waits:?}");
    join_all(sends.into_iter().map(|sent| sent.unwrap().finish())).await
}

#[tokio::test]
async fn a_wait_for_a_server_that_stands_still_is_no_wait_for_a_window() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(standing_server(listener));
    let connection = Connection::open(&endpoint, Protocol::Grpc).await.unwrap();
    let replies = more_than_a_window(&connection, Wait::Server).await;
    assert!(replies.iter().all(|reply| reply.code == Some(12)));
    // It goes on: the next is as any other.
    let pending = connection.send(three_kilobytes()).await.unwrap();
    assert_eq!(pending.waited_for(), Wait::Nothing);
}

/// Takes no bytes, and is gone as soon as it has been asked so often.
async fn dying_server(listener: tokio::net::TcpListener, searches: usize) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let mut unread = Vec::new();
    while unread.len() < searches {
        let Some(Ok((asked, mut respond))) = connection.accept().await else { return };
        if asked.uri().path().ends_with("Search") {
            unread.push((asked, respond));
        } else {
            let unimplemented = http::Response::builder().header("grpc-status", "12").body(()).unwrap();
            respond.send_response(unimplemented, true).unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_dying_server_never_took_waited_in_vain() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(dying_server(listener, 60));
    let connection = Connection::open(&endpoint, Protocol::Grpc).await.unwrap();
    let replies = more_than_a_window(&connection, Wait::InVain).await;
    assert!(replies.iter().all(|reply| reply.outcome == Outcome::Reset), "{replies:?}");
}
