//! What an offer must look like before the WebRTC stack reads it.

use super::LinkError;
use crate::media::Codec;
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
    /// The codec that is best of those which the far end decodes; none without any of ours.
    pub(super) codec: Option<Codec>,
}

/// H.264 as this robot makes it comes first: it is what is recorded as well, and encoded by hardware where there is some.
fn codec(sdp: &str) -> Option<Codec> {
    let payloads = |name: &str| {
        let of = |line: &str| {
            let (payload, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            codec.trim_end().eq_ignore_ascii_case(name).then(|| payload.to_owned())
        };
        sdp.lines().filter_map(of).collect::<Vec<_>>()
    };
    let ours = |line: &str, payload: &str| {
        let format = line
            .strip_prefix("a=fmtp:")
            .and_then(|rest| rest.strip_prefix(payload)?.strip_prefix(' '));
        let has = |wanted: &str| {
            let mut parameters = format.unwrap_or_default().split(';').map(str::trim);
            parameters.any(|parameter| parameter.to_ascii_lowercase().starts_with(wanted))
        };
        has("packetization-mode=1") && has("profile-level-id=42")
    };
    let h264 = payloads("H264/90000");
    if h264.iter().any(|payload| sdp.lines().any(|line| ours(line, payload))) {
        return Some(Codec::H264);
    }
    (!payloads("VP8/90000").is_empty()).then_some(Codec::Vp8)
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
    let sdp: String = sdp
        .lines()
        .filter(|line| !(line.starts_with("a=candidate:") && line.contains(".local ")))
        .flat_map(|line| [line, "\r\n"])
        .collect();
    let codec = codec(&sdp);
    Ok(Offer { sdp, videos, audio, codec })
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
    fn h264_is_preferred_where_the_far_end_has_what_this_robot_makes() {
        let vp8 = "a=rtpmap:120 VP8/90000\r\na=rtpmap:124 rtx/90000\r\na=fmtp:124 apt=120\r\n";
        let h264 = "a=rtpmap:126 H264/90000\r\n\
                    a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\r\n";
        let of = |more: &[&str]| check(&format!("{GOOD}{}", more.concat())).unwrap().codec;
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[vp8]), Some(Codec::Vp8));
        assert_eq!(of(&[vp8, h264]), Some(Codec::H264));
        assert_eq!(of(&[h264]), Some(Codec::H264));
        // Not in several packets, or a profile that decodes more than this robot sends and may mean less.
        let whole = h264.replace("packetization-mode=1", "packetization-mode=0");
        assert_eq!(of(&[vp8, &whole]), Some(Codec::Vp8));
        let high = h264.replace("42e01f", "640c1f");
        assert_eq!(of(&[vp8, &high]), Some(Codec::Vp8));
        assert_eq!(
            of(&[&high, "a=fmtp:1261 packetization-mode=1;profile-level-id=42e01f\r\n"]),
            None
        );
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
