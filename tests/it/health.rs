//! The health server by itself: what it says, and that it ends.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use whatsapp_operator::telemetry::{self, health::Health, metrics::Metrics};

use crate::rig::http_get;

#[tokio::test]
async fn the_health_server_ends_when_told_whoever_keeps_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("a bound port");
    let health = Health::waiting_for([("cache", "the cache is not filled")]);
    let over = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let serving = tokio::spawn(telemetry::serve(listener, health.clone(), metrics, over.clone()));

    let says = async |path: &str| http_get(at, path).await.expect("an answer");
    assert!(says("/readyz").await.starts_with("HTTP/1.1 503"));
    health.holds("cache");
    assert!(says("/readyz").await.starts_with("HTTP/1.1 200"));
    health.missing_part("stop", "the operator is stopping");
    let stopping = says("/readyz").await;
    assert!(stopping.starts_with("HTTP/1.1 503") && stopping.ends_with("the operator is stopping\n"));
    assert!(says("/healthz").await.starts_with("HTTP/1.1 200"), "it lives until it has stopped");

    // One that asked and keeps the connection, one that never asks, and one that stops in the middle.
    let mut kept = TcpStream::connect(at).await.expect("it is served");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it listens");
    assert!(kept.read(&mut [0; 256]).await.expect("an answer") > 0);
    let silent = TcpStream::connect(at).await.expect("it is served");
    let mut half = TcpStream::connect(at).await.expect("it is served");
    half.write_all(b"GET /healthz HTTP/1.1\r\nHo").await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(100)).await;

    over.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert!(http_get(at, "/healthz").await.is_none(), "nobody is served any more");
    drop((kept, silent, half));
}

/// Kubelets and scrapers come by one family or the other, and a cluster may have both.
#[tokio::test]
async fn every_address_is_one_of_both_families() {
    let listener = telemetry::listen("[::]:0".parse().expect("an address")).await.expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    let over = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    tokio::spawn(telemetry::serve(listener, Health::waiting_for([]), metrics, over.clone()));
    let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
    for family in ["127.0.0.1", "[::1]"].into_iter().filter(|family| has_ipv6 || !family.starts_with('[')) {
        let reply = http_get(format!("{family}:{port}").parse().expect("an address"), "/healthz").await;
        assert!(reply.is_some_and(|reply| reply.starts_with("HTTP/1.1 200")), "{family}");
    }
    over.cancel();

    let taken = telemetry::listen("[::]:0".parse().expect("an address")).await.expect("a free port");
    let again = telemetry::listen(taken.local_addr().expect("a bound port")).await;
    assert_eq!(again.expect_err("it is taken").kind(), std::io::ErrorKind::AddrInUse);
}
