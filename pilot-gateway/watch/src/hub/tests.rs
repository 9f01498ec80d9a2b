use super::*;
use crate::cache::tests::frame;
use crate::ice::tests::request;
use crate::sdp::Offer;
use crate::sdp::tests::CHROMIUM;

/// What went out.
#[derive(Default)]
struct Out(Vec<(SocketAddr, Vec<u8>)>);

impl Outlet for Out {
    fn send(&mut self, to: SocketAddr, contents: &[u8], segment: Option<usize>) {
        let len = segment.unwrap_or(contents.len()).max(1);
        self.0.extend(contents.chunks(len).map(|datagram| (to, datagram.to_vec())));
    }
}

struct Scene {
    hub: Hub,
    now: Instant,
    out: Out,
}

const LIMITS: Limits = Limits { viewers_max: 5, stream_viewers_max: 3, account_viewers_max: 2 };

fn at(n: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 7], n))
}

impl Scene {
    fn new() -> Self {
        let identity = Identity::generate().unwrap();
        let hub = Hub::new(identity, vec![at(1)], LIMITS, Arc::default());
        Self { hub, now: Instant::now(), out: Out::default() }
    }

    fn join(&mut self, stream: &str, account: &str) -> Result<Joined, Refused> {
        let offer = Offer::parse(CHROMIUM).unwrap();
        let ends = self.now + Duration::from_secs(3_600);
        let join = Join { stream: stream.into(), account: account.to_owned(), offer, ends };
        self.hub.join(join, self.now)
    }

    fn joined(&mut self) -> (ViewerId, Ice) {
        let viewer = self.join("a/front", "ada").unwrap().viewer;
        (viewer, self.hub.viewers[&viewer].own.clone())
    }

    fn arrives(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.hub.datagram(from, datagram, self.now, &mut self.out);
    }

    fn dropped(&self) -> u64 {
        self.hub.stats.dropped.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.hub.tick(self.now, SystemTime::UNIX_EPOCH, &mut self.out);
    }
}

#[test]
fn there_is_room_for_so_many() {
    let mut scene = Scene::new();
    scene.join("a/front", "ada").unwrap();
    scene.join("a/front", "ada").unwrap();
    assert_eq!(scene.join("b/front", "ada"), Err(Refused::Account(2)));
    scene.join("a/front", "bob").unwrap();
    assert_eq!(scene.join("a/front", "cleo"), Err(Refused::StreamFull));
    scene.join("b/front", "bob").unwrap();
    let last = scene.join("b/front", "cleo").unwrap();
    assert_eq!(scene.join("b/front", "dora"), Err(Refused::Full));
    assert!(!scene.hub.is_of(last.viewer, "dora") && scene.hub.is_of(last.viewer, "cleo"));
    assert!(scene.hub.leave(last.viewer, scene.now, &mut scene.out));
    scene.join("b/front", "dora").unwrap();
}

#[test]
fn a_stream_is_wanted_from_its_first_viewer_to_its_last() {
    let mut scene = Scene::new();
    assert_eq!(scene.hub.poll_wants(), None);
    let (first, _) = scene.joined();
    assert_eq!(scene.hub.poll_wants(), Some(BTreeMap::from([("a/front".into(), 0)])));
    let (second, _) = scene.joined();
    assert_eq!(scene.hub.poll_wants(), None, "the robot sends once");
    scene.hub.leave(first, scene.now, &mut scene.out);
    assert_eq!(scene.hub.poll_wants(), None);
    scene.hub.leave(second, scene.now, &mut scene.out);
    assert_eq!(scene.hub.poll_wants(), Some(BTreeMap::new()));
    assert!(scene.hub.by_ufrag.is_empty() && scene.hub.by_address.is_empty());
}

#[test]
fn who_knows_the_password_is_answered_and_nobody_else() {
    let mut scene = Scene::new();
    let (viewer, ice) = scene.joined();
    scene.arrives(at(9), &request(&ice.ufrag, "wrong", true));
    scene.arrives(at(9), &request("nobody", &ice.password, true));
    // A stranger's handshake or report reaches nobody.
    scene.arrives(at(9), &[22, 254, 253, 0, 0]);
    scene.arrives(at(9), &[0x80, 201, 0, 1, 0, 0, 0, 1]);
    scene.arrives(at(9), &[]);
    assert_eq!((scene.out.0.len(), scene.dropped()), (0, 5));
    scene.arrives(at(9), &request(&ice.ufrag, &ice.password, false));
    assert_eq!(scene.out.0.len(), 1);
    assert_eq!(scene.hub.viewers[&viewer].remote, Some(at(9)));
    scene.arrives(at(10), &request(&ice.ufrag, &ice.password, false));
    assert_eq!(scene.hub.viewers[&viewer].remote, Some(at(9)), "it was not chosen");
    scene.arrives(at(10), &request(&ice.ufrag, &ice.password, true));
    assert_eq!(scene.hub.viewers[&viewer].remote, Some(at(10)));
}

