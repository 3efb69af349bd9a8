//! A connection's socket: does not wait for ever for somebody to read its answers, counts the
//! heads of requests that are more than usual, and notices when whoever reads has gone.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::budget::{Granted, Memory};
use crate::caller::Gone;
use crate::settings::Settings;
use crate::socket::Socket;
use crate::waiting::Waiter;

/// What every connection may keep of a head; what one with more keeps is granted first.
const HEAD_BYTES_USUAL: usize = 8 << 10;
/// How often it is asked whether a reader may still pause.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is read and thrown away of who still sends behind the last answer, and for how long.
const LINGER_BYTES_MAX: usize = 8 << 20;
const LINGER: Duration = Duration::from_secs(1);
const LINGER_AT_ONCE: usize = 4 << 10;
/// In place of a count: the request is under way, and what is read is its body.
const UNDER_WAY: usize = usize::MAX;
/// The same, of a request that has no body: what is read is behind it, or that nobody is there.
const READING: usize = UNDER_WAY - 1;

/// Whether an answer goes on for as long as its reader takes it, told by who gives it: then its
/// connection waits for no other request, and whoever gives it ends it in time.
#[derive(Clone, Debug, Default)]
pub(crate) struct GoesOn(Arc<AtomicU8>);

impl GoesOn {
    const ON: u8 = 1;
    const ENDED: u8 = 2;

    /// From now on it does.
    pub(crate) fn begins(&self) {
        self.0.store(Self::ON, Relaxed);
    }

    /// What is left of it, if it did, is taken in the time of any answer.
    pub(crate) fn ends(&self) {
        let (on, ended) = (Self::ON, Self::ENDED);
        let _ = self.0.compare_exchange(on, ended, Relaxed, Relaxed);
    }

    /// Whether it is one that goes on, or did.
    pub(crate) fn is_long(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    fn is_on(&self) -> bool {
        self.0.load(Relaxed) == Self::ON
    }
}

/// How much was read of a request's head, told by the socket and by who handles the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    read: Arc<AtomicUsize>,
    gone: Gone,
    goes_on: GoesOn,
}

impl Head {
    /// The head is read as a whole, of a request to read or of another.
    pub(crate) fn ended(&self, reads: bool) {
        let under_way = if reads { READING } else { UNDER_WAY };
        self.read.store(under_way, Relaxed);
    }

    /// The request was answered; what comes is another.
    pub(crate) fn begins(&self) {
        self.read.store(0, Relaxed);
    }

    /// Whether the client has gone.
    pub(crate) fn gone(&self) -> Gone {
        self.gone.clone()
    }

    /// Whether its answer goes on.
    pub(crate) fn goes_on(&self) -> GoesOn {
        self.goes_on.clone()
    }

    fn is_under_way(&self) -> bool {
        self.read.load(Relaxed) >= READING
    }

    fn is_read_for(&self) -> bool {
        self.read.load(Relaxed) == READING
    }

    /// Counts what was read; how much there is of a head, if it is one.
    fn read(&self, bytes: usize) -> Option<usize> {
        let before = self.read.load(Relaxed);
        if before >= READING {
            return None;
        }
        self.read.store(before + bytes, Relaxed);
        Some(before + bytes)
    }
}

/// A socket whose answers must be taken: without a pause that is too long, and in time as a whole.
/// Otherwise its writes fail, which ends the connection. One that goes on is cut off by nobody but
/// who gives it, who ends it between two things said; from there on it is an answer as any.
pub(crate) struct Patient {
    stream: Socket,
    pause: Duration,
    whole: Duration,
    /// Since when there is an answer that is not taken as a whole.
    since: Option<Instant>,
    /// Since when nothing of it is taken, and when to look again.
    paused: Option<(Instant, Pin<Box<Sleep>>)>,
    memory: Memory,
    head: Head,
    waiter: Arc<Waiter>,
    head_bytes_max: usize,
    granted: Granted,
    /// What came behind a request that was under way: the next one's first byte.
    ahead: Option<u8>,
    /// Behind the last answer: until when, and how much more is thrown away.
    lingers: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Patient {
    pub(crate) fn new(
        stream: Socket,
        settings: &Settings,
        (head, waiter): (Head, Arc<Waiter>),
        memory: Memory,
    ) -> Self {
        Self {
            stream,
            pause: settings.write_timeout,
            whole: settings.answer_timeout,
            since: None,
            paused: None,
            granted: memory.heads.empty(),
            lingers: None,
            memory,
            head,
            waiter,
            head_bytes_max: settings.header_bytes_max,
            ahead: None,
        }
    }

    /// Notices that whoever is to be given an answer has gone, by reading a byte further: HTTP's
    /// own reader does not look before the answer is given, so that clients may close their half.
    fn notice(&mut self, cx: &mut Context<'_>) {
        if self.ahead.is_some() || !self.head.is_read_for() || self.head.gone.is_told() {
            return;
        }
        let mut byte = [0];
        let mut into = ReadBuf::new(&mut byte);
        match Pin::new(&mut self.stream).poll_read(cx, &mut into) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if !into.filled().is_empty() => self.ahead = Some(byte[0]),
            Poll::Ready(_) => self.head.gone.tell(),
        }
    }

