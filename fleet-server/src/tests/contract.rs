//! OpenAPI says what the API does.

use super::world::{World, key};
use protocol::api;
use protocol::dsse::Envelope;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn fields<'a>(names: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    names.into_iter().cloned().collect()
}

#[tokio::test]
async fn the_document_is_3_1_and_needs_no_session() {
    let world = World::new().await;
    let document = world.ok("GET", "/openapi.json", "", Value::Null).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in ["/v1/leases/{id}/renew", "/v1/episodes/{id}/complete", "/v1/events", "/v1/ledger"]
    {
        assert!(paths.contains_key(path), "{path}");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn shapes_of_the_protocol_have_the_fields_that_the_document_says() {
    let world = World::new().await;
    let document = world.ok("GET", "/openapi.json", "", Value::Null).await;
    let did = key(1).did();
    let envelope = Envelope::sign("x", &"x", &key(1)).unwrap();
    let episode = "eps_00000000000000000000000000000001".parse().unwrap();
    let claims = api::SessionClaims {
        did,
        role: api::Role::Pilot,
        name: "x".into(),
        expires_at: protocol::units::WallMs(1),
    };
    let text = String::new;
    let file = api::UploadFile { name: text(), size: 1, received: 1 };
    let examples = [
        ("ChallengeRequest", json!(api::ChallengeRequest { did })),
        ("Challenge", json!(api::Challenge { nonce: text() })),
        ("SessionRequest", json!(api::SessionRequest { did, nonce: text(), signature: text() })),
        ("Session", json!(api::Session { token: text(), claims: claims.clone() })),
        ("SessionClaims", json!(claims)),
        ("AcceptInvitation", json!(api::AcceptInvitation { did, name: text(), signature: text() })),
        ("AcceptEnrolment", json!(api::AcceptEnrolment { did, signature: text() })),
        (
            "Enrolled",
            json!(api::Enrolled {
                robot: "a".parse().unwrap(),
                fleet_did: did,
                zenoh_endpoint: text(),
                owners: vec![],
            }),
        ),
        (
            "LeaseOrder",
            json!(api::LeaseOrder { robot: None, mission: None, relay: None, takeover: false }),
        ),
        ("LeaseGrant", json!(api::LeaseGrant { lease: envelope.clone() })),
        ("BeginUpload", json!(api::BeginUpload { episode, manifest: envelope.clone() })),
        ("UploadStatus", json!(api::UploadStatus { files: vec![file.clone()], receipt: None })),
        ("UploadFile", json!(file)),
        ("EnvelopeSignature", json!(envelope.signatures[0])),
        ("Envelope", json!(envelope)),
        ("Problem", json!(protocol::problem::Problem::new(400, "x", "x"))),
    ];
    for (name, example) in examples {
        let schema = &document["components"]["schemas"][name]["properties"];
        let said = fields(schema.as_object().unwrap_or_else(|| panic!("{name}")).keys());
        assert_eq!(said, fields(example.as_object().unwrap().keys()), "{name}");
    }
}
