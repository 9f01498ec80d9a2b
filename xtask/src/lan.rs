//! `cargo xtask demo --lan`: the demo for phones and other machines of the same network.

use crate::fleet::text;
use crate::stack::Stack;
use anyhow::{Context, Result, ensure};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// For how long the link in the QR code is good: whoever scans it stands before the terminal.
const LINK_VALID_S: u64 = 1_800;

/// This machine's address on its network.
fn address() -> Result<Ipv4Addr> {
    // Nothing is sent: the system only chooses a way to an address of the documentation's own.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let chosen =
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr());
    match chosen.context("this machine is in no network: --lan has nobody to serve")? {
        SocketAddr::V4(address) => Ok(*address.ip()),
        SocketAddr::V6(_) => anyhow::bail!("this machine has no IPv4 address"),
    }
}

/// What the gateway is told beside the usual: pages over TLS on every address, and a TURN server for phones whose
/// network keeps them from the robot's own address. Spectators' video follows the pages.
pub fn gateway_args(https_port: u16) -> Result<Vec<String>> {
    let address = address()?;
    ensure!(
        https_port == 0 || TcpListener::bind((address, https_port)).is_ok(),
        "port {https_port} is in use: choose another with --https-port"
    );
    Ok(vec![
        "--https".to_owned(),
        format!("0.0.0.0:{https_port}"),
        "--turn".to_owned(),
        format!("{address}:0"),
        "--turn-allow".to_owned(),
        format!("{address}/32"),
    ])
}

/// A link for one new pilot on another machine, and what to compare when its browser warns.
pub fn link(stack: &Stack) -> Result<(String, String)> {
    let way = stack.operator.at(&stack.url).get("/v1/phone")?;
    let base = way["https"]["urls"][0].as_str().context("the gateway serves no HTTPS")?;
    let order = json!({"role": "pilot", "valid_s": LINK_VALID_S});
    let path = text(&stack.operator.post("/v1/invitations", &order)?, "path")?;
    Ok((format!("{base}{path}"), text(&way["https"], "certificate_sha256")?))
}

/// What is printed under the demo's own words.
pub fn announcement(stack: &Stack) -> Result<String> {
    let (link, sha256) = link(stack)?;
    let code = QrCode::new(&link).context("the link as a QR code")?;
    // Terminals are dark: light is what is drawn.
    let code =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let minutes = LINK_VALID_S / 60;
    Ok(format!(
        "{code}\n\n  From a phone on this network: {link}\n  \
         The link makes one pilot, within {minutes} minutes. The phone warns, for it does not know the certificate;\n  \
         its SHA-256 is {sha256}.\n  The account page says how it warns no more, and has a fresh code for the address.\n"
    ))
}
