//! What is served at `/metrics`: one text for all who ask within a second, made aside from what serves probes, and few
//! answers at once. A text may have some MB, and whoever asks and does not read keeps it for as long as its connection lives.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::metrics::{Metrics, classic};

/// What scrapers may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Answers that are not taken yet.
    pub answers: usize,
    /// One more waits this long for the end of one of them.
    pub wait: Duration,
    /// How long a text is for whoever asks, and in memory.
    pub fresh: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answers: 8, wait: Duration::from_secs(2), fresh: Duration::from_secs(1) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Open,
    Classic,
}

impl Format {
    /// The one that is asked for: whoever does not ask for `OpenMetrics` may not understand it.
    fn asked(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let is_open = |value: &str| value.contains("application/openmetrics-text");
        if accepted.into_iter().any(is_open) { Self::Open } else { Self::Classic }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    fn text(self, metrics: &Metrics) -> Bytes {
        let open = metrics.encode();
        // What it has no use for of its room is given back.
        match self {
            Self::Open => open.into_boxed_str().into_boxed_bytes().into(),
            Self::Classic => classic(&open).into_boxed_str().into_boxed_bytes().into(),
        }
    }
}

/// A text, and in which turn of the process it was made.
struct Made {
    turn: u64,
    text: Bytes,
}

struct Scrapes {
    metrics: Arc<Metrics>,
    limits: Limits,
    answers: Arc<Semaphore>,
    /// Of each format.
    made: Mutex<[Option<Made>; 2]>,
}

/// A text on its way to somebody.
struct Answer {
    text: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// Serves `/metrics`.
pub fn router(metrics: Arc<Metrics>, limits: Limits) -> Router {
    let answers = Arc::new(Semaphore::new(limits.answers));
    let scrapes = Scrapes { metrics, limits, answers, made: Mutex::default() };
    Router::new().route("/metrics", get(scrape)).with_state(Arc::new(scrapes))
}

async fn scrape(State(scrapes): State<Arc<Scrapes>>, headers: HeaderMap) -> Response {
    let Limits { wait, .. } = scrapes.limits;
    let Ok(Ok(place)) = timeout(wait, scrapes.answers.clone().acquire_owned()).await else {
        let again = [(header::RETRY_AFTER, wait.as_secs().max(1).to_string())];
        return (StatusCode::SERVICE_UNAVAILABLE, again, "too many do not take their answers\n")
            .into_response();
    };
    let format = Format::asked(&headers);
    // Whoever goes away meanwhile has kept its place until the text is there, and leaves it to others.
    let answer = tokio::spawn(async move {
        let text = scrapes.text(format).await?;
        // The place is taken for as long as something of the answer waits to be sent.
        Some(Bytes::from_owner(Answer { text, _place: place }))
    });
    match answer.await {
        Ok(Some(text)) => ([(header::CONTENT_TYPE, format.media_type())], text).into_response(),
        Ok(None) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Scrapes {
    /// The text that there is, or a new one; nobody makes another one beside it.
    async fn text(self: &Arc<Self>, format: Format) -> Option<Bytes> {
        let mut made = self.made.lock().await;
        let made = &mut made[format as usize];
        let turn = self.metrics.turn();
        if let Some(made) = made.as_ref().filter(|made| made.turn == turn) {
            return Some(made.text.clone());
        }
        *made = None;
        let metrics = self.metrics.clone();
        let text = spawn_blocking(move || format.text(&metrics)).await.ok()?;
        *made = Some(Made { turn, text: text.clone() });
        let own = self.clone();
        tokio::spawn(async move {
            sleep(own.limits.fresh).await;
            own.made.lock().await[format as usize] = None;
        });
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::{
            Mutex as Std,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::telemetry::{
        fleet::{Fleet, PortfolioNow},
        port,
    };

    const LONG: Duration = Duration::from_secs(600);
    const LIMITS: Limits = Limits { answers: 2, wait: Duration::from_millis(200), fresh: LONG };
    /// It stands in several places, which is more than the buffers of both ends hold.
    const MUCH: usize = 6 * 1024 * 1024;

    /// Serves metrics of this much text beside a probe.
    async fn served(limits: Limits, worker: impl Fn() -> usize + Send + Sync + 'static) -> SocketAddr {
        let metrics = Arc::new(Metrics::default());
        metrics.ask(move |_| {
            let portfolio = PortfolioNow { portfolio: "x".repeat(worker()), ..PortfolioNow::default() };
            Fleet { portfolios: vec![portfolio], ..Fleet::default() }
        });
        served_by(metrics, limits).await
    }

    async fn served_by(metrics: Arc<Metrics>, limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("a bound port");
        let router = router(metrics, limits).route("/healthz", get(|| async { "ok\n" }));
        tokio::spawn(port::serve(listener, router, CancellationToken::new(), port::Bounds::default()));
        at
    }

    async fn asks(at: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.expect("it is served");
        let words = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(words.as_bytes()).await.expect("it listens");
        stream
    }

    /// What has to come.
    async fn in_time(what: impl Future<Output = ()>) {
        timeout(Duration::from_secs(30), what).await.expect("it comes");
    }

    fn body(answer: &str) -> &str {
        answer.split_once("\r\n\r\n").map(|(_, body)| body).expect("an answer")
    }

    async fn whole(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// The code of an answer, of which no more is read.
    async fn code(stream: &mut TcpStream) -> String {
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.expect("an answer");
        String::from_utf8_lossy(&begin[9..]).into_owned()
    }

    fn counted() -> (Arc<AtomicUsize>, impl Fn() -> usize + Clone) {
        let count = Arc::new(AtomicUsize::new(0));
        let own = count.clone();
        (count, move || own.fetch_add(1, Ordering::SeqCst))
    }

    #[tokio::test]
    async fn all_who_ask_within_a_second_share_one_text_and_the_next_gets_another() {
        let (count, next) = counted();
        let at = served(Limits { wait: LONG, ..LIMITS }, move || next() + 1).await;
        let crowd =
            futures::future::join_all((0..64).map(|_| async { whole(asks(at, "/metrics").await).await }));
        let answers = crowd.await;
        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")));
        assert!(answers.iter().all(|answer| body(answer) == body(&answers[0])));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let (count, next) = counted();
        let at = served(Limits { fresh: Duration::ZERO, ..LIMITS }, move || next() + 1).await;
        in_time(async {
            while count.load(Ordering::SeqCst) < 2 {
                whole(asks(at, "/metrics").await).await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_text_is_not_kept_for_longer_than_it_is_served() {
        let metrics = Arc::new(Metrics::default());
        let fresh = Duration::from_millis(1);
        let (limits, answers) = (Limits { fresh, ..LIMITS }, Arc::new(Semaphore::new(1)));
        let scrapes = Arc::new(Scrapes { metrics, limits, answers, made: Mutex::default() });
        for format in [Format::Open, Format::Classic] {
            let text = scrapes.text(format).await.expect("a text");
            // Two in this test alone: the one here and the one that is kept.
            in_time(async {
                while !text.is_unique() {
                    sleep(fresh).await;
                }
            })
            .await;
        }
    }

    #[tokio::test]
    async fn a_crowd_that_does_not_read_holds_few_texts_and_keeps_no_probe_waiting() {
        const CROWD: usize = 256 - 16;
        let (count, next) = counted();
        let much = move || {
            next();
            MUCH
        };
        let at = served(Limits { fresh: Duration::ZERO, ..LIMITS }, much).await;
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            crowd.push(asks(at, "/metrics").await);
        }
        let mut codes = Vec::new();
        for one in &mut crowd {
            codes.push(code(one).await);
            assert!(whole(asks(at, "/healthz").await).await.ends_with("ok\n"));
        }
        let of = |code: &str| codes.iter().filter(|one| *one == code).count();
        assert_eq!((of("200"), of("503")), (LIMITS.answers, CROWD - LIMITS.answers));
        let texts = count.load(Ordering::SeqCst);
        assert!(texts <= LIMITS.answers, "{texts} texts were made");
        // Whoever takes its answer, or goes away, leaves its place.
        drop(crowd);
        in_time(async { while code(&mut asks(at, "/metrics").await).await != "200" {} }).await;
    }

    #[tokio::test]
    async fn a_text_that_takes_long_keeps_no_probe_waiting_and_is_made_once_whoever_goes_away() {
        let (count, next) = counted();
        let (go, may) = mpsc::channel::<()>();
        let (may, released) = (Std::new(may), Arc::new(AtomicUsize::new(0)));
        let told = released.clone();
        let at = served(Limits { answers: 3, wait: LONG, ..LIMITS }, move || {
            next();
            // In vain, where it keeps the one thread that would tell.
            let answer = may.lock().expect("sound").recv_timeout(Duration::from_secs(5));
            told.fetch_add(usize::from(answer.is_ok()), Ordering::SeqCst);
            1
        })
        .await;
        for _ in 0..2 {
            drop(asks(at, "/metrics").await);
        }
        let stays = asks(at, "/metrics").await;
        while count.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(whole(asks(at, "/healthz").await).await.ends_with("ok\n"));
        go.send(()).expect("it waits");
        assert!(whole(stays).await.starts_with("HTTP/1.1 200"));
        assert_eq!((count.load(Ordering::SeqCst), released.load(Ordering::SeqCst)), (1, 1));
    }

    #[tokio::test]
    async fn what_was_told_of_a_fleet_ends_with_whoever_worked() {
        let metrics = Arc::new(Metrics::default());
        let at = served_by(metrics.clone(), LIMITS).await;
        let tells = async || whole(asks(at, "/metrics").await).await.contains("oldest_look");
        assert!(!tells().await);
        metrics.ask(|_| Fleet::default());
        assert!(tells().await);
        metrics.ask_nobody();
        assert!(!tells().await);
    }
}
