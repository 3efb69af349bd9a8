//! The body of an answer. What it still does belongs to the request, and where it is a call of gRPC
//! its end says how the call ended.
//!
//! The bytes are not looked at. Source: gRPC over HTTP/2, "Responses": the status stands in the
//! trailers, or in the head of an answer without a body.

use std::pin::Pin;
use std::task::{Context as Waking, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use indelible_emit::Context;

use super::service::{Ended, Underway};

pin_project_lite::pin_project! {
    /// The body of an answer of an [`AuditService`](super::AuditService).
    pub struct ResponseBody<B> {
        #[pin]
        body: B,
        // What surrounds the body while it is made.
        context: Context,
        // The call whose status is to come.
        request: Option<Underway>,
    }
}

/// The status of a call, where it stands.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

impl<B> ResponseBody<B> {
    pub(super) fn new(body: B, context: Context, request: Option<Underway>) -> Self {
        Self {
            body,
            context,
            request,
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        waking: &mut Waking<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let entered = this.context.enter();
        let polled = this.body.poll_frame(waking);
        drop(entered);
        let frame = ready!(polled);
        let ended = match &frame {
            Some(Ok(frame)) => frame
                .trailers_ref()
                .map(|trailers| Ended::called(grpc_status(trailers))),
            Some(Err(_)) => Some(Ended::Not("service_failed", "the answer broke off")),
            None => Some(Ended::called(None)),
        };
        if let Some(ended) = ended
            && let Some(request) = this.request.take()
        {
            request.end(&ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Whoever is told so does not ask for the trailers any more.
        self.request.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Context::new(), None)
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
