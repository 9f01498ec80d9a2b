#!/usr/bin/env python3
"""Drive a Longrein robot to the first checkpoint of a mission, over the HTTP API for programs.

What it does, step by step:
  1. signs in with an Ed25519 key file (makes one and registers it, if you give an invitation),
  2. picks an open mission and takes a lease on its robot, signed with the key, so that the episode proves who drove,
  3. in a loop: looks (the robot moves only while the picture that its driver was given is fresh), reads the
     state, steers towards the checkpoint, drives for 400 ms,
  4. stops at the checkpoint and releases the robot.

The robot's safety core has the last word. When it does not obey, the answer is 409 with the reason in words; this
script then stops, tells the reason, and gives up if it lasts.

Example, with the demo running (an operator makes the invitation, role "agent"):
  pip install requests cryptography
  python drive_to_first_checkpoint.py --invitation 'http://127.0.0.1:7070/join#CODE'
  python drive_to_first_checkpoint.py                  # from then on the key file is enough
"""

import argparse
import base64
import hashlib
import math
import os
import signal
import sys
import time

import requests
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TTL_MS = 400  # how long one wish lasts: if this script dies, the robot stops after that
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Refused(Exception):
    """A problem document (RFC 9457) from the server."""

    def __init__(self, response):
        try:
            self.problem = response.json()
        except ValueError:
            self.problem = {}
        self.status = response.status_code
        self.code = self.problem.get("code", "")
        super().__init__(f"{self.status} {self.code}: {self.problem.get('detail', response.reason)}")


class Longrein:
    """The few calls of the API that this script needs."""

    def __init__(self, base, key):
        self.base, self.key, self.http = base.rstrip("/"), key, requests.Session()
        raw = key.public_key().public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw)
        number, text = int.from_bytes(b"\xed\x01" + raw, "big"), ""
        while number:
            number, digit = divmod(number, 58)
            text = BASE58[digit] + text
        self.did = "did:key:z" + text

    def sign(self, text):
        return self.key.sign(text.encode()).hex()

    def call(self, method, path, body=None):
        response = self.http.request(method, self.base + path, json=body, timeout=15)
        if not response.ok:
            raise Refused(response)
        return response

    def accept_invitation(self, code, name):
        signature = self.sign(f"longrein-invitation-v1\n{code}")
        body = {"did": self.did, "name": name, "signature": signature}
        self.call("POST", f"/v1/invitations/{code}/accept", body)

    def sign_in(self):
        nonce = self.call("POST", "/v1/auth/challenge", {"did": self.did}).json()["nonce"]
        body = {"did": self.did, "nonce": nonce, "signature": self.sign(f"longrein-auth-v1\n{nonce}")}
        session = self.call("POST", "/v1/auth/session", body).json()
        self.http.headers["Authorization"] = "Bearer " + session["token"]
        return session["claims"]

    def take_lease(self, robot, mission):
        """Takes the lease, then signs it: nobody but the owner of the key can open it."""
        relay = self.call("GET", "/v1/config").json()["relay_did"]
        order = {"robot": robot, "mission": mission, "relay": relay}
        lease = self.call("POST", "/v1/leases", order).json()["lease"]
        signed = hashlib.sha256(base64.b64decode(lease["payload"])).hexdigest()
        no_offer = hashlib.sha256(b"").hexdigest()
        signature = self.sign(f"longrein-open-v1\n{signed}\n{no_offer}")
        body = {"lease": lease, "driver_signature": signature}
        return self.call("POST", f"/v1/robots/{robot}/lease", body).json()


def load_key(path):
    """Reads the key file, or makes one that only its owner can read."""
    if not os.path.exists(path):
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        print(f"made a new key: {path}")
    with open(path, "rb") as file:
        return ser.load_pem_private_key(file.read(), password=None)


def bearing_and_distance(here, there):
    """Bearing clockwise from north in degrees, and distance in metres, in the plane that touches the Earth here."""
    radius = 6_371_008.8
    north = math.radians(there["lat_deg"] - here["lat_deg"]) * radius
    east = math.radians(there["lon_deg"] - here["lon_deg"]) * radius
    east *= math.cos(math.radians(here["lat_deg"]))
    return math.degrees(math.atan2(east, north)) % 360, math.hypot(east, north)


def steer(state, target, cruise):
    """Speed and turn rate towards the target, and the distance: turn first, then go, slower near the goal."""
    bearing, distance = bearing_and_distance(state["position"]["point"], target["position"])
    # Positive is to the right of where the robot looks; a turn to the left is a positive rate.
    error = (bearing - (state["heading_deg"] or 0.0) + 180) % 360 - 180
    angular = max(-0.8, min(0.8, -1.2 * math.radians(error)))
    facing = max(0.0, math.cos(math.radians(error))) if abs(error) < 60 else 0.0
    return min(cruise, max(0.25, distance / 4)) * facing, angular, distance


