#!/usr/bin/env python3
"""A client of the Earth Rovers API, written from its public description alone: walks every endpoint, each success and
each error, and checks status, shape and words.

  earth_rover_client.py --url http://localhost:8000                 free ride: every endpoint
  earth_rover_client.py --url … --needs-mission                     with a mission set: what a ride refuses before it starts
  earth_rover_client.py --url … --second http://localhost:8001      a second client on the same rover is refused
  earth_rover_client.py --url … --gone                              the robot is not there: clear errors, no empty answers

Prints one line for each failed check and a JSON summary; the exit status is 1 if any check failed.
"""

import argparse
import base64
import json
import socket
import sys
import threading
import time
from urllib.parse import urlsplit

import cv2
import numpy as np
import requests
import websocket

NINE = ["speed", "battery", "orientation", "latitude", "longitude", "gps_signal", "signal_level", "vibration", "lamp"]
RIDE = [
    ("POST", "/control"), ("POST", "/control-legacy"), ("GET", "/data"), ("GET", "/v2/front"), ("GET", "/v2/rear"),
    ("GET", "/v2/screenshot"), ("GET", "/screenshot"), ("GET", "/checkpoints-list"), ("POST", "/checkpoints-list"),
    ("POST", "/checkpoint-reached"), ("POST", "/interventions/start"),
]
MOVE = {"command": {"linear": 0.5, "angular": 0.0, "lamp": 0}}
REST = {"command": {"linear": 0, "angular": 0, "lamp": 0}}


class Walk:
    """The checks of one run."""

    def __init__(self, base):
        self.base, self.passed, self.failed = base.rstrip("/"), 0, []

    def check(self, what, holds, seen=""):
        if holds:
            self.passed += 1
        else:
            self.failed.append(what)
            print(f"FAILED {what}: {str(seen)[:300]}", flush=True)
        return holds

    def call(self, method, path, **more):
        more.setdefault("timeout", 20)
        return requests.request(method, self.base + path, **more)

    def answer(self, what, method, path, status=200, **more):
        """Calls and checks the status. The JSON of the answer, or an empty object."""
        response = self.call(method, path, **more)
        self.check(f"{what}: status {status}", response.status_code == status,
                   f"{response.status_code} {response.text[:200]}")
        try:
            body = response.json()
        except ValueError:
            self.check(f"{what}: JSON", False, response.text[:200])
            return {}
        if status == 200:
            self.check(f"{what}: not empty", body not in ({}, None), body)
        return body if isinstance(body, dict) else {}

    def refusal(self, what, method, path, status, detail=None, **more):
        """Calls and checks that the answer is {"detail": …} with `status`, and `detail` if one is given."""
        statuses = status if isinstance(status, tuple) else (status,)
        response = self.call(method, path, **more)
        try:
            said = response.json().get("detail")
        except (ValueError, AttributeError):
            said = None
        self.check(f"{what}: status {status}", response.status_code in statuses, f"{response.status_code} {response.text[:200]}")
        self.check(f"{what}: a detail", bool(said), response.text[:200])
        if detail is not None:
            self.check(f"{what}: says {detail!r}", said == detail, said)
        return said

    def summary(self):
        print(json.dumps({"passed": self.passed, "failed": self.failed}))
        return 1 if self.failed else 0


def decode(text, what, walk):
    raw = base64.b64decode(text or "", validate=True)
    frame = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
    walk.check(f"{what}: a picture", frame is not None, f"{len(raw)} bytes")
    return raw, frame


