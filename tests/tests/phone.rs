//! A phone on the same network: over HTTPS by this machine's own address, with the thumb.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use std::process::Command;
use system_tests::{Rig, fresh};
use xtask::stack::Options;
use xtask::{lan, root, setup};

#[test]
fn a_phone_drives_over_https_and_a_stranger_to_the_certificate_is_refused() {
    let gateway_args = lan::gateway_args(0).unwrap();
    let sim_args = vec!["--no-people".to_owned()];
    let options = Options { gateway_args, sim_args, ..fresh("phone").unwrap() };
    let rig = Rig::start_on(options).unwrap();
    let (link, sha256) = lan::link(&rig.stack).unwrap();
    assert!(link.starts_with("https://") && link.contains("/join#"), "{link}");
    assert_eq!(sha256.len(), 95);
    let out = Command::new("node")
        .args(["headless-phone.mjs", "--join", &link, "--mission", &rig.mission, "--chromium"])
        .arg(setup::chromium().unwrap())
        .arg("--certificate")
        .arg(rig.data().join("gateway.https.crt"))
        .arg("--screenshots")
        .arg(rig.data().join("screenshots"))
        .current_dir(root().join("tests/browser"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap();
    assert!(out.status.success(), "{report}\n{}", String::from_utf8_lossy(&out.stderr));
    let refused = report["refused"].as_str().unwrap_or_default();
    assert!(refused.contains("ERR_CERT_AUTHORITY_INVALID"), "{report}");
    let secure = &report["secure"];
    for what in ["context", "crypto", "gamepads", "microphone"] {
        assert_eq!(secure[what], true, "{what}: {report}");
    }
    assert!(!secure["host"].as_str().unwrap().starts_with("127."), "{report}");
    assert!(link.starts_with(report["shown"].as_str().unwrap()), "{report}");
    assert_eq!(report["wide"], json!([false, false, false]), "something is cut off at the side");
    assert!(report["fastest_mps"].as_f64().unwrap() > 0.1, "{report}");
    assert_eq!(report["console_errors"], json!([]), "the page wrote errors");
}
