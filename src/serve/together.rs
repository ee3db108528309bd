//! A connection and the one request of it that the connection's own task works on. Most connections have one request at a time, or one
//! feed: with a task for each request, an answer is a task that is made, and then another that is woken, for it is the connection that
//! writes. Further requests have tasks of their own, so that a connection is not bound to one processor.
//!
//! Each of the two is polled only when it was woken, and waking one from the other wakes no task.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::Executor;

/// How often the two are looked at before other tasks have their turn: a request is taken in, and answered.
const ROUNDS_MAX: usize = 2;

type Work = dyn Future<Output = ()> + Send;

/// Where a connection brings its requests to.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Place>>);

#[derive(Default)]
enum Place {
    #[default]
    Free,
    Brought(Pin<Box<Work>>),
    Taken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Desk {
    fn execute(&self, request: F) {
        let mut place = self.place();
        match &*place {
            Place::Free => *place = Place::Brought(Box::pin(request)),
            Place::Brought(_) | Place::Taken => drop(tokio::spawn(request)),
        }
    }
}

impl Desk {
    /// What was brought.
    fn take(&self) -> Option<Pin<Box<Work>>> {
        let mut place = self.place();
        match std::mem::replace(&mut *place, Place::Taken) {
            Place::Brought(request) => Some(request),
            other => {
                *place = other;
                None
            }
        }
    }

    /// What was taken is done.
    fn clear(&self) {
        *self.place() = Place::Free;
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // Nothing under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two in one task. It ends when the connection does.
pub(super) struct Together<C> {
    bell: Arc<Bell>,
    connection: Part<C>,
    request: Part<Work>,
    desk: Desk,
}

impl<C: Future> Together<C> {
    /// A connection that brings its requests to `desk`.
    pub fn new(connection: C, desk: Desk) -> Together<C> {
        let bell = Arc::new(Bell {
            is_at_work: AtomicBool::new(false),
            task: Mutex::new(Waker::noop().clone()),
        });
        Together {
            connection: Part::new(Some(Box::pin(connection)), &bell),
            request: Part::new(None, &bell),
            bell,
            desk,
        }
    }

    /// The connection, to be told something. It is looked at in the next poll.
    pub fn connection(&mut self) -> Option<Pin<&mut C>> {
        self.connection.call.is_woken.store(true, Ordering::SeqCst);
        self.connection.future.as_mut().map(Pin::as_mut)
    }

    fn is_woken(&self) -> bool {
        self.connection.is_woken() || self.request.is_woken()
    }
}

impl<C: Future> Future for Together<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.bell.begin(context.waker());
        for _ in 0..ROUNDS_MAX {
            if this.request.poll().is_ready() {
                this.request.future = None;
                this.desk.clear();
            }
            // After the request, whose answer it writes.
            let polled = this.connection.poll();
            // In any case: a request has the desk, and must not be left on it.
            if let Some(request) = this.desk.take() {
                this.request.begin(request);
            }
            if polled.is_ready() {
                return polled;
            }
            if !this.is_woken() {
                this.bell.is_at_work.store(false, Ordering::SeqCst);
                // Who called before that has woken nobody.
                if !this.is_woken() {
                    return Poll::Pending;
                }
                this.bell.is_at_work.store(true, Ordering::SeqCst);
            }
        }
        this.bell.is_at_work.store(false, Ordering::SeqCst);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A future that is polled only when it was woken.
struct Part<F: ?Sized> {
    future: Option<Pin<Box<F>>>,
    call: Arc<Call>,
    waker: Waker,
}

impl<F: Future + ?Sized> Part<F> {
    fn new(future: Option<Pin<Box<F>>>, bell: &Arc<Bell>) -> Part<F> {
        let call = Arc::new(Call {
            is_woken: AtomicBool::new(future.is_some()),
            bell: bell.clone(),
        });
        Part {
            future,
            waker: Waker::from(call.clone()),
            call,
        }
    }

    fn begin(&mut self, future: Pin<Box<F>>) {
        self.future = Some(future);
        self.call.is_woken.store(true, Ordering::SeqCst);
    }

    /// Whether it is to be polled. What is done may be called still.
    fn is_woken(&self) -> bool {
        self.future.is_some() && self.call.is_woken.load(Ordering::SeqCst)
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let was_woken = self.call.is_woken.swap(false, Ordering::SeqCst);
        match self.future.as_mut().filter(|_| was_woken) {
            Some(future) => future.as_mut().poll(&mut Context::from_waker(&self.waker)),
            None => Poll::Pending,
        }
    }
}

/// Wakes one part.
struct Call {
    is_woken: AtomicBool,
    bell: Arc<Bell>,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if !self.bell.is_at_work.load(Ordering::SeqCst) {
            self.bell.task().wake_by_ref();
        }
    }
}

/// Wakes the task of both.
struct Bell {
    /// Set while the parts are looked at: then nobody needs to be woken, for they are looked at once more before the task rests.
    is_at_work: AtomicBool,
    task: Mutex<Waker>,
}

impl Bell {
    fn begin(&self, waker: &Waker) {
        self.is_at_work.store(true, Ordering::SeqCst);
        let mut task = self.task();
        if !task.will_wake(waker) {
            task.clone_from(waker);
        }
    }

