//! The process around a command: how it waits, and how it learns that somebody wants it to end.

use std::{fmt::Display, pin::pin};

use futures::future::select_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::{Ending, Problem};

/// Runs a command that waits for something, on this thread.
///
/// # Errors
///
/// With what went wrong in the command, or when the machine has no means to wait.
pub fn block_on(command: impl Future<Output = Ending>) -> Ending {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("cannot start: {error}")))?
        .block_on(command)
}

/// Waits for work, beside which tasks have to go on. Where one of them ends, the work is asked to stop and what it began ends first.
///
/// # Errors
///
/// With what went wrong in the work, or the name of the task that ended.
pub async fn beside<E: Display>(
    work: impl Future<Output = Result<(), E>>,
    tasks: &mut [(&'static str, JoinHandle<()>)],
    stop: &CancellationToken,
) -> Result<(), Problem> {
    let mut work = pin!(work);
    let names: Vec<&str> = tasks.iter().map(|(name, _)| *name).collect();
    let fallen = select_all(tasks.iter_mut().map(|(_, task)| task));
    tokio::select! {
        ended = &mut work => ended.map_err(|error| Problem::new(error.to_string())),
        (ended, at, _) = fallen => {
            tracing::error!(task = names[at], panicked = ended.is_err(), "ended by itself");
            stop.cancel();
            // It ends because of this task, however it ends.
            let _ = work.await;
            Err(Problem::new(format!("{} ended by itself", names[at])).next("start the operator again; the log says more"))
        }
    }
}

/// Takes as many descriptors as the machine allows: each call to Meta that is not answered holds one, and many machines give a
/// process 1,024 until it asks for more.
///
/// # Errors
///
/// If the machine does not let it; then it works with as many as it has.
pub fn take_descriptors() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum {
            setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        }
    }
    Ok(())
}

/// Tells of each SIGUSR1 with `true` and of each SIGUSR2 with `false`, as long as the process lives.
pub async fn detail_asked(told: impl Fn(bool)) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (signal(SignalKind::user_defined1()), signal(SignalKind::user_defined2()));
        let (Ok(mut more), Ok(mut less)) = signals else { return };
        loop {
            tokio::select! {
                _ = more.recv() => told(true),
                _ = less.recv() => told(false),
            }
        }
    }
}

/// Resolves when somebody wants the process to end: Ctrl-C, or SIGTERM.
pub async fn stop_asked() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the signal ends the process, which is what was asked for.
    let _ = interrupt.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn work_until(stop: CancellationToken) -> Result<(), String> {
        stop.cancelled().await;
        Err("what was begun has ended".into())
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_beside_the_work_ends_it_in_order_and_is_named() {
        for panics in [false, true] {
            let stop = CancellationToken::new();
            let other = tokio::spawn(async move { assert!(!panics, "it panics") });
            let mut tasks = [("the port", tokio::spawn(std::future::pending())), ("the other", other)];
            let ended = beside(work_until(stop.clone()), &mut tasks, &stop).await;
            let problem = ended.expect_err("it is no success").to_string();
            assert!(problem.contains("the other ended by itself"), "{problem}");
            assert!(stop.is_cancelled());
        }
    }

    #[tokio::test]
    async fn how_the_work_ends_is_told_while_the_tasks_beside_it_go_on() {
        let stop = CancellationToken::new();
        let mut tasks = [("the port", tokio::spawn(std::future::pending()))];
        assert!(beside(async { Ok::<(), String>(()) }, &mut tasks, &stop).await.is_ok());
        stop.cancel();
        let ended = beside(work_until(stop.clone()), &mut tasks, &stop).await;
        assert!(ended.expect_err("it failed").to_string().contains("what was begun has ended"));
        tasks[0].1.abort();
    }
}
