//! The port that probes and scrapers come to: whoever else comes, however many and however slowly, takes little and soon
//! makes room.

use std::{collections::VecDeque, io, pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Room for the head of a request, which is all that is read of one.
const MOST_HEAD: usize = 16 * 1024;
/// What the system refuses now it may give a little later.
const PAUSE: Duration = Duration::from_millis(100);
/// Of so many connections that have ended something may be kept, however few are open.
const SPARE: usize = 16;
/// Answers that are on their way when it is over get this long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What callers may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once. One more ends the oldest: a probe is new and soon answered, whoever keeps a place is old.
    pub connections: usize,
    /// From the first word, or from the last answer, to the end of a head.
    pub head: Duration,
    /// From the start of a connection to its last request.
    pub life: Duration,
    /// From there to the end of its last answer.
    pub answer: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            life: Duration::from_secs(30),
            answer: Duration::from_secs(10),
        }
    }
}

/// Serves until `over`, and ends soon after it.
pub async fn serve(listener: TcpListener, router: Router, over: CancellationToken, bounds: Bounds) {
    let mut open = Connections::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = over.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                open.make_room(bounds.connections).await;
                open.add(answer(stream, router.clone(), over.clone(), bounds));
            }
            Err(error) if is_of_the_caller(&error) => {}
            Err(error) => {
                debug!(%error, "no connection can be taken");
                // What one of the callers held is free now. Otherwise others hold it, and time alone helps.
                if !open.end_oldest().await {
                    sleep(PAUSE).await;
                }
            }
        }
    }
    // Who asks nothing more would otherwise keep the process.
    let _ = timeout(LAST_ANSWERS, open.tasks.join_all()).await;
}

fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    oldest_first: VecDeque<AbortHandle>,
}

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.oldest_first.push_back(self.tasks.spawn(connection));
        // Whatever is kept of a connection that has ended keeps its memory.
        if self.oldest_first.len() > 2 * self.tasks.len() + SPARE {
            self.drop_ended();
        }
    }

    fn drop_ended(&mut self) {
        self.oldest_first.retain(|connection| !connection.is_finished());
    }

    /// Whether there was one. It has ended then, and was not only told to.
    async fn end_oldest(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        self.drop_ended();
        let Some(oldest) = self.oldest_first.pop_front() else {
            return false;
        };
        oldest.abort();
        self.tasks.join_next().await.is_some()
    }

    async fn make_room(&mut self, most: usize) {
        while self.tasks.try_join_next().is_some() {}
        while self.tasks.len() >= most && self.end_oldest().await {}
    }
}

async fn answer(stream: TcpStream, router: Router, over: CancellationToken, bounds: Bounds) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MOST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // Whatever ends a connection, it concerns whoever was at its other end.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = over.cancelled() => {}
        () = sleep(bounds.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(bounds.answer, connection).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::Instant,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(300);
    const BOUNDS: Bounds = Bounds { connections: 8, head: LONG, life: LONG, answer: LONG };
    /// More than the buffers of both ends hold.
    const MUCH: usize = 64 * 1024 * 1024;

    async fn served(bounds: Bounds) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("a bound port");
        let router = Router::new()
            .route("/", get(|| async { "ok\n" }))
            .route("/much", get(|| async { "x".repeat(MUCH) }));
        tokio::spawn(serve(listener, router, CancellationToken::new(), bounds));
        at
    }

    async fn says(at: SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.expect("it is served");
        stream.write_all(words.as_bytes()).await.expect("it listens");
        stream
    }

    /// What comes until the other end closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        // Reset or closed, it is over.
        let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("it closes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn is_answered(at: SocketAddr) {
        let mut probe = says(at, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let answer = rest(&mut probe).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    }

    #[tokio::test]
    async fn the_oldest_makes_room_for_the_next() {
        let at = served(BOUNDS).await;
        let mut halves = Vec::new();
        for _ in 0..3 * BOUNDS.connections {
            halves.push(says(at, "GET / HT").await);
            is_answered(at).await;
        }
        assert_eq!(rest(&mut halves[0]).await, "", "the first was ended");
        let mut last = halves.pop().expect("the last");
        last.write_all(b"TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("it still listens");
        assert!(rest(&mut last).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn of_connections_that_have_ended_little_is_kept() {
        let mut open = Connections::default();
        let (_held, hold) = tokio::sync::oneshot::channel::<()>();
        open.add(async { drop(hold.await) });
        for _ in 0..3_000 {
            open.make_room(BOUNDS.connections).await;
            open.add(async {});
            tokio::task::yield_now().await;
        }
        let kept = open.oldest_first.len();
        assert!(kept <= 2 * BOUNDS.connections + SPARE + 1, "{kept}");
        assert!(open.end_oldest().await && open.oldest_first.is_empty(), "the one that is open is found");
    }

    #[tokio::test]
    async fn whoever_does_not_end_a_head_is_ended() {
        let at = served(Bounds { head: SHORT, ..BOUNDS }).await;
        for begun in ["", "GET / HTTP/1.1\r\nHost", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let begins = Instant::now();
            let answered = rest(&mut says(at, begun).await).await;
            assert_eq!(
                answered.starts_with("HTTP/1.1 200"),
                begun.ends_with("\r\n\r\n"),
                "{begun}: {answered}"
            );
            assert!(begins.elapsed() >= SHORT, "{begun}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_asks_and_asks_ends_between_two_answers() {
        let at = served(Bounds { life: SHORT, ..BOUNDS }).await;
        let begins = Instant::now();
        let mut kept = says(at, "").await;
        let mut answer = [0; 1024];
        loop {
            // Refused when the other end is closed already.
            if kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.is_err() {
                break;
            }
            match kept.read(&mut answer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => assert!(String::from_utf8_lossy(&answer[..length]).ends_with("ok\n")),
            }
            assert!(begins.elapsed() < Duration::from_secs(10), "it goes on and on");
            sleep(Duration::from_millis(10)).await;
        }
        assert!(begins.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn whoever_does_not_take_the_answer_is_ended() {
        let at = served(Bounds { life: SHORT, answer: SHORT, ..BOUNDS }).await;
        let mut slow = says(at, "GET /much HTTP/1.1\r\nHost: a\r\n\r\n").await;
        sleep(4 * SHORT).await;
        let answer = rest(&mut slow).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.len() < MUCH, "{} bytes", answer.len());
    }

    #[tokio::test]
    async fn a_body_is_not_waited_for_and_a_head_has_its_bound() {
        let at = served(BOUNDS).await;
        let mut body = says(at, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx").await;
        let mut answer = [0; 1024];
        let length = timeout(Duration::from_secs(5), body.read(&mut answer)).await.expect("in time");
        assert!(answer[..length.expect("an answer")].starts_with(b"HTTP/1.1 200"));
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", "x".repeat(2 * MOST_HEAD));
        let refused = rest(&mut says(at, &head).await).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    }
}
