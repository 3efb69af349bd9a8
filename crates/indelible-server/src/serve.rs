//! The listener: connections within their bounds, and an end that loses nothing.
//!
//! Stopping: no new connections; requests under way are finished, as long as the deadline allows;
//! then what is durable is published and the log is closed.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::HttpService;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use indelible_store::{Error, Kind, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::app::{App, Parts};
use crate::feed::Feed;
use crate::guard::Peer;
use crate::router::router;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::stream::{Head, Patient};
use crate::tail;
use crate::waiting::Waiter;
use crate::{accesses, attachments, books, exports, keys, publisher, verifier};

const WORKERS: usize = 2;
/// Connections that may wait to be taken, as far as the system allows.
const BACKLOG: i32 = 4_096;
/// How long the listener rests when a connection cannot be had, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may take to give way.
const GIVE_WAY: Duration = Duration::from_millis(200);
/// What a connection too many is told.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// Tells a server to stop, and its threads that it does.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    stopped: AtomicBool,
    lock: Mutex<()>,
    threads: Condvar,
    tasks: Notify,
}

impl Stop {
    /// Stops it; again, nothing.
    pub fn stop(&self) {
        let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.threads.notify_all();
        self.0.tasks.notify_waiters();
    }

    /// Whether it was told to.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Waits on this thread; whether it is to stop.
    pub fn wait(&self, at_most: Duration) -> bool {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .threads
            .wait_timeout_while(guard, at_most, |()| !self.is_stopped());
        drop(waited);
        self.is_stopped()
    }

    pub(crate) async fn stopped(&self) {
        loop {
            let notified = self.0.tasks.notified();
            if self.is_stopped() {
                return;
            }
            notified.await;
        }
    }
}

/// A server that is ready to run.
pub struct Server {
    app: Arc<App>,
    anchors: Arc<dyn Fn() -> indelible_log::verify::Anchors + Send + Sync>,
    listener: TcpListener,
    stop: Stop,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// A server of these parts on this listener.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there are no keys and the listener's address is not of this machine
    /// alone, or the certificate cannot be taken; else as the stores'.
    pub fn new(parts: Parts, settings: Settings, listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr().map_err(io)?;
        let (app, anchors) = App::new(parts, settings)?;
        if app.access.is_open() && !address.ip().is_loopback() {
            let text = format!(
                "there are no keys, so the server does not listen on {address}, where others reach \
                 it: make one with indelible keys create --role admin, or listen on 127.0.0.1"
            );
            return Err(Error::new(Kind::Invalid, text));
        }
        Ok(Self {
            app: Arc::new(app),
            anchors,
            listener,
            stop: Stop::default(),
        })
    }

    /// What stops it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// A way into the log beside the network.
    pub fn feed(&self) -> Feed {
        self.app.feed.clone()
    }

