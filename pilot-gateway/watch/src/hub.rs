//! All viewers of all robots: who they are, from where they come, what they get. No socket and no clock of its own.
//!
//! Each frame is cut once and encrypted for each viewer. Nobody waits for anybody: what a viewer's path does not take is
//! dropped, asked for again or not, within that viewer's bounds.

use crate::batch::{Batch, Outlet};
use crate::bucket::Bucket;
use crate::cache::{Cache, Frame, Taken};
use crate::ice;
use crate::join::{End, Join, Joined, Limits, Refused, StreamId, ViewerId};
use crate::rtcp::{self, Said};
use crate::sdp::{self, Ice, Own};
use crate::secure::{Identity, Secure};
use crate::stats::Stats;
use crate::track::{Begin, Track};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long a viewer may take to connect, and be silent afterwards. Browsers prove every few seconds that they are there.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(20);
/// A stream's robot is asked for keyframes no more often than this, however many want one.
const KEYFRAME_EVERY: Duration = Duration::from_secs(1);
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// Addresses from which one viewer may speak: its paths while it looks for the best.
const ADDRESSES_MAX: usize = 6;
/// What one viewer may send, datagrams at once and each second; beyond it they are dropped unread.
const STUN: (u32, f64) = (60, 30.0);
const DTLS: (u32, f64) = (60, 20.0);
const REPORTS: (u32, f64) = (200, 200.0);
/// The source's name in reports.
const CNAME: &str = "longrein";
/// Random bytes behind a viewer's names and first numbers.
const NAMES_LEN: usize = 36;
const UFRAG_LEN: usize = 8;
const PASSWORD_LEN: usize = 24;

struct Viewer {
    stream: StreamId,
    account: String,
    ends: Instant,
    own: Ice,
    theirs: Ice,
    secure: Secure,
    track: Track,
    remote: Option<SocketAddr>,
    addresses: Vec<SocketAddr>,
    joined: Instant,
    heard: Instant,
    reported: Instant,
    stun: Bucket,
    dtls: Bucket,
    reports: Bucket,
}

struct Stream {
    cache: Cache,
    viewers: Vec<ViewerId>,
    wish: Wish,
}

/// Many viewers' wish for a keyframe as one.
#[derive(Debug, Default)]
struct Wish {
    wanted: bool,
    asked: Option<Instant>,
    /// How often the robot was asked.
    count: u64,
}

impl Wish {
    /// Whether the robot is to be asked now.
    fn due(&mut self, now: Instant) -> bool {
        let early = |asked| now.saturating_duration_since(asked) < KEYFRAME_EVERY;
        if !self.wanted || self.asked.is_some_and(early) {
            return false;
        }
        self.asked = Some(now);
        self.count += 1;
        true
    }
}

/// The viewers.
pub(crate) struct Hub {
    identity: Identity,
    addresses: Vec<SocketAddr>,
    limits: Limits,
    stats: Arc<Stats>,
    random: SystemRandom,
    streams: BTreeMap<StreamId, Stream>,
    viewers: HashMap<ViewerId, Viewer>,
    by_ufrag: HashMap<String, ViewerId>,
    by_address: HashMap<SocketAddr, ViewerId>,
    batch: Batch,
    /// Whether there are new streams, fewer of them, or new wishes for keyframes.
    changed: bool,
}

