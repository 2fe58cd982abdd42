//! The binary: installs the crypto provider, reads the arguments, dispatches; nothing else.

// One place prints, and it writes out what a terminal would obey: `cli::render`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::{process::ExitCode, sync::Arc};

use tokio::runtime;
use tokio_util::sync::CancellationToken;

use whatsapp_operator::{
    cli::{
        self,
        exit::{Ending, Exit, Problem},
        process::{beside, detail_asked, stop_asked, take_descriptors},
        run::{LogFormat, RunArgs},
    },
    cluster, controller,
    meta::{client::Meta, counter::Stats, port::SystemClock, settings::MayWrite, transport},
    run::may_work::MayWork,
    telemetry::{
        self,
        health::Health,
        log,
        metrics::{Calls, Durations, Metrics},
        trace::Traces,
    },
};

/// Gives back what a burst of work took. The chart tells it how, in `_RJEM_MALLOC_CONF`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    transport::install_crypto();
    cli::dispatch(std::env::args_os(), operate).into()
}

/// Runs the operator until it is asked to stop.
fn operate(args: RunArgs) -> Ending {
    let format = match args.log_format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("cannot start: {error}")))?;
    let pod = std::env::var("HOSTNAME").ok();
    let traced = args.traces_endpoint.as_ref();
    let traces = traced.map(|to| Traces::to(to, pod.as_deref(), runtime.handle().clone())).transpose();
    // Dropped before the runtime, which still sends what waits.
    let traces = traces.map_err(|error| Problem::new(format!("cannot trace: {error}")))?;
    let shown =
        log::Options { format, filter: args.log_level.clone(), phone_numbers: args.log_phone_numbers };
    let logs =
        log::init(&shown, traces.as_ref()).map_err(|error| Problem::new(format!("cannot start: {error}")))?;
    let (level, lost) = (logs.level(), logs.lost());
    if let Err(error) = take_descriptors() {
        tracing::warn!(%error, "the process keeps the number of descriptors that it was given");
    }
    // Not on the stack of the main thread: what work takes of a stack it keeps, and the workers have theirs anyway.
    let working = runtime.spawn(async move {
        tokio::spawn(detail_asked(move |more| if more { level.debug() } else { level.as_asked() }));
        let (stop, over) = (CancellationToken::new(), CancellationToken::new());
        // Before anybody can see that it runs.
        let asked = stop.clone();
        let signals = tokio::spawn(async move {
            stop_asked().await;
            asked.cancel();
            std::future::pending::<()>().await;
        });
        let at_first = if args.leader_election { MayWork::No } else { MayWork::Always };
        let (told, may_work) = tokio::sync::watch::channel(at_first);
        let asked = may_work.clone();
        let may_write = MayWrite::when(move || asked.borrow().holds());
        let meta = Meta::new(args.settings(may_write), Arc::new(SystemClock))
            .map_err(|error| Problem::new(format!("cannot reach Meta: {error}")))?;
        let client = cluster::connect().await.map_err(|error| {
            Problem::new(format!("no cluster: {error}"))
                .next("run it in a pod with a ServiceAccount, or point KUBECONFIG at a kubeconfig")
        })?;
        let listener = telemetry::listen(args.health_listen).await.map_err(|error| {
            Problem::new(format!("cannot listen on {}: {error}", args.health_listen))
                .next("choose another address with --health-listen")
        })?;
        let health = Health::waiting_for([]);
        let counted = meta.clone();
        let metrics = Metrics::new(args.metrics_detail()).with_calls(move || calls(counted.stats()));
        let metrics = Arc::new(metrics.with_lost_lines(lost));
        let port = tokio::spawn(telemetry::serve(listener, health.clone(), metrics.clone(), over.clone()));
        let process = controller::random().map_err(|error| Problem::new(error.to_string()))?;
        let own_namespace = args.leader_election_namespace.as_deref().unwrap_or(client.default_namespace());
        let own_namespace = own_namespace.to_owned();
        let election = args.leader_election.then(|| {
            let lease = (&*own_namespace, &*args.lease_name());
            let holder = (pod.as_deref().unwrap_or("whatsapp-operator"), process);
            controller::Election::new(lease, holder, args.leader_election_lease_duration)
        });
        let options = controller::Options {
            watched: controller::Watched {
                namespaces: args.namespaces.clone(),
                selector: args.watch_label_selector.clone().unwrap_or_default(),
            },
            own_namespace: Some(own_namespace),
            limits: args.limits(),
            concurrency: args.concurrency,
            instance: pod,
            may_work,
            election: election.map(|election| (election, told)),
            health,
            metrics,
        };
        let working = controller::run(client, options, meta, Arc::new(SystemClock), stop.clone());
        let mut tasks = [("the port of health and metrics", port), ("waiting for signals", signals)];
        let ended = beside(working, &mut tasks, &stop).await;
        over.cancel();
        let [(_, port), (_, signals)] = tasks;
        signals.abort();
        // Health is served to the end, so that a slow stop does not look like a crash. How it ends changes nothing.
        if !port.is_finished() {
            let _ = port.await;
        }
        ended?;
        Ok(Exit::Done)
    });
    runtime.block_on(working).unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Err(Problem::new(error.to_string())),
    })
}

/// What the client counted, in words and numbers.
fn calls(stats: Stats) -> Calls {
    let endings = stats.counts.into_iter();
    let refusals = stats.refusals.into_iter();
    let durations = stats.times.into_iter();
    Calls {
        endings: endings.map(|one| (one.edge.as_str(), one.ending.as_str(), one.calls)).collect(),
        refusals: refusals
            .map(|one| {
                let code = one.code.map_or_else(|| "other".to_owned(), |code| code.to_string());
                (one.edge.as_str(), code, one.calls)
            })
            .collect(),
        durations: durations
            .map(|one| Durations {
                edge: one.edge.as_str(),
                sum: one.sum.as_secs_f64(),
                buckets: one
                    .buckets
                    .into_iter()
                    .map(|(end, calls)| (end.map_or(f64::INFINITY, |end| end.as_secs_f64()), calls))
                    .collect(),
            })
            .collect(),
    }
}