def data(walk):
    # A robot that was just started may not know its battery yet, and says so instead of an empty one.
    until = time.monotonic() + 15
    while walk.call("GET", "/data").status_code == 503 and time.monotonic() < until:
        time.sleep(0.2)
    body = walk.answer("/data", "GET", "/data")
    for key in NINE:
        value = body.get(key)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
        walk.check(f"/data: {key} is a number", number, value)
    walk.check("/data: timestamp is now", abs(body.get("timestamp", 0) - time.time()) < 2, body.get("timestamp"))
    walk.check("/data: orientation is 0 to 360", 0 <= body.get("orientation", -1) <= 360, body.get("orientation"))
    walk.check("/data: battery is in percent", 1 < body.get("battery", 0) <= 100, body.get("battery"))
    for key, columns in (("accels", 4), ("gyros", 4), ("mags", 4), ("rpms", 5)):
        rows = body.get(key)
        well = isinstance(rows, list) and all(len(r) == columns and all(isinstance(v, (int, float)) for v in r) for r in rows)
        walk.check(f"/data: {key} are rows of {columns}", well, rows)
        if rows and well:
            walk.check(f"/data: {key} are of now", abs(rows[-1][-1] - time.time()) < 3, rows[-1])
    # Samples are told once: of a robot with a magnetometer they come with one of the next answers.
    fields, until = body.get("mags"), time.monotonic() + 3
    while not fields and time.monotonic() < until:
        time.sleep(0.02)
        fields = walk.call("GET", "/data").json().get("mags")
    walk.check("/data: mags are there", bool(fields), fields)
    strength = sum(v * v for v in fields[-1][:3]) ** 0.5 if fields else 0
    walk.check("/data: mags have the strength of the Earth's field in µT", 20 < strength < 70, fields)
    walk.check("/data: accels are there", bool(body.get("accels")), body.get("accels"))
    return body


def frames(walk):
    for camera in ("front", "rear"):
        stamps, pictures, ages = [], [], []
        for _ in range(8):
            body = walk.answer(f"/v2/{camera}", "GET", f"/v2/{camera}")
            now = time.time()
            raw, _ = decode(body.get(f"{camera}_frame"), f"/v2/{camera}", walk)
            stamps.append(body.get("timestamp", 0)), pictures.append(raw), ages.append(now - stamps[-1])
        walk.check(f"/v2/{camera}: times grow", all(a < b for a, b in zip(stamps, stamps[1:])), stamps)
        # The scene may stand still; only the front camera's picture has the time in it.
        differ = camera == "rear" or len(set(pictures)) == len(pictures)
        walk.check(f"/v2/{camera}: never twice the same", differ, len(set(pictures)))
        walk.check(f"/v2/{camera}: real capture times, fresh", all(0 <= age < 0.5 for age in ages), ages)
    both = walk.answer("/v2/screenshot", "GET", "/v2/screenshot")
    for camera in ("front", "rear"):
        decode(both.get(f"{camera}_frame"), f"/v2/screenshot {camera}", walk)
    latest = max(both.get("front_timestamp", 0), both.get("rear_timestamp", 0))
    walk.check("/v2/screenshot: timestamp is the latest", both.get("timestamp") == latest and latest > 0, latest)
    views = walk.answer("/screenshot", "GET", "/screenshot?view_types=rear,map,front")
    for view in ("rear", "map", "front"):
        raw, _ = decode(views.get(f"{view}_frame"), f"/screenshot {view}", walk)
        walk.check(f"/screenshot {view}: PNG", raw.startswith(b"\x89PNG"), raw[:8])
    walk.check("/screenshot: timestamp", isinstance(views.get("timestamp"), (int, float)), views.get("timestamp"))
    one = walk.answer("/screenshot of one view", "GET", "/screenshot?view_types=map")
    walk.check("/screenshot of one view: no other", "map_frame" in one and "front_frame" not in one, list(one))
    walk.answer("/screenshot by default", "GET", "/screenshot")
    walk.refusal("/screenshot of an unknown view", "GET", "/screenshot?view_types=up", 400, "Invalid view type: up")


