//! What changes, as it changes.

use super::extract::Params;
use crate::auth::{Act, Caller, caller as caller_of};
use crate::fleet::Fleet;
use crate::problems::{Refused, Result};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

/// A browser's EventSource can't send headers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Token {
    /// The session, when it is not in the header.
    token: Option<String>,
}

/// A caller by header or by `?token=`.
pub(crate) struct Listener(Caller);

impl FromRequestParts<Arc<Fleet>> for Listener {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, fleet: &Arc<Fleet>) -> Result<Self> {
        let Params(Token { token }) = Params::from_request_parts(parts, fleet).await?;
        match token {
            Some(token) => Ok(Self(caller_of(fleet, &token).await?)),
            None => Ok(Self(Caller::from_request_parts(parts, fleet).await?)),
        }
    }
}

/// Robots, missions, episodes and leases as they change: each event's data is the JSON of that thing's GET.
#[utoipa::path(get, path = "/v1/events", tag = "everybody", security(("session" = [])), params(Token),
    responses((status = 200, content_type = "text/event-stream",
    description = "events `hello`, `robot`, `mission`, `episode`, `lease`, `missed`")))]
pub(crate) async fn stream(
    State(fleet): State<Arc<Fleet>>,
    Listener(caller): Listener,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    caller.may(Act::Look)?;
    let news = stream::unfold(fleet.events.listen(), |mut news| async {
        let event = match news.recv().await {
            Ok(event) => Event::default().event(event.name).data(&*event.json),
            // A listener that is too slow is told to read everything again.
            Err(RecvError::Lagged(count)) => {
                Event::default().event("missed").data(format!("{{\"count\":{count}}}"))
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, news))
    });
    let hello = stream::once(async { Event::default().event("hello").data("{}") });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10));
    Ok(Sse::new(hello.chain(news).map(Ok)).keep_alive(keep_alive))
}
