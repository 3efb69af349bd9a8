//! How a tail is said: as server-sent events (HTML Living Standard §9.2) or over WebSocket
//! (RFC 6455), one after the other, each when the one before was taken.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use hyper::body::Frame;
use indelible_api::TailReason;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::caller::Gone;

/// Why something was not said.
#[derive(Debug)]
pub(crate) enum Unsaid {
    /// Whoever read it has gone.
    Gone,
    /// The reader takes nothing for too long.
    Stalled(Kept),
}

/// What became of what a reader did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It goes out as soon as the reader takes anything.
    OnItsWay,
    /// It never goes out.
    Dropped,
}

/// The way to a reader.
pub(crate) enum Wire {
    Events(Sender<Bytes>, Gone),
    Socket(Box<WebSocket>),
}

/// Events on their way.
pub(crate) struct Events(Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let event = self.0.poll_recv(context);
        event.map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

impl Wire {
    pub(crate) fn events(gone: Gone) -> (Self, Events) {
        // One is under way while the next is made.
        let (sender, receiver) = channel(1);
        (Self::Events(sender, gone), Events(receiver))
    }

    pub(crate) fn socket(socket: WebSocket) -> Self {
        Self::Socket(Box::new(socket))
    }

    /// As [`Wire::say`], for so long at most.
    pub(crate) async fn say_within(
        &mut self,
        patience: Duration,
        (event, cursor): (&str, &str),
        data: &[u8],
    ) -> Result<(), Unsaid> {
        let kept = match self {
            Self::Events(..) => Kept::Dropped,
            Self::Socket(_) => Kept::OnItsWay,
        };
        let said = tokio::time::timeout(patience, self.say(event, cursor, data));
        said.await.unwrap_or(Err(Unsaid::Stalled(kept)))
    }

    /// Says an event; `data` is JSON in one line.
    pub(crate) async fn say(
        &mut self,
        event: &str,
        cursor: &str,
        data: &[u8],
    ) -> Result<(), Unsaid> {
        let said = |parts: [&[u8]; 7]| Bytes::from(parts.concat());
        match self {
            Self::Events(sender, _) => {
                let (event, cursor) = (event.as_bytes(), cursor.as_bytes());
                let parts: [&[u8]; 7] = [
                    b"event: ",
                    event,
                    b"\nid: ",
                    cursor,
                    b"\ndata: ",
                    data,
                    b"\n\n",
                ];
                sender.send(said(parts)).await.map_err(|_| Unsaid::Gone)
            }
            Self::Socket(socket) => {
                let (event, cursor) = (event.as_bytes(), cursor.as_bytes());
                let parts: [&[u8]; 7] = [
                    b"{\"event\":\"",
                    event,
                    b"\",\"cursor\":\"",
                    cursor,
                    b"\",\"data\":",
                    data,
                    b"}",
                ];
                let text = said(parts).try_into().map_err(|_| Unsaid::Gone)?;
                let sent = socket.send(Message::Text(text)).await;
                sent.map_err(|_| Unsaid::Gone)
            }
        }
    }

    /// Comes when the reader has gone; what else it says is passed over.
    pub(crate) async fn gone(&mut self) {
        match self {
            Self::Events(sender, gone) => tokio::select! {
                () = sender.closed() => {}
                () = gone.told() => {}
            },
            Self::Socket(socket) => {
                while let Some(Ok(said)) = socket.recv().await {
                    if matches!(said, Message::Close(_)) {
                        return;
                    }
                }
            }
        }
    }

    /// Ends it, so that the reader sees that it was no accident.
    pub(crate) async fn end(self, reason: TailReason) {
        if let Self::Socket(mut socket) = self {
            let code = match reason {
                TailReason::TooSlow => close_code::AGAIN,
                TailReason::NotInForce => close_code::POLICY,
                TailReason::Stopping => close_code::AWAY,
                TailReason::Failed => close_code::ERROR,
            };
            let reason = format!("{}: see the last message", reason.word()).into();
            let _ = socket
                .send(Message::Close(Some(CloseFrame { code, reason })))
                .await;
        }
    }
}
