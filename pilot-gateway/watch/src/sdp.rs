//! A viewer's offer and the answer to it (RFC 8829, as far as one video to one viewer goes). Pure; what cannot be
//! understood is refused with what is missing.

use std::fmt::Write;
use std::net::SocketAddr;

/// Longest offer or fragment that is read, bytes.
pub const LEN_MAX: usize = 64 * 1024;
/// Sections of an offer; a player asks for video, perhaps sound and data.
const SECTIONS_MAX: usize = 8;
/// Lengths of user names and passwords of ICE (RFC 8839): shorter could be guessed.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// Why an offer is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// It is too long, or no SDP.
    #[error("the offer must be SDP of at most {LEN_MAX} bytes that begins with v=0")]
    NotSdp,
    /// It has more sections than any player offers.
    #[error("the offer has more than {SECTIONS_MAX} media sections")]
    Sections,
    /// It asks for no video.
    #[error(
        "the offer has no video section that receives: add a transceiver of kind video, direction recvonly"
    )]
    NoVideo,
    /// The player cannot show what robots send.
    #[error(
        "the offer's video has no H.264 with packetization-mode=1: robots send nothing else to spectators"
    )]
    NoH264,
    /// Something that keys and paths need is missing.
    #[error("the offer's video has no usable {what}")]
    Missing {
        /// Its attribute.
        what: &'static str,
    },
}

/// User name and password of one end.
#[derive(Clone, PartialEq, Eq)]
pub struct Ice {
    /// The user name.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Ice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ice").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

impl Ice {
    fn checked(ufrag: &str, password: &str) -> Result<Self, SdpError> {
        let ice_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        let fits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
            lengths.contains(&text.len()) && text.chars().all(ice_char)
        };
        if !fits(ufrag, UFRAG_LEN) {
            return Err(SdpError::Missing { what: "ice-ufrag" });
        }
        if !fits(password, PASSWORD_LEN) {
            return Err(SdpError::Missing { what: "ice-pwd" });
        }
        Ok(Self { ufrag: ufrag.to_owned(), password: password.to_owned() })
    }
}

/// One media section of an offer, as much of it as the answer repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    /// Kind, protocol and first format of its m-line.
    kind: String,
    protocol: String,
    format: String,
    mid: Option<String>,
}

/// How the video goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codec {
    pub(crate) payload_type: u8,
    fmtp: String,
    /// For packets that are sent again.
    pub(crate) rtx: Option<u8>,
    /// Which feedback the viewer can give.
    feedback: Vec<&'static str>,
}

/// An offer that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The viewer's end of ICE.
    pub ice: Ice,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    pub(crate) codec: Codec,
    sections: Vec<Section>,
    video: usize,
    bundle: bool,
    reduced_size: bool,
}

/// What an answer says of our end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) session: u64,
    pub(crate) ice: &'a Ice,
    pub(crate) fingerprint: &'a str,
    pub(crate) addresses: &'a [SocketAddr],
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) cname: &'a str,
}

/// Lines of a section, or of the head.
type Lines<'a> = Vec<&'a str>;

fn attribute<'a>(lines: &[&'a str], name: &str) -> Option<&'a str> {
    attributes(lines, name).next()
}

fn attributes<'a, 's>(
    lines: &'s [&'a str],
    name: &'s str,
) -> impl Iterator<Item = &'a str> + use<'a, 's> {
    lines
        .iter()
        .filter_map(move |line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

fn has_flag(lines: &[&str], name: &str) -> bool {
    lines.iter().any(|line| line.strip_prefix("a=") == Some(name))
}

fn split(text: &str) -> Result<(Lines<'_>, Vec<Lines<'_>>), SdpError> {
    if text.len() > LEN_MAX || !text.starts_with("v=0") {
        return Err(SdpError::NotSdp);
    }
    let (mut head, mut sections) = (Vec::new(), Vec::<Lines<'_>>::new());
    for line in text.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            if sections.len() >= SECTIONS_MAX {
                return Err(SdpError::Sections);
            }
            sections.push(Vec::new());
        }
        sections.last_mut().unwrap_or(&mut head).push(line);
    }
    Ok((head, sections))
}

