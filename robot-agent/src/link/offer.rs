//! What an offer must look like before the WebRTC stack reads it.

use super::LinkError;
use protocol::signal::SDP_LEN_MAX;

/// Most media sections and candidates that are read: a browser sends five and about a dozen.
const SECTIONS_MAX: usize = 16;
const CANDIDATES_MAX: usize = 64;

/// A plausible offer.
#[derive(Debug)]
pub(super) struct Offer {
    /// The text without what this side cannot use.
    pub(super) sdp: String,
    /// Video sections that want to receive, in order.
    pub(super) videos: u8,
    /// Whether there is a section for sound.
    pub(super) audio: bool,
}

/// Checks an offer's size and shape. Whether it is valid SDP is for the WebRTC stack to say.
pub(super) fn check(sdp: &str) -> Result<Offer, LinkError> {
    let refuse = |why: &str| Err(LinkError::Offer { why: why.to_owned() });
    if sdp.len() > SDP_LEN_MAX {
        return refuse("it is longer than 64 KiB");
    }
    if !sdp.starts_with("v=0") {
        return refuse("it is not SDP: the first line must be v=0");
    }
    let count = |prefix: &str| sdp.lines().filter(|line| line.starts_with(prefix)).count();
    if count("m=") > SECTIONS_MAX {
        return refuse("it has more than 16 media sections");
    }
    if count("a=candidate:") > CANDIDATES_MAX {
        return refuse("it has more than 64 candidates");
    }
    if count("m=application ") != 1 {
        return refuse(
            "it must have one data channel section; create the negotiated channels first",
        );
    }
    if count("a=fingerprint:") == 0 {
        return refuse("it has no DTLS fingerprint");
    }
    let videos = u8::try_from(count("m=video ")).unwrap_or(u8::MAX);
    let audio = count("m=audio ") > 0;
    // Names that only multicast DNS knows: the driver's checks arrive here all the same, and resolving names
    // on a stranger's word is not this side's business.
    let sdp = sdp
        .lines()
        .filter(|line| !(line.starts_with("a=candidate:") && line.contains(".local ")))
        .flat_map(|line| [line, "\r\n"])
        .collect();
    Ok(Offer { sdp, videos, audio })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
                        a=fingerprint:sha-256 00\r\na=candidate:1 1 udp 1 abc.local 9 typ host\r\n\
                        a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n";

    fn refusal(sdp: &str) -> String {
        check(sdp).unwrap_err().to_string()
    }

    #[test]
    fn a_plausible_offer_passes_without_its_mdns_candidates() {
        let offer = check(GOOD).unwrap();
        assert_eq!(offer.videos, 1);
        assert!(!offer.sdp.contains(".local"));
        assert!(offer.sdp.contains("10.0.0.1"));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        assert!(refusal("").contains("first line must be v=0"));
        assert!(refusal(&format!("v=0{}", " ".repeat(SDP_LEN_MAX))).contains("64 KiB"));
        assert!(refusal("v=0\r\n").contains("data channel"));
        assert!(refusal(&GOOD.replace("a=fingerprint", "a=other")).contains("fingerprint"));
        assert!(refusal(&format!("{GOOD}{}", "m=audio 9\r\n".repeat(20))).contains("16 media"));
        assert!(refusal(&format!("{GOOD}{}", "a=candidate:1\r\n".repeat(70))).contains("64 cand"));
    }
}