#[test]
fn a_flood_of_one_viewer_is_dropped_and_takes_no_room() {
    let mut scene = Scene::new();
    let (viewer, ice) = scene.joined();
    for n in 0..2_000 {
        scene.arrives(at(n), &request(&ice.ufrag, &ice.password, true));
    }
    assert_eq!(scene.out.0.len(), 60, "a burst, then nothing within the same moment");
    assert!(scene.hub.viewers[&viewer].addresses.len() <= ADDRESSES_MAX);
    assert!(scene.hub.by_address.len() <= ADDRESSES_MAX);
    assert_eq!(scene.dropped(), 1_940);
    // Noise in place of a handshake ends only this viewer.
    let (other, _) = scene.joined();
    let from = scene.hub.viewers[&viewer].remote.unwrap();
    let hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for n in 0..300_u16 {
        let mut noise = hello.to_vec();
        noise.extend(n.to_be_bytes().repeat(20));
        scene.arrives(from, &noise);
    }
    assert!(scene.hub.viewers.contains_key(&other));
}

#[test]
fn who_does_not_come_or_falls_silent_or_may_no_more_is_gone() {
    let mut scene = Scene::new();
    let (never, _) = scene.joined();
    scene.pass(16);
    assert!(!scene.hub.viewers.contains_key(&never));
    let (silent, ice) = scene.joined();
    scene.arrives(at(9), &request(&ice.ufrag, &ice.password, true));
    scene.pass(10);
    assert!(scene.hub.viewers.contains_key(&silent));
    scene.pass(11);
    assert!(!scene.hub.viewers.contains_key(&silent), "no keys were agreed upon");
    let (expired, _) = scene.joined();
    scene.hub.viewers.get_mut(&expired).unwrap().ends = scene.now + Duration::from_secs(1);
    scene.pass(1);
    assert!(scene.hub.viewers.is_empty() && scene.hub.streams.is_empty());
}

#[test]
fn many_wishes_for_a_keyframe_are_one_a_second() {
    let mut scene = Scene::new();
    scene.joined();
    let stream: StreamId = "a/front".into();
    scene.hub.poll_wants();
    let mut asked = Vec::new();
    for seq in 1..=300_u64 {
        scene.now += Duration::from_millis(33);
        // Nothing but what cannot be decoded.
        scene.hub.frame(&stream, &frame(seq, false, 100), scene.now, &mut scene.out);
        scene.hub.tick(scene.now, SystemTime::UNIX_EPOCH, &mut scene.out);
        asked.extend(scene.hub.poll_wants().and_then(|wants| wants.get(&stream).copied()));
    }
    assert!((9..=10).contains(&asked.len()), "{asked:?}");
    assert!(asked.is_sorted() && asked[0] == 1);
    scene.hub.frame(&stream, &frame(301, true, 100), scene.now, &mut scene.out);
    for _ in 0..100 {
        scene.now += Duration::from_millis(50);
        scene.hub.tick(scene.now, SystemTime::UNIX_EPOCH, &mut scene.out);
    }
    assert_eq!(scene.hub.poll_wants(), None, "one came");
}

#[test]
fn ice_begins_anew_with_new_names_and_only_when_the_player_has() {
    let mut scene = Scene::new();
    let (viewer, before) = scene.joined();
    let same = scene.hub.viewers[&viewer].theirs.clone();
    assert_eq!(scene.hub.restart(viewer, None), Ok(None));
    assert_eq!(scene.hub.restart(viewer, Some(same)), Ok(None));
    let theirs = Ice { ufrag: "newone".to_owned(), password: "x".repeat(24) };
    let (fragment, etag) = scene.hub.restart(viewer, Some(theirs)).unwrap().unwrap();
    assert!(fragment.contains(&format!("a=ice-ufrag:{etag}")) && etag != before.ufrag);
    scene.arrives(at(9), &request(&before.ufrag, &before.password, true));
    assert!(scene.out.0.is_empty(), "the old names are gone");
    let now = scene.hub.viewers[&viewer].own.clone();
    scene.arrives(at(9), &request(&now.ufrag, &now.password, true));
    assert_eq!(scene.out.0.len(), 1);
}