def feed(walk):
    for view in ("front", "rear"):
        with walk.call("GET", f"/feed?view={view}&fps=15", stream=True) as response:
            kind = response.headers.get("content-type", "").replace(" ", "")
            walk.check(f"/feed {view}: multipart", kind == "multipart/x-mixed-replace;boundary=frame", kind)
            raw = b""
            for chunk in response.iter_content(4096):
                raw += chunk
                if raw.count(b"--frame") > 3:
                    break
        head, _, rest = raw.partition(b"\r\n\r\n")
        names = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
        names = {name.lower(): value for name, value in names.items()}
        length = int(names.get(b"content-length", b"0"))
        walk.check(f"/feed {view}: parts are JPEG", names.get(b"content-type") == b"image/jpeg", names)
        walk.check(f"/feed {view}: lengths are right", rest[length:length + 9] == b"\r\n--frame", rest[length:length + 12])
        video = cv2.VideoCapture(f"{walk.base}/feed?view={view}&fps=30")
        count, start = 0, time.monotonic()
        while count < 20 and time.monotonic() - start < 15:
            ok, frame = video.read()
            count += bool(ok and frame is not None and frame.shape[2] == 3)
        video.release()
        walk.check(f"/feed {view}: OpenCV reads it", count >= 20, count)
    walk.refusal("/feed of an unknown view", "GET", "/feed?view=up", 400)
    for fps in ("0", "1000", "-3"):
        with walk.call("GET", f"/feed?view=front&fps={fps}", stream=True) as response:
            walk.check(f"/feed at {fps} fps: clamped", response.status_code == 200, response.status_code)
    walk.refusal("/feed at no rate", "GET", "/feed?view=front&fps=fast", (400, 422))


def status(walk):
    body = walk.answer("/status", "GET", "/status")
    for key in ("browser_ready", "browser_error", "mission_started", "rtm", "video", "ingest_connected",
                "ingest_connections", "telemetry_age_s"):
        walk.check(f"/status: {key}", key in body, list(body))
    for key in ("ready", "aborted", "dispatched", "delivered", "failed", "last_error", "last_delivered_at"):
        walk.check(f"/status: rtm.{key}", key in body.get("rtm", {}), body.get("rtm"))
    for camera in ("front", "rear"):
        for key in ("loop_running", "latest_frame_age_s", "captures_total", "failures_total", "last_error"):
            walk.check(f"/status: video.{camera}.{key}", key in body.get("video", {}).get(camera, {}), body.get("video"))


def push(walk):
    """The websocket: a snapshot at once, then telemetry as it comes."""
    try:
        connection = websocket.create_connection(walk.base.replace("http", "ws", 1) + "/ws/data", timeout=8)
    except (websocket.WebSocketException, OSError) as error:
        walk.check("/ws/data: opens", False, error)
        return
    first = json.loads(connection.recv())
    walk.check("/ws/data: snapshot first", first.get("type") == "snapshot" and "data" in first, first)
    for key in ("ingest_connected", "ingest_connections", "telemetry_age_s"):
        walk.check(f"/ws/data: snapshot has {key}", key in first, list(first))
    kinds = [json.loads(connection.recv()) for _ in range(5)]
    walk.check("/ws/data: then telemetry", all(k.get("type") == "telemetry" for k in kinds), [k.get("type") for k in kinds])
    walk.check("/ws/data: with the nine numbers", all(isinstance(kinds[-1].get("data", {}).get(key), (int, float)) for key in NINE), kinds[-1])
    connection.close()