def look_and_read(api, robot, save):
    """One picture and one state. The picture is what the next command answers to."""
    picture = api.call("GET", f"/v1/robots/{robot}/look?camera=front")
    if save:
        with open(save, "wb") as file:
            file.write(picture.content)
    return picture.headers["X-Capture-Time"], api.call("GET", f"/v1/robots/{robot}/state").json()


def drive(api, robot, mission, args):
    """Drives until the server says that the first checkpoint is reached."""
    target, refusals, told, started = mission["checkpoints"][0], 0, 0.0, time.monotonic()
    while time.monotonic() - started < args.timeout:
        captured, state = look_and_read(api, robot, args.save_picture)
        if state["position"] is None or state["heading_deg"] is None:
            print("  no position or heading yet; waiting")
            time.sleep(0.5)
            continue
        linear, angular, distance = steer(state, target, args.speed)
        if distance < max(0.5, target["radius_m"] * 0.5):
            api.call("POST", f"/v1/robots/{robot}/stop", {})
            if api.call("GET", f"/v1/missions/{mission['id']}").json()["reached"]:
                return True
            # Inside the circle: stand still while the server counts the dwell time.
            time.sleep(0.2)
            continue
        wish = {"linear_mps": round(linear, 3), "angular_radps": round(angular, 3), "ttl_ms": TTL_MS}
        try:
            done = api.call("POST", f"/v1/robots/{robot}/drive", wish).json()
        except Refused as refused:
            if refused.code not in ("not-safe", "too-many"):
                raise
            refusals += 1
            print(f"  the robot does not obey: {refused.problem.get('detail')}")
            if refusals >= args.patience:
                print("  it does not get better; giving up")
                return False
            time.sleep(0.5)
            continue
        refusals = 0
        if time.monotonic() - told > 1.0:
            told = time.monotonic()
            print(f"  {distance:5.1f} m to go, {done['speed_mps']:.2f} m/s (limit {done['limit_mps']:.2f}),"
                  f" picture of {captured[11:23]}, {done['state']}: {done['words']}")
    print("  out of time")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:7070", help="the gateway (default: %(default)s)")
    parser.add_argument("--key", default="agent.key", help="key file, PKCS#8 PEM; made when missing (default: %(default)s)")
    parser.add_argument("--invitation", help="invitation URL or code: registers the key, once")
    parser.add_argument("--name", default="Example agent", help="name to register (default: %(default)s)")
    parser.add_argument("--mission", help="mission id (default: the first open one whose robot is online)")
    parser.add_argument("--speed", type=float, default=0.8, help="cruising speed in m/s (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=180, help="seconds until it gives up (default: %(default)s)")
    parser.add_argument("--patience", type=int, default=10, help="refusals in a row until it gives up (default: %(default)s)")
    parser.add_argument("--save-picture", metavar="FILE", help="keep the newest picture in FILE")
    args = parser.parse_args()
    # Ctrl-C and kill both end in `finally` below: the robot is stopped and released.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    api = Longrein(args.url, load_key(args.key))
    if args.invitation:
        code = args.invitation.rsplit("#", 1)[-1].rsplit("/", 1)[-1]
        try:
            api.accept_invitation(code, args.name)
            print(f"registered {api.did}")
        except Refused as refused:
            # Registered before: an invitation works once, the key works from then on.
            if refused.code not in ("conflict", "bad-code"):
                raise
            print(f"invitation not used ({refused.problem.get('detail')}); trying to sign in")
    claims = api.sign_in()
    print(f"signed in as {claims['name']} ({claims['role']})")

    missions = api.call("GET", "/v1/missions?state=open").json()["items"]
    chosen = [m for m in missions if (m["id"] == args.mission if args.mission else m.get("robot_online", True))]
    if not chosen:
        sys.exit("no open mission with a robot online" if not args.mission else f"{args.mission} is not open")
    mission, robot = chosen[0], chosen[0]["robot"]
    print(f"mission {mission['name']!r} on {robot}: {len(mission['checkpoints'])} checkpoints, reward {mission['reward']}")

    lease = api.take_lease(robot, mission["id"])
    print(f"lease {lease['lease_id']}, recording {lease['episode']}")
    try:
        reached = drive(api, robot, mission, args)
    finally:
        for method, path in (("POST", "stop"), ("DELETE", "lease")):
            try:
                api.call(method, f"/v1/robots/{robot}/{path}", {} if method == "POST" else None)
            except (Refused, requests.RequestException) as error:
                print(f"  {path}: {error} (the robot frees itself after 5 s of silence)")
    print("first checkpoint reached; robot released" if reached else "checkpoint not reached; robot released")
    return 0 if reached else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    except requests.ConnectionError as error:
        sys.exit(f"cannot reach the gateway: {error}\nIs it running? Start the demo, or name its address with --url.")
    except KeyboardInterrupt:
        sys.exit(130)