impl Hub {
    /// A hub that is reached at `addresses`.
    pub(crate) fn new(
        identity: Identity,
        addresses: Vec<SocketAddr>,
        limits: Limits,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            identity,
            addresses,
            limits,
            stats,
            random: SystemRandom::new(),
            streams: BTreeMap::new(),
            viewers: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            batch: Batch::default(),
            changed: false,
        }
    }

    /// The streams that somebody sees and how often a keyframe of each was wished for, when that changed.
    pub(crate) fn poll_wants(&mut self) -> Option<BTreeMap<StreamId, u64>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        Some(self.streams.iter().map(|(id, stream)| (Arc::clone(id), stream.wish.count)).collect())
    }

    /// How many viewers there are.
    pub(crate) fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// Lets a viewer in.
    pub(crate) fn join(&mut self, join: Join, now: Instant) -> Result<Joined, Refused> {
        self.room_for(&join)?;
        let keys = |error: &dyn std::fmt::Display| Refused::Keys(error.to_string());
        let secure = Secure::new(&self.identity, join.offer.fingerprint).map_err(|e| keys(&e))?;
        let mut noise = [0; NAMES_LEN];
        self.random.fill(&mut noise).map_err(|e| keys(&e))?;
        let own = self.new_ice()?;
        let (viewer, begin, session) = named(&noise);
        let answer = join.offer.answer(&Own {
            session,
            ice: &own,
            fingerprint: &self.identity.fingerprint,
            addresses: &self.addresses,
            ssrc: begin.ssrc,
            rtx_ssrc: begin.rtx_ssrc,
            cname: CNAME,
        });
        let codec = &join.offer.codec;
        let track = Track::new(codec.payload_type, codec.rtx, begin, now);
        let bucket = |(burst, per_s)| Bucket::new(burst, per_s, now);
        self.by_ufrag.insert(own.ufrag.clone(), viewer);
        let stream = self.streams.entry(Arc::clone(&join.stream)).or_insert_with(|| {
            self.changed = true;
            Stream { cache: Cache::new(), viewers: Vec::new(), wish: Wish::default() }
        });
        stream.viewers.push(viewer);
        let etag = own.ufrag.clone();
        let new = Viewer {
            stream: join.stream,
            account: join.account,
            ends: join.ends,
            own,
            theirs: join.offer.ice,
            secure,
            track,
            remote: None,
            addresses: Vec::new(),
            joined: now,
            heard: now,
            reported: now,
            stun: bucket(STUN),
            dtls: bucket(DTLS),
            reports: bucket(REPORTS),
        };
        tracing::info!(%viewer, stream = &*new.stream, account = new.account, "a viewer joined");
        self.viewers.insert(viewer, new);
        Stats::add(&self.stats.joined, 1);
        Ok(Joined { viewer, answer, etag })
    }

    fn room_for(&self, join: &Join) -> Result<(), Refused> {
        let of_account = self.viewers.values().filter(|v| v.account == join.account).count();
        let of_stream = self.streams.get(&join.stream).map_or(0, |stream| stream.viewers.len());
        let refused = if self.viewers.len() >= self.limits.viewers_max {
            Refused::Full
        } else if of_stream >= self.limits.stream_viewers_max {
            Refused::StreamFull
        } else if of_account >= self.limits.account_viewers_max {
            Refused::Account(of_account)
        } else {
            return Ok(());
        };
        Stats::add(&self.stats.refused, 1);
        Err(refused)
    }

    fn new_ice(&self) -> Result<Ice, Refused> {
        const CHARS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut noise = [0; UFRAG_LEN + PASSWORD_LEN];
        self.random.fill(&mut noise).map_err(|error| Refused::Keys(error.to_string()))?;
        let text: String =
            noise.iter().map(|byte| char::from(CHARS[usize::from(byte & 0x3f)])).collect();
        let (ufrag, password) = text.split_at(UFRAG_LEN);
        Ok(Ice { ufrag: ufrag.to_owned(), password: password.to_owned() })
    }

    /// Whether `viewer` is there and `account`'s.
    pub(crate) fn is_of(&self, viewer: ViewerId, account: &str) -> bool {
        self.viewers.get(&viewer).is_some_and(|viewer| viewer.account == account)
    }

    /// A viewer's ICE: `None` when it goes on as it was, else the fragment and the tag of the restart.
    pub(crate) fn restart(
        &mut self,
        viewer: ViewerId,
        theirs: Option<Ice>,
    ) -> Result<Option<(String, String)>, Refused> {
        let fresh = self.new_ice()?;
        let Some(known) = self.viewers.get_mut(&viewer) else { return Ok(None) };
        let Some(theirs) = theirs.filter(|theirs| *theirs != known.theirs) else { return Ok(None) };
        self.by_ufrag.remove(&known.own.ufrag);
        self.by_ufrag.insert(fresh.ufrag.clone(), viewer);
        (known.theirs, known.own) = (theirs, fresh);
        Ok(Some((sdp::fragment(&known.own, &self.addresses), known.own.ufrag.clone())))
    }

    /// A viewer leaves. False: there is none of this name.
    pub(crate) fn leave(
        &mut self,
        viewer: ViewerId,
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> bool {
        self.end(viewer, &End::Left, now, outlet)
    }

    /// Everybody leaves.
    pub(crate) fn stop(&mut self, now: Instant, outlet: &mut impl Outlet) {
        let all: Vec<ViewerId> = self.viewers.keys().copied().collect();
        for viewer in all {
            self.end(viewer, &End::Stopped, now, outlet);
        }
    }

    fn end(&mut self, id: ViewerId, why: &End, now: Instant, outlet: &mut impl Outlet) -> bool {
        let Some(mut viewer) = self.viewers.remove(&id) else { return false };
        if let Some(to) = viewer.remote {
            viewer.secure.close(now, |datagram| outlet.send(to, datagram, None));
        }
        self.by_ufrag.remove(&viewer.own.ufrag);
        for address in &viewer.addresses {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
            }
        }
        let seconds = now.saturating_duration_since(viewer.joined).as_secs();
        tracing::info!(viewer = %id, stream = &*viewer.stream, seconds, %why, "a viewer is gone");
        if let Some(stream) = self.streams.get_mut(&viewer.stream) {
            stream.viewers.retain(|other| *other != id);
            if stream.viewers.is_empty() {
                self.streams.remove(&viewer.stream);
                self.changed = true;
            }
        }
        true
    }

    /// The next frame of a stream. One that nobody sees is dropped.
    pub(crate) fn frame(
        &mut self,
        id: &StreamId,
        frame: &Frame,
        now: Instant,
        outlet: &mut impl Outlet,
    ) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        match stream.cache.take(frame) {
            Taken::Old => return,
            Taken::Broken => {
                stream.wish.wanted = true;
                self.changed |= stream.wish.due(now);
                return;
            }
            Taken::New => {}
        }
        Stats::add(&self.stats.frames, 1);
        if frame.keyframe {
            stream.wish.wanted = false;
        }
        let Some(cut) = stream.cache.newest() else { return };
        for id in &stream.viewers {
            let Some(viewer) = self.viewers.get_mut(id) else { continue };
            let Some(to) = viewer.remote.filter(|_| viewer.secure.is_ready()) else { continue };
            let (secure, batch) = (&mut viewer.secure, &mut self.batch);
            let mut packets = 0;
            viewer.track.send(cut, now, |out| {
                packets += 1;
                batch.push(secure, &out, to, outlet);
            });
            batch.flush(to, outlet);
            Stats::add(&self.stats.packets, packets);
        }
    }

    /// A datagram arrived.
    pub(crate) fn datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        outlet: &mut impl Outlet,
    ) {
        let taken = match datagram.first() {
            Some(0..=3) => self.stun(from, datagram, now, outlet),
            Some(20..=63) => self.dtls(from, datagram, now, outlet),
            // Viewers send reports, and nothing else that is listened to.
            Some(128..=191) => self.report(from, datagram, now, outlet),
            _other => None,
        };
        if taken.is_none() {
            Stats::add(&self.stats.dropped, 1);
        }
    }

    fn stun(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<()> {
        let request = ice::Request::parse(datagram)?;
        let id = *self.by_ufrag.get(request.ufrag)?;
        let viewer = self.viewers.get_mut(&id)?;
        if !viewer.stun.take(1, now) || !request.is_by(&viewer.own.password) {
            return None;
        }
        viewer.heard = now;
        if !viewer.addresses.contains(&from) {
            if viewer.addresses.len() >= ADDRESSES_MAX {
                // The path in use stays.
                let spare = viewer.addresses.iter().position(|at| Some(*at) != viewer.remote)?;
                let gone = viewer.addresses.remove(spare);
                if self.by_address.get(&gone) == Some(&id) {
                    self.by_address.remove(&gone);
                }
            }
            viewer.addresses.push(from);
        }
        self.by_address.insert(from, id);
        if request.nominated || viewer.remote.is_none() {
            viewer.remote = Some(from);
        }
        outlet.send(from, &request.answer(from, &viewer.own.password), None);
        Some(())
    }

    fn dtls(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<()> {
        let id = *self.by_address.get(&from)?;
        let viewer = self.viewers.get_mut(&id)?;
        if !viewer.dtls.take(1, now) {
            return None;
        }
        let ready = viewer.secure.is_ready();
        let read = viewer.secure.read(datagram, now, |out| outlet.send(from, out, None));
        if let Err(error) = read {
            // With keys in hand, noise is noise; before, they will never be agreed upon.
            if ready {
                return None;
            }
            Stats::add(&self.stats.failed, 1);
            self.end(id, &End::Failed(error.to_string()), now, outlet);
            return Some(());
        }
        if viewer.secure.is_closed() {
            self.end(id, &End::Left, now, outlet);
            return Some(());
        }
        if !ready && viewer.secure.is_ready() {
            self.connected(id, now, outlet);
        }
        Some(())
    }

    fn connected(&mut self, id: ViewerId, now: Instant, outlet: &mut impl Outlet) {
        let Some(viewer) = self.viewers.get_mut(&id) else { return };
        let Some(stream) = self.streams.get_mut(&viewer.stream) else { return };
        let Some(to) = viewer.remote else { return };
        let (secure, batch) = (&mut viewer.secure, &mut self.batch);
        viewer.track.catch_up(&stream.cache, now, |out| batch.push(secure, &out, to, outlet));
        batch.flush(to, outlet);
        if viewer.track.awaits_keyframe() {
            stream.wish.wanted = true;
            self.changed |= stream.wish.due(now);
        }
        let ms = now.saturating_duration_since(viewer.joined).as_millis();
        tracing::debug!(viewer = %id, ms, "a viewer is connected");
    }

    fn report(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
        outlet: &mut impl Outlet,
    ) -> Option<()> {
        let id = *self.by_address.get(&from)?;
        let viewer = self.viewers.get_mut(&id)?;
        if !viewer.reports.take(1, now) {
            return None;
        }
        let report = viewer.secure.open_report(datagram)?;
        viewer.heard = now;
        let stream = self.streams.get_mut(&viewer.stream)?;
        let (batch, stats) = (&mut self.batch, &self.stats);
        let mut left = false;
        rtcp::read(&report, |said| match said {
            Said::Missing { seq, .. } => {
                let Some(out) = viewer.track.missing(seq, &stream.cache, now) else {
                    return Stats::add(&stats.not_again, 1);
                };
                Stats::add(&stats.again, 1);
                batch.push(&mut viewer.secure, &out, from, outlet);
            }
            Said::KeyframeWanted => stream.wish.wanted |= viewer.track.wants_keyframe(now),
            Said::Lost { ssrc, share_256 } => viewer.track.lost(ssrc, share_256, now),
            Said::Goodbye => left = true,
        });
        batch.flush(from, outlet);
        self.changed |= stream.wish.due(now);
        if left {
            self.end(id, &End::Left, now, outlet);
        }
        Some(())
    }

    /// Some time has passed: a few dozen milliseconds are soon enough.
    pub(crate) fn tick(&mut self, now: Instant, wall: SystemTime, outlet: &mut impl Outlet) {
        let mut ended = Vec::new();
        for (id, viewer) in &mut self.viewers {
            if let Some(why) = viewer.tick(now, wall, outlet) {
                ended.push((*id, why));
            }
        }
        for (id, why) in ended {
            self.end(id, &why, now, outlet);
        }
        for stream in self.streams.values_mut() {
            stream.wish.wanted |= stream.cache.is_broken();
            self.changed |= stream.wish.due(now);
        }
    }
}

impl Viewer {
    /// What is due of one viewer; why it ends, if it does.
    fn tick(&mut self, now: Instant, wall: SystemTime, outlet: &mut impl Outlet) -> Option<End> {
        if now >= self.ends {
            return Some(End::Expired);
        }
        if now.saturating_duration_since(self.heard) > SILENT_MAX {
            return Some(End::Silent);
        }
        let waited = now.saturating_duration_since(self.joined);
        let Some(to) = self.remote else {
            return (waited > CONNECT_WITHIN).then_some(End::NeverConnected);
        };
        if !self.secure.is_ready() {
            let ticked = self.secure.tick(now, |out| outlet.send(to, out, None));
            return match ticked {
                Err(error) => Some(End::Failed(error.to_string())),
                Ok(()) => (waited > CONNECT_WITHIN).then_some(End::NeverConnected),
            };
        }
        if now.saturating_duration_since(self.reported) >= REPORT_EVERY {
            self.reported = now;
            let report = rtcp::sender_report(&self.track.sent(), CNAME, wall);
            if let Some(report) = self.secure.protect_report(&report) {
                outlet.send(to, &report, None);
            }
        }
        None
    }
}

/// Names and first numbers out of random bytes.
fn named(noise: &[u8; NAMES_LEN]) -> (ViewerId, Begin, u64) {
    let part = |from: usize, len: usize| {
        noise.iter().skip(from).take(len).fold(0_u128, |value, b| value << 8 | u128::from(*b))
    };
    let word = |from| u32::try_from(part(from, 4)).unwrap_or(0);
    let half = |from| u16::try_from(part(from, 2)).unwrap_or(0);
    let ssrc = word(16) | 1;
    let begin = Begin {
        ssrc,
        rtx_ssrc: ssrc.wrapping_add(1),
        // Low ones: SRTP's count of wraps begins with the first packet (RFC 3711, 3.3.1).
        seq: half(20) & 0x7fff,
        rtx_seq: half(22) & 0x7fff,
        timestamp: word(24),
    };
    (ViewerId::new(part(0, 16)), begin, u64::try_from(part(28, 8) >> 1).unwrap_or(0))
}

#[cfg(test)]
mod tests;
