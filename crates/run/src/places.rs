//! The places in flight of one worker: futures that are polled when woken, in memory that is used
//! again, so that a request allocates nothing here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Index of a place.
pub(crate) type Place = u32;

/// Futures by place.
pub(crate) struct Places<F> {
    slots: Vec<Slot<F>>,
    limit: usize,
    /// Places without a future; the one left last is taken first, its memory being warm.
    free: Vec<Place>,
    woken: Arc<Woken>,
}

struct Slot<F> {
    /// Boxed once, filled and emptied in place.
    future: Pin<Box<Option<F>>>,
    waker: Waker,
}

/// Which places were woken since they were last looked at, one bit each.
struct Woken {
    words: Box<[AtomicU64]>,
    task: AtomicWaker,
}

struct PlaceWaker {
    woken: Arc<Woken>,
    place: usize,
}

impl Wake for PlaceWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let word = &self.woken.words[self.place / 64];
        word.fetch_or(1 << (self.place % 64), Ordering::AcqRel);
        self.woken.task.wake();
    }
}

impl<F: Future> Places<F> {
    /// Room for `count` futures, made as it is first used.
    pub(crate) fn new(count: u32) -> Self {
        let words = (count as usize).div_ceil(64);
        let woken =
            Woken { words: (0..words).map(|_| AtomicU64::new(0)).collect(), task: AtomicWaker::new() };
        let limit = count as usize;
        Self { slots: Vec::with_capacity(limit), limit, free: Vec::new(), woken: Arc::new(woken) }
    }

    /// The task that is woken when any place is; call it before looking at [`Places::woken`].
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.woken.task.register(cx.waker());
    }

    /// A free place, which is to be filled with [`Places::put`].
    ///
    /// # Panics
    /// When every place is taken.
    pub(crate) fn take(&mut self) -> Place {
        self.free.pop().unwrap_or_else(|| {
            let place = self.slots.len();
            assert!(place < self.limit, "whoever fills places counts them");
            let waker = Arc::new(PlaceWaker { woken: Arc::clone(&self.woken), place });
            self.slots.push(Slot { future: Box::pin(None), waker: Waker::from(waker) });
            place as Place
        })
    }

    /// Puts a future into a place that was taken.
    pub(crate) fn put(&mut self, place: Place, future: F) {
        self.slots[place as usize].future.set(Some(future));
    }

    /// Polls the future at `place`, and empties the place when it is done.
    pub(crate) fn poll(&mut self, place: Place) -> Poll<F::Output> {
        let slot = &mut self.slots[place as usize];
        // A waker that was kept by the transport may outlive its request.
        let Some(future) = slot.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let polled = future.poll(&mut Context::from_waker(&slot.waker));
        if polled.is_ready() {
            self.clear(place);
        }
        polled
    }

    /// Drops the future at `place`, which cancels it.
    pub(crate) fn clear(&mut self, place: Place) {
        self.slots[place as usize].future.set(None);
        self.free.push(place);
    }

    /// Moves the places that were woken to `into`.
    pub(crate) fn woken(&self, into: &mut Vec<Place>) {
        for (index, word) in self.woken.words.iter().take(self.slots.len().div_ceil(64)).enumerate() {
            // Reading first keeps the line shared while nothing happens.
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                into.push(index as Place * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn only_what_was_woken_is_polled_and_places_are_used_again() {
        let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
        let once = |wakers: &Rc<RefCell<Vec<Waker>>>| {
            let wakers = Rc::clone(wakers);
            let mut first = true;
            poll_fn(move |cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(7) }
            })
        };
        let mut places = Places::new(100);
        for expected in 0..100 {
            let place = places.take();
            places.put(place, once(&wakers));
            assert_eq!(place, expected);
            assert!(places.poll(place).is_pending());
        }
        let mut woken = Vec::new();
        places.woken(&mut woken);
        assert!(woken.is_empty());
        for index in [3, 99, 64, 3] {
            wakers.borrow()[index].wake_by_ref();
        }
        places.woken(&mut woken);
        assert_eq!(woken, [3, 64, 99]);
        assert_eq!(places.poll(64), Poll::Ready(7));
        assert!(places.poll(64).is_pending(), "an empty place has nothing to give");
        assert_eq!(places.take(), 64);
    }
}