    fn task(&self) -> MutexGuard<'_, Waker> {
        // Nothing under the lock panics.
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::TryRecvError;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A connection that brings what it receives.
    fn receiving(mut requests: mpsc::Receiver<Pin<Box<Work>>>, desk: Desk) -> Together<impl Future<Output = ()>> {
        let connection = {
            let desk = desk.clone();
            async move {
                while let Some(request) = requests.recv().await {
                    desk.execute(request);
                }
            }
        };
        Together::new(connection, desk)
    }

    #[test]
    fn only_request_is_answered_and_the_answer_written_without_waking_a_task() {
        let woken = Arc::new(Counting::default());
        let looked = Arc::new(Counting::default());
        let [reader, writer] = [(); 2].map(|()| Arc::new(Mutex::new(Waker::noop().clone())));
        let desk = Desk::default();
        let connection = {
            let (looked, writer, desk) = (looked.clone(), writer.clone(), desk.clone());
            poll_fn(move |context| {
                *writer.lock().unwrap() = context.waker().clone();
                // It calls whoever it knew, also once that is done.
                reader.lock().unwrap().wake_by_ref();
                if looked.0.fetch_add(1, Ordering::SeqCst) == 0 {
                    let (reader, writer) = (reader.clone(), writer.clone());
                    // No runtime: a task of its own could not be made.
                    desk.execute(poll_fn(move |context| {
                        *reader.lock().unwrap() = context.waker().clone();
                        writer.lock().unwrap().wake_by_ref();
                        Poll::Ready(())
                    }));
                }
                Poll::<()>::Pending
            })
        };
        let mut together = Together::new(connection, desk);
        let waker = Waker::from(woken.clone());
        let mut poll = || Pin::new(&mut together).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        let counts = || (looked.0.load(Ordering::SeqCst), woken.0.load(Ordering::SeqCst));
        assert_eq!(counts(), (2, 0), "looked at for the request and for its answer");
        assert!(poll().is_pending());
        assert_eq!(counts(), (2, 0), "nobody called");
        writer.lock().unwrap().wake_by_ref();
        assert_eq!(counts(), (2, 1));
        assert!(poll().is_pending());
        assert_eq!(counts(), (3, 1));
    }

    #[tokio::test]
    async fn further_requests_have_tasks_of_their_own() {
        let (bring, brought) = mpsc::channel::<Pin<Box<Work>>>(1);
        let serving = tokio::spawn(receiving(brought, Desk::default()));
        let (end, ended) = oneshot::channel::<()>();
        bring.send(Box::pin(async { drop(ended.await) })).await.unwrap();
        // The first one keeps the place, and the others are done all the same.
        for _ in 0..3 {
            let (done, is_done) = oneshot::channel();
            bring.send(Box::pin(async { done.send(()).unwrap() })).await.unwrap();
            is_done.await.unwrap();
        }
        end.send(()).unwrap();
        drop(bring);
        serving.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_calls_from_another_thread_is_heard() {
        let (bring, brought) = mpsc::channel::<Pin<Box<Work>>>(1);
        let serving = tokio::spawn(receiving(brought, Desk::default()));
        let (ask, asked) = std::sync::mpsc::sync_channel::<oneshot::Sender<()>>(1);
        // Without a rest, so that it often answers just when the task is about to rest.
        let answering = std::thread::spawn(move || {
            loop {
                match asked.try_recv() {
                    Ok(answer) => answer.send(()).unwrap(),
                    Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
        for _ in 0..50_000 {
            let (ask, (done, is_done)) = (ask.clone(), oneshot::channel());
            bring
                .send(Box::pin(async move {
                    let (answer, answered) = oneshot::channel();
                    ask.send(answer).unwrap();
                    answered.await.unwrap();
                    // Woken at once, while it is looked at.
                    let mut is_second = false;
                    poll_fn(|context| {
                        context.waker().wake_by_ref();
                        match std::mem::replace(&mut is_second, true) {
                            true => Poll::Ready(()),
                            false => Poll::Pending,
                        }
                    })
                    .await;
                    done.send(()).unwrap();
                }))
                .await
                .unwrap();
            is_done.await.unwrap();
        }
        drop((bring, ask));
        serving.await.unwrap();
        answering.join().unwrap();
    }
}
