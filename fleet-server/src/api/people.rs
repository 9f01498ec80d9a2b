//! Invitations, owners, enrolments, and who am I.

use super::extract::{Body, Paging, Params, cursor, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::model::Owner;
use crate::ops::people;
use crate::problems::Result;
use crate::views::{OwnerView, Page};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fleet_core::account::Account;
use protocol::api::{OwnerShare, Role};
use protocol::ids::{OwnerId, RobotId};
use protocol::keys::Did;
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

type Shared = State<Arc<Fleet>>;

/// Who to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationOrder {
    /// `pilot`, `agent`, `owner`, `operator`, `gateway`.
    #[schema(value_type = String)]
    role: Role,
    /// A name to suggest.
    name: Option<String>,
    /// For an owner: the one that the invited will be.
    #[schema(value_type = Option<String>)]
    owner: Option<OwnerId>,
    /// For how many seconds, 60 to 604800 (a week, as without).
    valid_s: Option<u64>,
}

/// An invitation. Its code is shown once and never stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationMade {
    /// Single use.
    code: String,
    /// Where the cockpit accepts it.
    path: String,
    /// As what.
    #[schema(value_type = String)]
    role: Role,
    /// Until when.
    #[schema(value_type = u64)]
    expires_at: WallMs,
}

/// Makes an invitation.
#[utoipa::path(post, path = "/v1/invitations", tag = "operator", security(("session" = [])),
    request_body = InvitationOrder, responses((status = 201, body = InvitationMade),
    (status = 403, body = schemas::Problem)))]
pub(crate) async fn invite(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<InvitationOrder>,
) -> Result<(StatusCode, Json<InvitationMade>)> {
    caller.may(Act::ManagePeople)?;
    let InvitationOrder { role, name, owner, valid_s } = order;
    let mut tx = fleet.begin().await;
    let (code, invitation) = people::invite(&mut tx, &caller.0, role, name, owner, valid_s).await?;
    tx.commit().await?;
    let path = format!("/join#{code}");
    let made = InvitationMade { code, path, role, expires_at: invitation.expires_at };
    Ok((StatusCode::CREATED, Json(made)))
}

/// A new owner.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerOrder {
    /// Name.
    name: String,
    /// Key, when there is one already.
    #[schema(value_type = Option<String>)]
    did: Option<Did>,
}

/// Writes an owner down.
#[utoipa::path(post, path = "/v1/owners", tag = "operator", security(("session" = [])),
    request_body = OwnerOrder, responses((status = 201, body = OwnerView)))]
pub(crate) async fn add_owner(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<OwnerOrder>,
) -> Result<(StatusCode, Json<OwnerView>)> {
    caller.may(Act::ManagePeople)?;
    let mut tx = fleet.begin().await;
    let owner = people::add_owner(&mut tx, order.name, order.did).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view(owner))))
}

/// All owners.
#[utoipa::path(get, path = "/v1/owners", tag = "operator", security(("session" = [])),
    params(Paging), responses((status = 200, body = Page<OwnerView>)))]
pub(crate) async fn owners(
    State(fleet): Shared,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<OwnerView>>> {
    caller.may(Act::ManagePeople)?;
    let limit = limit(paging.limit)?;
    let after = cursor::<OwnerId>(paging.cursor.as_deref())?;
    let owners = fleet.page::<Owner>(after, limit).await?;
    let next = (owners.len() == limit).then(|| owners.last().map(|owner| owner.id.to_string()));
    let items = owners.into_iter().map(view).collect();
    Ok(Json(Page { items, next: next.flatten() }))
}

fn view(owner: Owner) -> OwnerView {
    OwnerView { id: owner.id, name: owner.name, did: owner.did }
}

/// A robot to enrol.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolmentOrder {
    /// The word that names it: 1 to 40 of a-z, 0-9 and '-'.
    #[schema(value_type = String)]
    robot: RobotId,
    /// Its name, for people.
    name: String,
    /// Who owns it: `{owner, share_ppm}`, shares add up to 1,000,000.
    #[schema(value_type = Vec<Object>)]
    owners: Vec<OwnerShare>,
}

/// An enrolment code. It is shown once and never stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnrolmentMade {
    /// Single use: `robot-agent enroll --code`.
    code: String,
    /// The robot.
    #[schema(value_type = String)]
    robot: RobotId,
    /// Until when.
    #[schema(value_type = u64)]
    expires_at: WallMs,
}

/// Makes a code with which a robot enrols.
#[utoipa::path(post, path = "/v1/enrolments", tag = "owners", security(("session" = [])),
    request_body = EnrolmentOrder, responses((status = 201, body = EnrolmentMade)))]
pub(crate) async fn order_enrolment(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<EnrolmentOrder>,
) -> Result<(StatusCode, Json<EnrolmentMade>)> {
    caller.may(Act::ManageRobots)?;
    let mut tx = fleet.begin().await;
    let (code, enrolment) =
        people::order_enrolment(&mut tx, &caller.0, order.robot, order.name, order.owners).await?;
    tx.commit().await?;
    let made = EnrolmentMade { code, robot: enrolment.robot, expires_at: enrolment.expires_at };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// Key.
    #[schema(value_type = String)]
    did: Did,
    /// Role.
    #[schema(value_type = String)]
    role: Role,
    /// Name.
    name: String,
    /// The owner that this key is.
    #[schema(value_type = Option<String>)]
    owner: Option<OwnerId>,
    /// What they hold; null for robots and gateways.
    account: Option<AccountView>,
    /// What was ever settled to that account.
    earnings: u64,
}

/// An account and its balance.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// Its name in the ledger.
    #[schema(value_type = String)]
    name: Account,
    /// Credits.
    balance: i64,
}

/// Who is signed in, and what they have earned.
#[utoipa::path(get, path = "/v1/me", tag = "everybody", security(("session" = [])),
    responses((status = 200, body = Me), (status = 401, body = schemas::Problem)))]
pub(crate) async fn me(State(fleet): Shared, caller: Caller) -> Result<Json<Me>> {
    let (mut account, mut earnings) = (None, 0);
    if let Some(name) = caller.account() {
        let ledger = fleet.ledger.lock().await;
        account = Some(AccountView { name, balance: ledger.balance(&name) });
        earnings = ledger.earned(&name);
    }
    let crate::model::Principal { did, role, name, owner, .. } = caller.0;
    Ok(Json(Me { did, role, name, owner, account, earnings }))
}
