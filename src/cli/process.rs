//! The process around a command: how it waits, and how it learns that somebody wants it to end.

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
