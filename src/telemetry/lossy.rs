//! Lines on their way out, which nobody waits for: a queue with bounds, and a thread of its own that writes. What finds no
//! place, and what cannot be written, is lost and counted.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const MOST_LINES: usize = 4_096;
/// Bytes that may wait.
const MOST_BYTES: usize = 1024 * 1024;
/// What waits at the end gets this long.
const LAST_LINES: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Of all lines.
    bytes: usize,
    /// One is being written.
    is_writing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    came: Condvar,
    went: Condvar,
    lost: Counter,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line if there is room. It never waits for whoever writes.
    fn put(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.lines.len() >= MOST_LINES || queue.bytes + line.len() > MOST_BYTES {
            self.lost.inc();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        drop(queue);
        self.came.notify_one();
    }

    /// Writes one line after the other, as long as the process lives.
    fn write_all(&self, mut to: impl Write) {
        let mut queue = self.queue();
        loop {
            let Some(line) = queue.lines.pop_front() else {
                self.went.notify_all();
                queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.bytes -= line.len();
            queue.is_writing = true;
            drop(queue);
            if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                self.lost.inc();
            }
            queue = self.queue();
            queue.is_writing = false;
        }
    }
}

/// Takes lines. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Lossy(Arc<Shared>);

impl Lossy {
    /// Begins to write what it is given.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn new(to: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || own.write_all(to))?;
        Ok(Self(shared))
    }

    /// Counts the lines that were lost.
    pub fn lost(&self) -> Counter {
        self.0.lost.clone()
    }

    /// Waits until everything is written, but not for somebody who does not read.
    pub fn settle(&self) {
        let waits = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        // Whether it was in time changes nothing any more.
        let _ = self.0.went.wait_timeout_while(self.0.queue(), LAST_LINES, waits);
    }
}

impl Write for Lossy {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lossy {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// Takes nothing until it is told to, and then tells what it took; or refuses everything.
    struct Slow {
        may: mpsc::Receiver<()>,
        took: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.took.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Lossy, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let ((go, may), (took, taken)) = (mpsc::channel(), mpsc::channel());
        (Lossy::new(Slow { may, took }).expect("a thread"), go, taken)
    }

    /// One line is with the writer, so the queue itself is empty.
    fn hold_up(lossy: &mut Lossy) {
        lossy.write_all(b"first\n").expect("it takes everything");
        while !lossy.0.queue().is_writing {
            thread::yield_now();
        }
    }

    #[test]
    fn what_waits_is_bounded_by_lines_and_what_is_over_is_counted() {
        let (mut lossy, go, taken) = slow();
        hold_up(&mut lossy);
        for _ in 0..MOST_LINES + 7 {
            lossy.write_all(b"next\n").expect("it takes everything");
        }
        assert_eq!(lossy.lost().get(), 7);
        for _ in 0..=MOST_LINES {
            go.send(()).expect("it writes");
        }
        lossy.settle();
        assert_eq!(taken.try_iter().count(), MOST_LINES + 1, "what waited is written");
        assert_eq!(lossy.lost().get(), 7);
    }

    #[test]
    fn what_waits_is_bounded_by_bytes() {
        let (mut lossy, go, taken) = slow();
        hold_up(&mut lossy);
        lossy.write_all(&vec![b'x'; MOST_BYTES - 1]).expect("it takes everything");
        lossy.write_all(b"xx").expect("it takes everything");
        lossy.write_all(b"x").expect("it takes everything");
        assert_eq!(lossy.lost().get(), 1, "the one that had no place");
        for _ in 0..3 {
            go.send(()).expect("it writes");
        }
        lossy.settle();
        assert_eq!(taken.try_iter().map(|line| line.len()).collect::<Vec<_>>(), [6, MOST_BYTES - 1, 1]);
        lossy.write_all(b"later").expect("there is room again");
        assert_eq!(lossy.lost().get(), 1);
    }

    #[test]
    fn whoever_does_not_read_keeps_nobody() {
        let (mut lossy, _go, _taken) = slow();
        hold_up(&mut lossy);
        let begun = Instant::now();
        lossy.settle();
        assert!(begun.elapsed() >= LAST_LINES && begun.elapsed() < 3 * LAST_LINES);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_is_tried() {
        let (mut lossy, go, taken) = slow();
        drop(taken);
        for _ in 0..3 {
            lossy.write_all(b"a line\n").expect("it takes everything");
            go.send(()).expect("it tries");
        }
        lossy.settle();
        assert_eq!(lossy.lost().get(), 3);
    }
}
