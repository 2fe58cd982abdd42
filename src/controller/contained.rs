//! A panic is the matter of the object that it is about.

use std::{future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;

/// A reconcile ended in a panic.
#[derive(Debug)]
pub struct Panicked;

/// Keeps a panic to the object that it is about: it comes again after a pause of its own, and every other object
/// goes on. What a reconcile leaves half done is dropped with it, and every lock of ours ignores poison.
pub async fn contained<T, E: From<Panicked>>(reconcile: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    AssertUnwindSafe(reconcile).catch_unwind().await.unwrap_or_else(|_| Err(Panicked.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Told;

    impl From<Panicked> for Told {
        fn from(_: Panicked) -> Self {
            Self
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_object_that_it_is_about() {
        let poisoned = async {
            tokio::task::yield_now().await;
            if true { panic!("poisoned") } else { Ok(()) }
        };
        let ended: Result<(), Told> = contained(poisoned).await;
        assert!(matches!(ended, Err(Told)));
        let sound: Result<u8, Told> = contained(async { Ok(7) }).await;
        assert!(matches!(sound, Ok(7)));
    }
}
