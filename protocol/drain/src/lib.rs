//! Takes the rest of a request's body before its answer is sent.
//!
//! A handler may answer without having read the body: it refuses, or needs none. The server then closes the connection,
//! for what is still to come on it is not a request; and a client that sends the next one over it learns that only then.
//!
//! A client that is still sending when the server answers and closes gets a reset from the server's system, for there
//! are bytes that nobody read. The reset throws away what the client has not read yet: the refusal itself. HTTP/1 has
//! no way to say "stop sending, and read", so the rest is read and dropped, within bounds. Whoever sends more than
//! these may get the reset.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes that are read and dropped at most.
const REST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long that may take, with the wait for whoever still holds the body.
const REST_WITHIN: Duration = Duration::from_secs(2);

/// A request's body in the hands of a handler, or of whom the handler gave it to. Comes back when it is dropped.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
    ended: bool,
    /// Whether its client waits to be told that the body is wanted, which the first look does.
    waits: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !self.ended && !body.is_end_stream());
        if let (Some(rest), Some(back), false) = (rest, self.back.take(), self.waits) {
            // Nobody waits for it when the client has gone.
            back.send(rest).ok();
        }
    }
}

async fn drop_rest(back: oneshot::Receiver<Body>) {
    // An error: the body was read to its end.
    let Ok(rest) = back.await else { return };
    let mut chunks = rest.into_data_stream();
    let mut left = REST_BYTES_MAX;
    while let Some(Ok(chunk)) = chunks.next().await {
        let Some(less) = left.checked_sub(chunk.len()) else { return };
        left = less;
    }
}

/// Layer over all routes: an answer waits until the body was read.
pub async fn finish(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (back, rest) = oneshot::channel();
    let waits = parts.headers.contains_key(header::EXPECT);
    let lent = Lent { body: Some(body), back: Some(back), ended: false, waits };
    let response = next.run(Request::from_parts(parts, Body::new(lent))).await;
    // Over the time: the client sends on and on, and may get its reset.
    tokio::time::timeout(REST_WITHIN, drop_rest(rest)).await.ok();
    response
}