    /// What a write came to; pending for too long, it is an error.
    fn waited(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.paused = None;
            return written;
        }
        let now = Instant::now();
        let since = self.since.get_or_insert(now);
        let first = || (now, Box::pin(sleep_until(now)));
        let (began, look) = self.paused.get_or_insert_with(first);
        loop {
            ready!(look.as_mut().poll(cx));
            let now = Instant::now();
            if self.head.goes_on.is_on() {
                (*since, *began) = (now, now);
            }
            let whole = *since + self.whole;
            let end = whole.min(*began + self.memory.pause(self.pause));
            if now >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            look.as_mut().reset(end.min(now + LOOK_EVERY));
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match self.ahead.take_if(|_| buf.remaining() > 0) {
            Some(byte) => buf.put_slice(&[byte]),
            None => ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?,
        }
        let Some(head) = self.head.read(buf.filled().len() - before) else {
            return Poll::Ready(Ok(()));
        };
        if head <= HEAD_BYTES_USUAL {
            drop(self.granted.take());
        } else if self.granted.bytes() == 0 {
            // What it is read into grows by doubling.
            let all = 2 * self.head_bytes_max;
            if self.granted.grow(all).is_err() {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waiter.asked();
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.waited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.waiter.asked();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.waited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushed only when everything there is was written.
        self.since = None;
        if !self.head.is_under_way() {
            self.waiter.answered();
        }
        self.notice(cx);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Nothing more is said; what the peer is still saying is read and thrown away for a moment. A
    /// client that sends when the connection is closed never sees the answer (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let first = || (Box::pin(sleep(LINGER)), LINGER_BYTES_MAX);
        let (end, left) = this.lingers.get_or_insert_with(first);
        let mut bytes = [0; LINGER_AT_ONCE];
        while *left > 0 && end.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                break;
            }
            *left = left.saturating_sub(buf.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::metrics::Metrics;
    use crate::waiting::Waiting;

    /// What it comes to when an answer is taken bit by bit, without a pause; how many bytes were.
    fn taken(head: &Head, bytes: usize) -> (io::Result<()>, usize) {
        let settings = Settings {
            write_timeout: Duration::from_mins(1),
            answer_timeout: Duration::from_millis(300),
            ..Settings::default()
        };
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut peer = TcpStream::connect(address).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let memory = Memory::new(&settings, &Arc::new(Metrics::default()));
            let waiter = Arc::new(Arc::new(Waiting::default()).join());
            let stream = Socket::Plain(stream);
            let mut patient = Patient::new(stream, &settings, (head.clone(), waiter), memory);
            let goes_on = head.goes_on();
            let reads = tokio::spawn(async move {
                let (mut bytes, mut all) = ([0; 16 << 10], 0);
                let ends = Instant::now() + Duration::from_secs(1);
                while let Ok(count) = peer.read(&mut bytes).await
                    && count > 0
                {
                    all += count;
                    sleep(Duration::from_millis(1)).await;
                    if goes_on.is_on() && Instant::now() > ends {
                        goes_on.ends();
                    }
                }
                all
            });
            let began = Instant::now();
            let written = patient.write_all(&vec![0; bytes]).await;
            let took = began.elapsed();
            drop(patient);
            let all = reads.await.unwrap();
            assert!(took < Duration::from_secs(10), "{took:?}");
            (written, all)
        })
    }

    /// Who takes an answer bit by bit pauses never, and is cut off all the same.
    #[test]
    fn an_answer_that_is_taken_for_ever_is_cut_off() {
        let (written, _) = taken(&Head::default(), 256 << 20);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn one_that_goes_on_is_not_cut_off_before_it_ends() {
        let (short, long) = (Head::default(), Head::default());
        long.goes_on().begins();
        let (_, cut) = taken(&short, 256 << 20);
        let (written, taken) = taken(&long, 256 << 20);
        // It was told to end after a second, and was in time from there on.
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(taken > cut, "{taken} and {cut}");
    }
}