    /// Whether nobody is asked for a key.
    pub fn is_open(&self) -> bool {
        self.app.access.is_open()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// As the operating system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop; then finishes, publishes and closes the log.
    ///
    /// # Errors
    /// When it cannot be started, or the end was not clean: what has a receipt is durable all the
    /// same.
    pub fn run(self) -> Result<()> {
        let Self {
            app,
            anchors,
            listener,
            stop,
        } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(app.settings.batches_max + app.settings.reads_max + 4)
            .enable_all()
            .build()
            .map_err(io)?;
        let helpers = std::thread::scope(|scope| {
            scope.spawn(|| publisher::run(&app, &stop));
            scope.spawn(|| verifier::run(&app, anchors.as_ref(), &stop));
            scope.spawn(|| books::run(&app, &stop));
            scope.spawn(|| keys::follow(&app, &stop));
            scope.spawn(|| attachments::collect(&app, &stop));
            scope.spawn(|| accesses::run(&app, &stop));
            scope.spawn(|| app.access.follow_issuer(&stop));
            scope.spawn(|| app.tls.as_ref().map(|tls| tls.follow(&stop)));
            scope.spawn(|| tail::run(&app, &stop));
            scope.spawn(|| exports::run(&app, &stop));
            let served = runtime.block_on(accept(&app, listener, &stop));
            stop.stop();
            served
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        accesses::write_all(&app);
        let closed = app.feed.close();
        helpers.and(closed)
    }
}

fn io(error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, "the server's socket").caused_by(error)
}

async fn accept(app: &Arc<App>, listener: TcpListener, stop: &Stop) -> Result<()> {
    listener.set_nonblocking(true).map_err(io)?;
    // The standard library asks for 128: a client beyond them waits a second until it asks again.
    rustix::net::listen(&listener, BACKLOG).map_err(|errno| io(errno.into()))?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(io)?;
    let places = Arc::new(Semaphore::new(app.settings.connections_max));
    let routes = TowerToHyperService::new(router(app));
    loop {
        let (stream, address) = tokio::select! {
            () = stop.stopped() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Some(place) = place(app, &places).await else {
            app.metrics.connection_refused();
            // Under TLS there is nothing yet that could be told.
            if app.tls.is_none() {
                tokio::spawn(refuse(stream));
            }
            continue;
        };
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let waiter = Arc::new(app.waiting.join());
        let connected = Connected {
            app: Arc::clone(app),
            routes: routes.clone(),
            stop: stop.clone(),
            waiter: Arc::clone(&waiter),
            place: Arc::new(Place::new(app, place)),
        };
        tokio::spawn(connected.serve(stream, Peer(address.ip())));
    }
    drop(listener);
    // Whoever has all places is the last: also tails over WebSocket hold theirs.
    let all = u32::try_from(app.settings.connections_max).unwrap_or(u32::MAX);
    let finished = tokio::time::timeout(app.settings.stop_timeout, places.acquire_many(all));
    if finished.await.is_err() {
        tracing::warn!("requests under way were cut off at the deadline");
    }
    Ok(())
}

/// What a connection is served with.
struct Connected {
    app: Arc<App>,
    routes: TowerToHyperService<axum::Router>,
    stop: Stop,
    waiter: Arc<Waiter>,
    place: Arc<Place>,
}

impl Connected {
    /// Serves a connection to its end.
    async fn serve(self, stream: TcpStream, peer: Peer) {
        let socket = tokio::select! {
            socket = self.socket(stream) => socket,
            () = self.waiter.told() => None,
        };
        let Some(socket) = socket else {
            return;
        };
        let (head, settings) = (Head::default(), &self.app.settings);
        let told = (head.clone(), Arc::clone(&self.waiter));
        let io = Patient::new(socket, settings, told, self.app.memory.clone());
        let (routes, waits) = (self.routes, Arc::clone(&self.waiter));
        let held = Arc::clone(&self.place);
        let service = service_fn(move |mut request: hyper::Request<_>| {
            let head = head.clone();
            head.ended(is_to_read(request.method()));
            waits.asked();
            request.extensions_mut().insert(head.gone());
            request.extensions_mut().insert(head.goes_on());
            request.extensions_mut().insert(Arc::clone(&waits));
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(Arc::clone(&held));
            let answer = routes.call(request);
            async move {
                let answer = answer.await;
                if !head.goes_on().is_long() {
                    head.begins();
                }
                answer
            }
        });
        let connection = builder(settings)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        ends(connection, self.waiter, self.stop, self.place).await;
    }

    /// The connection as it is spoken on; `None` when TLS came to nothing.
    async fn socket(&self, stream: TcpStream) -> Option<Socket> {
        let Some(tls) = &self.app.tls else {
            return Some(Socket::Plain(stream));
        };
        let agreed = tls.acceptor().accept(stream);
        let agreed = tokio::time::timeout(self.app.settings.header_timeout, agreed);
        tokio::select! {
            () = self.stop.stopped() => None,
            agreed = agreed => match agreed.ok()? {
                Ok(stream) => Some(Socket::Tls(Box::new(stream))),
                Err(error) => {
                    tracing::debug!(%error, "a connection did not come to TLS");
                    None
                }
            },
        }
    }
}

/// A connection until it ends: by itself, to give way, or because the server stops, behind the
/// request that is under way.
async fn ends(connection: impl Ends, waiter: Arc<Waiter>, stop: Stop, place: Arc<Place>) {
    let mut connection = std::pin::pin!(connection);
    let ended = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.stopped() => {}
        }
        connection.as_mut().finish();
        connection.await
    };
    tokio::select! {
        ended = ended => if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        },
        () = waiter.told() => tracing::debug!("a connection gave way"),
    }
    drop(place);
}

/// A connection that can be told to take no more requests.
trait Ends: Future<Output = hyper::Result<()>> + Send + 'static {
    fn finish(self: Pin<&mut Self>);
}

impl<S> Ends for UpgradeableConnection<TokioIo<Patient>, S>
where
    S: HttpService<Incoming, ResBody = Body, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What a connection holds for as long as it is there, whatever it has become.
pub(crate) struct Place {
    app: Arc<App>,
    _place: OwnedSemaphorePermit,
}

impl Place {
    fn new(app: &Arc<App>, place: OwnedSemaphorePermit) -> Self {
        app.metrics.connection(true);
        Self {
            app: Arc::clone(app),
            _place: place,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.metrics.connection(false);
    }
}

/// A place for one more connection: a free one, or that of one which gives way.
async fn place(app: &App, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    if !app.waiting.give_way() {
        return None;
    }
    app.metrics.connection_gave_way();
    let place = Arc::clone(places).acquire_owned();
    tokio::time::timeout(GIVE_WAY, place).await.ok()?.ok()
}

/// Whether a request of this method asks to read, and changes nothing.
fn is_to_read(method: &hyper::Method) -> bool {
    matches!(*method, hyper::Method::GET | hyper::Method::HEAD)
}

fn builder(settings: &Settings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(settings.header_bytes_max)
        .max_headers(settings.headers_max)
        // A client may close its half as soon as it has sent its request.
        .half_close(true);
    builder
}

async fn refuse(mut stream: TcpStream) {
    let told = async {
        stream.write_all(TOO_MANY).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}
