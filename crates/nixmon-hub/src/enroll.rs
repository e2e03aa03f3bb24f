//! The exchange of a code that works once for the token of a host.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use nixmon_fleet::HostName;
use nixmon_runs::clock::unix_ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::actions::Order;
use crate::engine::{AuditEntry, Hash, Redeemed, Secret};
use crate::failure::Failure;
use crate::hub::Hub;

/// The path.
pub(crate) const PATH: &str = "/api/v1/enroll";

/// A code and the host that it is for.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrollBody {
    /// The code, as `nixmon hub host add` has printed it.
    code: String,
    /// The name of the host.
    host: HostName,
}

/// The token of a host.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct EnrollAnswer {
    /// The token. The hub keeps only a hash of it, so it is not shown again.
    token: String,
}

/// Exchanges a code for a token.
///
/// # Errors
///
/// If the code is unknown, used, expired or that of another host.
pub(crate) async fn enroll(hub: &Arc<Hub>, order: &Order) -> Result<Response, Failure> {
    let body: EnrollBody = order.json()?;
    let token = Secret::random()?;
    let now = unix_ms();
    let redeemed = hub.fleet.engine.redeem(Hash::of(&body.code), &body.host, token.hash(), now).await?;
    let is_known = matches!(redeemed, Redeemed::Host(_));
    let entry = AuditEntry {
        id: 0,
        at: now,
        who: format!("host {}", body.host),
        what: "enrolment".to_owned(),
        host: Some(body.host.to_string()),
        result: if is_known { "accepted" } else { "refused" }.to_owned(),
    };
    hub.fleet.engine.add_audit(entry).await?;
    if !is_known {
        let message = "the code is unknown, used or expired, or is that of another host";
        return Err(Failure::new(axum::http::StatusCode::FORBIDDEN, message));
    }
    Ok(axum::Json(EnrollAnswer { token: token.text().to_owned() }).into_response())
}