def speed_within(walk, seconds, holds):
    """Whether `holds` became true of the speed within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds(abs(walk.call("GET", "/data").json().get("speed", 0))):
            return True
        time.sleep(0.05)
    return False


def bad_commands(walk):
    """Nothing of this is a command; nothing moves."""
    js = {"Content-Type": "application/json"}
    not_provided = "Command not provided"
    walk.refusal("/control {}", "POST", "/control", 400, not_provided, json={})
    walk.refusal("/control with an empty command", "POST", "/control", 400, not_provided, json={"command": {}})
    walk.refusal("/control with null", "POST", "/control", 400, not_provided, json={"command": None})
    number = lambda v: '{"command":{"linear":%s,"angular":0}}' % v
    for name, body in {
        "no body": b"", "no JSON": b"forwards!", "an array": b"[1]", "a number": b"7", "half of it": b'{"command":',
        "NaN": number("NaN"), "infinity": number("Infinity"), "1e999": number("1e999"), "a string": number('"fast"'),
        "true": number("true"), "null": number("null"), "a list": number("[1]"), "too fast": number("1.5"),
        "too fast backwards": number("-40"), "bytes that are no text": b'{"command":{"linear":"\xff\xfe"}}',
        "deep nesting": b"[" * 5000, "a command that is a text": b'{"command":"go"}', "a huge body": b" " * 3_000_000 + b"{}",
    }.items():
        walk.refusal(f"/control with {name}", "POST", "/control", (400, 413, 422), data=body, headers=js)
    walk.refusal("/control by GET", "GET", "/control", 405)
    # Half a request, never finished, must not disturb anybody.
    at = urlsplit(walk.base)
    half = socket.create_connection((at.hostname, at.port), timeout=5)
    half.sendall(b"POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{\"comm")
    walk.check("nothing has moved", speed_within(walk, 1, lambda speed: speed < 0.02))
    half.close()


def control(walk):
    bad_commands(walk)
    for path in ("/control", "/control-legacy"):
        sent = {"message": "Command sent successfully"}
        moved = False
        for _ in range(12):
            walk.call("GET", "/v2/front")
            body = walk.answer(path, "POST", path, json=MOVE)
            walk.check(f"{path}: words", body == sent, body)
            moved = moved or speed_within(walk, 0.1, lambda speed: speed > 0.05)
        walk.check(f"{path}: the robot goes", moved)
        walk.answer(f"{path} to rest", "POST", path, json=REST)
        walk.check(f"{path}: the robot stands", speed_within(walk, 3, lambda speed: speed < 0.02))
    # One command, then silence: the robot goes for the hold time, then stands by itself.
    walk.call("GET", "/v2/front")
    walk.answer("one command", "POST", "/control", json=MOVE)
    walk.check("one command: the robot goes", speed_within(walk, 1, lambda speed: speed > 0.05))
    walk.check("one command: it ends by itself", speed_within(walk, 5, lambda speed: speed < 0.02))


def speak(walk):
    body = walk.answer("/speak", "POST", "/speak", json={"text": "Hello from the sidewalk"})
    walk.check("/speak: words", body == {"message": "Speech sent to rover"}, body)
    for name, body in {"{}": {}, "an empty text": {"text": ""}, "null": {"text": None}}.items():
        walk.refusal(f"/speak {name}", "POST", "/speak", 400, "Text not provided", json=body)
    walk.refusal("/speak a book", "POST", "/speak", (400, 413, 422), json={"text": "word " * 400})
    walk.refusal("/speak a number", "POST", "/speak", (400, 422), json={"text": 7})


def missions(walk):
    listed = walk.answer("/missions", "GET", "/missions").get("missions", [])
    walk.check("/missions: there is one", len(listed) > 0, listed)
    for key in ("slug", "distance_in_m", "checkpoints_count"):
        walk.check(f"/missions: {key}", all(key in m for m in listed), listed)
    started = walk.answer("/start-mission", "POST", "/start-mission")
    walk.check("/start-mission: words", started.get("message") == "Mission started successfully", started)
    shape(walk, "/start-mission", started.get("checkpoints_list", {}))
    for method in ("GET", "POST"):
        shape(walk, f"{method} /checkpoints-list", walk.answer(f"{method} /checkpoints-list", method, "/checkpoints-list"))
    walk.check("/status: mission_started", walk.answer("/status in a mission", "GET", "/status").get("mission_started") is True)
    far = walk.refusal("/checkpoint-reached from afar", "POST", "/checkpoint-reached", 400)
    near = isinstance(far, dict) and far.get("proximate_distance_to_checkpoint", -1) > 0 and "meters" in far.get("error", "")
    walk.check("/checkpoint-reached from afar: says how far", near, far)
    interventions(walk)
    ended = walk.answer("/end-mission", "POST", "/end-mission")
    walk.check("/end-mission: words", ended == {"message": "Mission ended successfully"}, ended)
    walk.refusal("/interventions/end after the drive", "POST", "/interventions/end", 400, "No active intervention found")
    past, until = [{}], time.monotonic() + 10
    while not past[0].get("end_time") and time.monotonic() < until:
        past = walk.answer("/interventions/history", "GET", "/interventions/history").get("interventions", [{}])
        time.sleep(0.2)
    walk.check("/interventions/history: the drive's end ends it", bool(past[0].get("end_time")), past[:1])
    rides, until = [], time.monotonic() + 30
    while not rides and time.monotonic() < until:
        # The robot tells of a ride when it has sealed its record.
        rides = walk.answer("/missions-history", "GET", "/missions-history").get("mission_rides", [])
        time.sleep(0.5)
    walk.check("/missions-history: the ride is there", len(rides) > 0, rides)
    for key in ("id", "mission_slug", "success", "latest_scanned_checkpoint", "status", "start_time", "end_time"):
        walk.check(f"/missions-history: {key}", all(key in r for r in rides), rides[:1])


def shape(walk, what, body):
    checkpoints = body.get("checkpoints_list", [])
    walk.check(f"{what}: checkpoints", len(checkpoints) > 0, body)
    walk.check(f"{what}: latest_scanned_checkpoint", isinstance(body.get("latest_scanned_checkpoint"), int), body)
    for c in checkpoints:
        texts = isinstance(c.get("latitude"), str) and isinstance(c.get("longitude"), str)
        walk.check(f"{what}: places are texts of numbers", texts and 0 < abs(float(c["latitude"])) < 90, c)
        walk.check(f"{what}: id and sequence", "id" in c and isinstance(c.get("sequence"), int), c)


def interventions(walk):
    walk.refusal("/interventions/end without one", "POST", "/interventions/end", 400, "No active intervention found")
    started = walk.answer("/interventions/start", "POST", "/interventions/start")
    walk.check("/interventions/start: words", started.get("message") == "Intervention started successfully", started)
    walk.check("/interventions/start: id", bool(started.get("intervention_id")), started)
    ended = walk.answer("/interventions/end", "POST", "/interventions/end")
    walk.check("/interventions/end: words", ended.get("message") == "Intervention ended successfully", ended)
    for name, body in {"a number": {"cause": 7}, "nothing": {"cause": ""}}.items():
        walk.refusal(f"/interventions/start because of {name}", "POST", "/interventions/start", 400, json=body)
    # One that is under way when the mission ends.
    first = walk.answer("/interventions/start with a cause", "POST", "/interventions/start", json={"cause": "lost"})
    again = walk.answer("/interventions/start again", "POST", "/interventions/start")
    walk.check("/interventions/start again: the same", first == again, (first, again))
    past = walk.answer("/interventions/history", "GET", "/interventions/history").get("interventions", [])
    walk.check("/interventions/history: the newest goes on", past[:1] and past[0].get("end_time") is None, past[:1])
    walk.check("/interventions/history: the one before is over", past[1:] and past[1].get("end_time"), past[:2])
    walk.check("/interventions/history: in a ride", all(i.get("ride_id") and i.get("mission_slug") for i in past[:2]), past[:2])
    walk.check("/interventions/history: it is there", len(past) > 0, past)
    for key in ("ride_id", "start_time", "end_time", "mission_name", "mission_slug", "bot_name", "bot_slug"):
        walk.check(f"/interventions/history: {key}", all(key in i for i in past), past[:1])


def pages(walk):
    for path in ("/", "/sdk"):
        page = walk.call("GET", path)
        html = page.status_code == 200 and "text/html" in page.headers.get("content-type", "")
        walk.check(f"{path}: a page", html, f"{page.status_code} {page.headers.get('content-type')}")
        leaks = [w for w in ("Bearer ", "PRIVATE KEY", "eyJ", "token\"") if w in page.text]
        walk.check(f"{path}: no secrets in it", not leaks, leaks)
    walk.refusal("an unknown path", "GET", "/no/such/thing", 404)
    walk.refusal("an unknown camera", "GET", "/v2/roof", 404)
    walk.refusal("the wrong method", "DELETE", "/data", 405)
    walk.check("/ws/ingest is not served", walk.call("GET", "/ws/ingest").status_code in (404, 405))
    foreign = {"Origin": "https://evil.example"}
    walk.refusal("a page of another origin", "POST", "/control", 403, json=MOVE, headers=foreign)
    walk.refusal("a rebound name", "GET", "/data", 403, headers={"Host": "evil.example"})


def viewers(walk):
    """Many viewers of one feed, each gets its own pictures; slow ones and those who vanish disturb nobody."""
    counts = [0] * 10

    def view(i):
        with walk.call("GET", "/feed?view=front&fps=30", stream=True) as response:
            until = time.monotonic() + 3
            for chunk in response.iter_content(32768):
                counts[i] += chunk.count(b"--frame")
                if time.monotonic() > until:
                    break

    threads = [threading.Thread(target=view, args=(i,)) for i in range(len(counts))]
    [t.start() for t in threads]
    [t.join(15) for t in threads]
    walk.check("ten viewers of a feed", min(counts) >= 20, counts)


def before_a_mission(walk):
    words = "Call /start-mission endpoint to start a mission"
    for method, path in RIDE:
        walk.refusal(f"{method} {path} before the mission", method, path, 400, words, json=REST if "control" in path else None)
    walk.answer("/missions before the mission", "GET", "/missions")
    walk.answer("/status before the mission", "GET", "/status")
    walk.answer("/start-mission", "POST", "/start-mission")
    data(walk)
    walk.answer("/control in the mission", "POST", "/control", json=REST)
    walk.answer("/end-mission", "POST", "/end-mission")
    walk.refusal("/data after the mission", "GET", "/data", 400, words)


def second_client(walk, second):
    walk.answer("the first client", "POST", "/control", json=REST)
    other = Walk(second)
    for path, body in (("/control", MOVE), ("/speak", {"text": "mine"}), ("/start-mission", None)):
        other.refusal(f"the second client: {path}", "POST", path, 409, json=body)
    other.answer("the second client may look", "GET", "/v2/front")
    walk.answer("the first client still drives", "POST", "/control", json=REST)
    walk.passed, walk.failed = walk.passed + other.passed, walk.failed + other.failed


def gone(walk):
    for method, path in (("GET", "/data"), ("POST", "/control"), ("GET", "/v2/front"), ("GET", "/v2/rear"),
                         ("GET", "/v2/screenshot"), ("GET", "/feed?view=front"), ("POST", "/speak")):
        body = {"/control": MOVE, "/speak": {"text": "hello"}}.get(path)
        walk.refusal(f"{method} {path} without the robot", method, path, (404, 409, 502, 503, 504), json=body)
    walk.answer("/status without the robot", "GET", "/status")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--needs-mission", action="store_true")
    parser.add_argument("--second", metavar="URL")
    parser.add_argument("--gone", action="store_true")
    parser.add_argument("--only", help="run only this part: data, frames, feed, …")
    args = parser.parse_args()
    walk = Walk(args.url)
    if args.needs_mission:
        before_a_mission(walk)
    elif args.second:
        second_client(walk, args.second)
    elif args.gone:
        gone(walk)
    else:
        for part in (data, frames, feed, status, push, speak, control, missions, pages, viewers):
            if args.only in (None, part.__name__):
                part(walk)
    return walk.summary()


if __name__ == "__main__":
    sys.exit(main())