fn is_token(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

fn section(lines: &[&str]) -> Option<(Section, bool)> {
    let mut words = lines.first()?.strip_prefix("m=")?.split_ascii_whitespace();
    let (kind, port, protocol, format) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let mid = attribute(lines, "mid");
    let all = [kind, protocol, format].into_iter().chain(mid);
    if !all.into_iter().all(is_token) {
        return None;
    }
    let wants = !has_flag(lines, "sendonly") && !has_flag(lines, "inactive");
    let receives = kind == "video" && port != "0" && wants;
    let mid = mid.map(str::to_owned);
    let owned = |word: &str| word.to_owned();
    Some((
        Section { kind: owned(kind), protocol: owned(protocol), format: owned(format), mid },
        receives,
    ))
}

/// The H.264 that fits best: what robots send is constrained baseline, which every profile's decoder can show.
fn h264(lines: &[&str]) -> Option<Codec> {
    let types = |encoding: &str| -> Vec<u8> {
        let named = |map: &str| {
            let (payload_type, name) = map.split_once(' ')?;
            let same = name.trim().to_ascii_lowercase().starts_with(encoding);
            payload_type.parse().ok().filter(|pt: &u8| same && *pt < 128)
        };
        attributes(lines, "rtpmap").filter_map(named).collect()
    };
    let fmtp = |payload_type: u8| {
        let of =
            |line: &&str| line.split_once(' ').map(|(pt, _)| pt.parse()) == Some(Ok(payload_type));
        let line = attributes(lines, "fmtp").find(of);
        line.and_then(|line| line.split_once(' ')).map_or("", |(_, parameters)| parameters.trim())
    };
    let rank = |parameters: &str| {
        let parameters = parameters.to_ascii_lowercase();
        // Without the mode, only whole pictures of a packet's size could be sent.
        parameters.contains("packetization-mode=1").then(|| {
            let profile = parameters.split_once("profile-level-id=").map_or("", |(_, rest)| rest);
            match profile {
                p if p.starts_with("42e0") => 0,
                p if p.starts_with("42") => 1,
                p if p.starts_with("4d") => 2,
                _other => 3,
            }
        })
    };
    let best = types("h264/90000").into_iter().filter_map(|pt| Some((rank(fmtp(pt))?, pt))).min();
    let (_, payload_type) = best?;
    let rtx = types("rtx/90000").into_iter().find(|pt| {
        let apt = fmtp(*pt).split(';').find_map(|p| p.trim().strip_prefix("apt="));
        apt.and_then(|apt| apt.parse().ok()) == Some(payload_type)
    });
    let offered: Vec<&str> = attributes(lines, "rtcp-fb")
        .filter_map(|line| line.split_once(' '))
        .filter(|(pt, _)| *pt == "*" || pt.parse() == Ok(payload_type))
        .map(|(_, what)| what.trim())
        .collect();
    let feedback = ["nack", "nack pli", "ccm fir"].into_iter().filter(|f| offered.contains(f));
    let parameters = fmtp(payload_type);
    // It is repeated in the answer: a line's worth of harmless characters, or what every browser writes.
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_=;./ ".contains(c);
    let fits = parameters.len() <= 200 && parameters.chars().all(harmless);
    let fallback = "packetization-mode=1;profile-level-id=42e01f;level-asymmetry-allowed=1";
    let fmtp = if fits { parameters } else { fallback }.to_owned();
    Some(Codec { payload_type, fmtp, rtx, feedback: feedback.collect() })
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let (hash, hex) = text.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut bytes = [0; 32];
    let mut pairs = hex.trim().split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// [`SdpError`], with what the player has to do.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let (head, all) = split(text)?;
        let mut sections = Vec::with_capacity(all.len());
        let mut video = None;
        for (index, lines) in all.iter().enumerate() {
            let (section, receives) = section(lines).ok_or(SdpError::NotSdp)?;
            if receives && video.is_none() {
                video = Some(index);
            }
            sections.push(section);
        }
        let video = video.ok_or(SdpError::NoVideo)?;
        let lines = all.get(video).ok_or(SdpError::NoVideo)?;
        // What every section shares may stand in the head.
        let either = |name| attribute(lines, name).or_else(|| attribute(&head, name));
        let need = |name: &'static str| either(name).ok_or(SdpError::Missing { what: name });
        let codec = h264(lines).ok_or(SdpError::NoH264)?;
        let ice = Ice::checked(need("ice-ufrag")?, need("ice-pwd")?)?;
        let fingerprint = fingerprint(need("fingerprint")?)
            .ok_or(SdpError::Missing { what: "fingerprint of sha-256" })?;
        if need("setup")? == "passive" {
            return Err(SdpError::Missing { what: "setup (actpass or active: this end waits)" });
        }
        if !has_flag(lines, "rtcp-mux") {
            return Err(SdpError::Missing { what: "rtcp-mux" });
        }
        let bundle = attributes(&head, "group").any(|group| group.starts_with("BUNDLE"));
        let reduced_size = has_flag(lines, "rtcp-rsize");
        Ok(Self { ice, fingerprint, codec, sections, video, bundle, reduced_size })
    }

    /// The answer: one video that is sent, all else refused.
    pub(crate) fn answer(&self, own: &Own<'_>) -> String {
        let mut text = format!(
            "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n",
            own.session
        );
        let video_mid = self.sections.get(self.video).and_then(|section| section.mid.as_ref());
        // Writing to a String can't fail.
        if let Some(mid) = video_mid.filter(|_| self.bundle) {
            write!(text, "a=group:BUNDLE {mid}\r\n").ok();
        }
        for (index, section) in self.sections.iter().enumerate() {
            let mid =
                section.mid.as_ref().map(|mid| format!("a=mid:{mid}\r\n")).unwrap_or_default();
            let Section { kind, protocol, format, .. } = section;
            if index == self.video {
                self.video_section(&mut text, protocol, &mid, own);
            } else {
                let refused = format!("m={kind} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\n");
                text.push_str(&refused);
                text.push_str(&mid);
                text.push_str("a=inactive\r\n");
            }
        }
        text
    }

    fn video_section(&self, text: &mut String, protocol: &str, mid: &str, own: &Own<'_>) {
        let Codec { payload_type: pt, fmtp, rtx, feedback } = &self.codec;
        let Own { ssrc, rtx_ssrc, cname, .. } = own;
        let rtx_format = rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push_str("\r\n");
        };
        line(format!("m=video 9 {protocol} {pt}{rtx_format}"));
        line("c=IN IP4 0.0.0.0".to_owned());
        line(format!("{mid}a=rtcp-mux"));
        if self.reduced_size {
            line("a=rtcp-rsize".to_owned());
        }
        line(ice_lines(own.ice));
        line(format!("a=fingerprint:sha-256 {}", own.fingerprint));
        line("a=setup:passive\r\na=sendonly\r\na=msid:longrein camera".to_owned());
        line(format!("a=rtpmap:{pt} H264/90000\r\na=fmtp:{pt} {fmtp}"));
        for what in feedback {
            line(format!("a=rtcp-fb:{pt} {what}"));
        }
        if let Some(rtx) = rtx {
            line(format!("a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}"));
            line(format!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        // The first that is named is what a browser shows; the other is where repeats of it come from.
        line(format!("a=ssrc:{ssrc} cname:{cname}"));
        if rtx.is_some() {
            line(format!("a=ssrc:{rtx_ssrc} cname:{cname}"));
        }
        for candidate in candidates(own.addresses) {
            line(candidate);
        }
        line("a=end-of-candidates".to_owned());
    }
}

fn ice_lines(ice: &Ice) -> String {
    format!("a=ice-ufrag:{}\r\na=ice-pwd:{}", ice.ufrag, ice.password)
}

fn candidates(addresses: &[SocketAddr]) -> impl Iterator<Item = String> {
    // Type preference of a host, then the order in which they are named (RFC 8445, 5.1.2.1).
    (1_u32..).zip(addresses).map(|(n, address)| {
        let priority = (126 << 24) | ((65_535 - n) << 8) | 255;
        format!("a=candidate:{n} 1 udp {priority} {} {} typ host", address.ip(), address.port())
    })
}

/// What a viewer's fragment (RFC 8840) says: the user name and password of its ICE, if it names them.
///
/// # Errors
/// [`SdpError`] when it is too long or names half of them.
pub fn fragment_ice(text: &str) -> Result<Option<Ice>, SdpError> {
    if text.len() > LEN_MAX {
        return Err(SdpError::NotSdp);
    }
    let lines: Lines<'_> = text.lines().map(str::trim_end).collect();
    match (attribute(&lines, "ice-ufrag"), attribute(&lines, "ice-pwd")) {
        (Some(ufrag), Some(password)) => Ice::checked(ufrag, password).map(Some),
        (None, None) => Ok(None),
        _half => Err(SdpError::Missing { what: "ice-ufrag and ice-pwd" }),
    }
}

/// The fragment with which an ICE restart is answered.
pub(crate) fn fragment(ice: &Ice, addresses: &[SocketAddr]) -> String {
    let mut text = format!("a=ice-lite\r\n{}\r\n", ice_lines(ice));
    for candidate in candidates(addresses) {
        text.push_str(&candidate);
        text.push_str("\r\n");
    }
    text.push_str("a=end-of-candidates\r\n");
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Chromium offers to a WHEP player, shortened.
    pub(crate) const CHROMIUM: &str = "v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 106 107 108 109\r\nc=IN IP4 0.0.0.0\r\n\
        a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
        a=setup:actpass\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack\r\na=rtcp-fb:102 nack pli\r\n\
        a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n\
        a=rtpmap:106 H264/90000\r\na=rtcp-fb:106 goog-remb\r\na=rtcp-fb:106 transport-cc\r\n\
        a=rtcp-fb:106 ccm fir\r\na=rtcp-fb:106 nack\r\na=rtcp-fb:106 nack pli\r\n\
        a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:107 rtx/90000\r\na=fmtp:107 apt=106\r\n\
        a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n";

    fn answer(offer: &Offer) -> String {
        let ice = Ice { ufrag: "ours".to_owned(), password: "p".repeat(24) };
        offer.answer(&Own {
            session: 5,
            ice: &ice,
            fingerprint: "AA:BB",
            addresses: &["203.0.113.9:4000".parse().unwrap()],
            ssrc: 11,
            rtx_ssrc: 12,
            cname: "longrein",
        })
    }

    #[test]
    fn a_browsers_offer_gets_one_video_and_no_sound() {
        let offer = Offer::parse(CHROMIUM).unwrap();
        assert_eq!((offer.codec.payload_type, offer.codec.rtx), (106, Some(107)));
        assert_eq!(offer.codec.feedback, ["nack", "nack pli", "ccm fir"]);
        assert_eq!(offer.ice.ufrag, "abcd");
        assert_eq!(&offer.fingerprint[..3], &[0, 0x11, 0x22]);
        let answer = answer(&offer);
        for line in [
            "a=group:BUNDLE 1",
            "a=ice-lite",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111",
            "m=video 9 UDP/TLS/RTP/SAVPF 106 107",
            "a=setup:passive",
            "a=sendonly",
            "a=candidate:1 1 udp 2130706175 203.0.113.9 4000 typ host",
            "a=ssrc-group:FID 11 12",
        ] {
            assert!(answer.lines().any(|l| l == line), "{line} in\n{answer}");
        }
        let at = |line: &str| answer.find(line).unwrap();
        assert!(at("a=ssrc:11 ") < at("a=ssrc:12 "), "a browser shows the first");
        // The session's other parser agrees that it is SDP.
        rtc::sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(&answer)).unwrap();
    }

    #[test]
    fn what_is_missing_is_told() {
        let refusal = |text: &str| Offer::parse(text).unwrap_err().to_string();
        assert!(refusal("").contains("v=0"));
        assert!(refusal(&format!("v=0{}", " ".repeat(LEN_MAX))).contains("bytes"));
        assert!(refusal("v=0\r\ns=-\r\n").contains("recvonly"));
        assert!(refusal(&CHROMIUM.replace("a=recvonly", "a=sendonly")).contains("recvonly"));
        assert!(
            refusal(&CHROMIUM.replace("packetization-mode=1", "packetization-mode=0"))
                .contains("H.264")
        );
        assert!(refusal(&CHROMIUM.replace("a=ice-pwd:0123", "a=ice-pwd: 123")).contains("ice-pwd"));
        assert!(refusal(&CHROMIUM.replace("sha-256", "sha-1")).contains("fingerprint"));
        assert!(refusal(&CHROMIUM.replace("actpass", "passive")).contains("setup"));
        assert!(refusal(&CHROMIUM.replace("a=rtcp-mux\r\n", "")).contains("rtcp-mux"));
        let many = format!("{CHROMIUM}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(9));
        assert!(refusal(&many).contains("sections"));
    }

    #[test]
    fn nothing_of_an_offer_makes_lines_of_its_own() {
        for (from, to) in [("a=mid:1\r", "a=mid:1 a\r"), ("a=mid:1\r", "a=mid:\u{2028}x\r")] {
            assert_eq!(Offer::parse(&CHROMIUM.replace(from, to)), Err(SdpError::NotSdp), "{to}");
        }
        let odd = CHROMIUM.replace("profile-level-id=42e01f", "profile-level-id=42e01f;<b>");
        let answer = answer(&Offer::parse(&odd).unwrap());
        assert!(!answer.contains('<'), "{answer}");
    }

    #[test]
    fn a_fragment_names_both_or_neither() {
        let ice = fragment_ice("a=ice-ufrag:wxyz\r\na=ice-pwd:0123456789abcdefghijkl\r\n").unwrap();
        assert_eq!(ice.unwrap().ufrag, "wxyz");
        assert_eq!(fragment_ice("a=candidate:1 1 udp 1 198.51.100.1 9 typ host"), Ok(None));
        assert!(fragment_ice("a=ice-ufrag:wxyz").is_err());
    }

    proptest! {
        #[test]
        fn mutated_offers_are_answered_or_refused(
            at in 0..CHROMIUM.len(), with in any::<char>(), drop in 0..80_usize
        ) {
            let head = CHROMIUM.get(..at).unwrap_or_default();
            let tail = CHROMIUM.get((at + drop).min(CHROMIUM.len())..).unwrap_or_default();
            if let Ok(offer) = Offer::parse(&format!("{head}{with}{tail}")) {
                let answer = answer(&offer);
                prop_assert!(answer.is_ascii() && answer.len() < 4_000);
            }
        }
    }
}
