//! The pace at which a session makes new connections, over all torrents: so
//! many a second (`connection_speed`), and so many that wait for an answer at
//! once (`half_open_limit`). A tenth of these places is kept for peers that the
//! game named, so that they need not wait behind a crowd that never answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::settings::Settings;
use torrent_core::torrent::Haste;

/// Hands out moments at which to dial.
#[derive(Debug, Default)]
pub(crate) struct ConnectLimiter {
    next: Mutex<Option<Instant>>,
    half_open: Mutex<i64>,
    closed: Notify,
}

/// One of the connections that may be half open; gives its place up when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct HalfOpen<'a>(&'a ConnectLimiter);

impl Drop for HalfOpen<'_> {
    fn drop(&mut self) {
        *self.0.half_open.lock() -= 1;
        // Who may go next depends on what it is for.
        self.0.closed.notify_waiters();
    }
}

/// How many may go at once after a quiet time.
const BURST: u32 = 10;

impl ConnectLimiter {
    /// Waits for a place among the half-open connections, and for its turn if
    /// it has to have one.
    pub(crate) async fn acquire(
        &self,
        settings: &mut watch::Receiver<Arc<Settings>>,
        haste: Haste,
    ) -> HalfOpen<'_> {
        let place = loop {
            let closed = self.closed.notified();
            let all = settings.borrow_and_update().half_open_limit;
            let kept = if haste == Haste::Named { 0 } else { all / 10 };
            let limit = all - kept;
            if let Some(place) = self.enter(limit) {
                break place;
            }
            tokio::select! {
                () = closed => {}
                // The limit may be another now.
                _ = settings.changed() => {}
            }
        };
        if haste != Haste::First {
            let speed = settings.borrow().connection_speed as u32;
            let wait = self.reserve(Instant::now(), speed.max(1));
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        place
    }

    fn enter(&self, limit: i64) -> Option<HalfOpen<'_>> {
        let mut half_open = self.half_open.lock();
        (limit == 0 || *half_open < limit).then(|| {
            *half_open += 1;
            HalfOpen(self)
        })
    }

    fn reserve(&self, now: Instant, per_second: u32) -> Duration {
        let step = Duration::from_secs(1) / per_second;
        let mut next = self.next.lock();
        let earliest = now.checked_sub(step * BURST).unwrap_or(now);
        let slot = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(slot + step);
        slot.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_step() {
        let connect_limiter = ConnectLimiter::default();
        let now = Instant::now();
        for _ in 0..=BURST {
            assert_eq!(connect_limiter.reserve(now, 10), Duration::ZERO);
        }
        assert_eq!(connect_limiter.reserve(now, 10), Duration::from_millis(100));
        assert_eq!(connect_limiter.reserve(now, 10), Duration::from_millis(200));
        let later = now + Duration::from_secs(5);
        assert_eq!(connect_limiter.reserve(later, 10), Duration::ZERO);
    }

    #[tokio::test]
    async fn places_are_limited_and_come_free() {
        let limit = |half_open_limit| {
            Arc::new(Settings {
                half_open_limit,
                ..Settings::default()
            })
        };
        let (sender, receiver) = watch::channel(limit(2));
        let connect_limiter = ConnectLimiter::default();
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| receiver.clone());
        let a = connect_limiter.acquire(&mut first, Haste::First).await;
        let b = connect_limiter.acquire(&mut second, Haste::First).await;
        let mut waiting = Box::pin(connect_limiter.acquire(&mut third, Haste::First));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(a);
        let c = waiting.await;
        let mut waiting = Box::pin(connect_limiter.acquire(&mut fourth, Haste::First));
        assert!(waiting.as_mut().now_or_never().is_none());
        sender.send_replace(limit(3));
        let d = waiting.await;
        let mut others = [(); 9].map(|()| receiver.clone());
        sender.send_replace(limit(0));
        let mut places = Vec::new();
        for other in &mut others {
            places.push(connect_limiter.acquire(other, Haste::First).await);
        }
        assert_eq!(*connect_limiter.half_open.lock(), 12, "no limit");
        drop((b, c, d, places));
        assert_eq!(*connect_limiter.half_open.lock(), 0);
    }

    #[tokio::test]
    async fn a_crowd_does_not_take_the_places_of_those_that_were_named() {
        let settings = Settings {
            half_open_limit: 10,
            ..Settings::default()
        };
        let (_sender, receiver) = watch::channel(Arc::new(settings));
        let connect_limiter = ConnectLimiter::default();
        let slot = |haste| {
            let (connect_limiter, mut receiver) = (&connect_limiter, receiver.clone());
            Box::pin(async move { connect_limiter.acquire(&mut receiver, haste).await })
        };
        let mut crowd = Vec::new();
        for _ in 0..9 {
            crowd.push(slot(Haste::First).await);
        }
        let mut waiting = slot(Haste::First);
        assert!(waiting.as_mut().now_or_never().is_none());
        let named = slot(Haste::Named).await;
        let mut second = slot(Haste::Named);
        assert!(second.as_mut().now_or_never().is_none());
        // Both wait: the one that may go is not missed.
        drop(named);
        assert!(waiting.as_mut().now_or_never().is_none());
        let second = second.await;
        drop(second);
        drop(crowd.pop());
        waiting.await;
    }
}
