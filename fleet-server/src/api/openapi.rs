//! OpenAPI 3.1, generated from the handlers.

use super::{
    credentials, episodes, events, interventions, missions, money, people, public, robots, settings,
};
use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Longrein fleet server", description = "Robots, missions, leases, episodes, money."),
    modifiers(&Session),
    paths(
        public::health, public::ready, public::fleet, public::challenge, public::session,
        public::invitation, public::accept_invitation, public::accept_enrolment,
        people::invite, people::add_owner, people::owners, people::order_enrolment, people::me,
        money::deposit, money::ledger, money::entries,
        missions::create, missions::list, missions::one, missions::fund, missions::open, missions::cancel,
        robots::list, robots::one, robots::track, robots::estop, robots::take_lease, robots::renew_lease,
        robots::lease, robots::end_lease,
        interventions::start, interventions::end, interventions::list,
        credentials::certificate, credentials::fabric_key, credentials::revoke, credentials::set_owners,
        settings::one, settings::set,
        episodes::begin, episodes::upload, episodes::append, episodes::complete,
        episodes::list, episodes::one, episodes::file, events::stream,
    )
)]
pub(crate) struct Document;

struct Session;

impl Modify for Session {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
