#!/usr/bin/env python3
"""Drive a whole mission through the Earth Rovers API alone: waypoint following from /data, nothing else.

The same script drives a rover of the Earth Rovers SDK and a robot of Longrein. For Longrein, start in another terminal
  longrein earth-rover --robot demo-rover-1
which gives this script the robot at http://localhost:8000.

  pip install requests
  python earth_rover_waypoints.py

Each tick it looks at the front camera (the robot goes faster for a driver who has seen a fresh picture), reads position
and orientation, steers towards the next checkpoint and sends one command. At the checkpoint it stands still and asks
the server whether it counts. When a command is not obeyed, it prints the reason and waits.
"""

import argparse
import math
import signal
import sys
import time

import requests

EARTH_RADIUS_M = 6_371_008.8


class Refused(Exception):
    """An answer that is no success: its status and what it says."""

    def __init__(self, response):
        try:
            self.detail = response.json().get("detail")
        except ValueError:
            self.detail = response.text[:200]
        self.status = response.status_code
        super().__init__(f"{response.request.method} {response.request.path_url}: {self.status} {self.detail}")


class Rover:
    """The rover at one address."""

    def __init__(self, base):
        self.base, self.http = base.rstrip("/"), requests.Session()

    def call(self, method, path, body=None):
        response = self.http.request(method, self.base + path, json=body, timeout=20)
        if not response.ok:
            raise Refused(response)
        return response.json()

    def control(self, linear, angular):
        self.call("POST", "/control", {"command": {"linear": round(linear, 3), "angular": round(angular, 3)}})


def bearing_and_distance(data, checkpoint):
    """Bearing clockwise from north in degrees, and distance in metres, in the plane that touches the Earth here."""
    north = math.radians(float(checkpoint["latitude"]) - data["latitude"]) * EARTH_RADIUS_M
    east = math.radians(float(checkpoint["longitude"]) - data["longitude"]) * EARTH_RADIUS_M
    east *= math.cos(math.radians(data["latitude"]))
    return math.degrees(math.atan2(east, north)) % 360, math.hypot(east, north)


def steer(data, checkpoint, cruise):
    """Linear and angular command towards the checkpoint, and the distance: turn first, then go, slower near the goal."""
    bearing, distance = bearing_and_distance(data, checkpoint)
    # Positive is to the right of where the robot looks; a turn to the left is a positive command.
    error = (bearing - data["orientation"] + 180) % 360 - 180
    angular = max(-0.6, min(0.6, -math.radians(error)))
    facing = max(0.0, math.cos(math.radians(error))) if abs(error) < 45 else 0.0
    return min(cruise, max(0.15, distance / 6)) * facing, angular, distance


def reached(rover):
    """Asks whether the checkpoint counts. The server's answer, or None and how far it is off."""
    try:
        return rover.call("POST", "/checkpoint-reached"), None
    except Refused as refused:
        if refused.status != 400:
            raise
        far = refused.detail.get("proximate_distance_to_checkpoint") if isinstance(refused.detail, dict) else None
        return None, far


def drive(rover, checkpoints, done, args):
    """Drives from checkpoint to checkpoint. True when the server says that the mission is completed."""
    todo = [c for c in sorted(checkpoints, key=lambda c: c["sequence"]) if c["sequence"] > done]
    deadline, told, refusals = time.monotonic() + args.timeout, 0.0, 0
    for checkpoint in todo:
        while True:
            if time.monotonic() > deadline:
                print("out of time")
                return False
            tick = time.monotonic()
            try:
                rover.call("GET", "/v2/front")
                data = rover.call("GET", "/data")
                linear, angular, distance = steer(data, checkpoint, args.speed)
                if distance <= args.near:
                    rover.control(0.0, 0.0)
                    answer, off = reached(rover)
                    if answer:
                        print(f"checkpoint {checkpoint['sequence']} reached")
                        if answer["mission_completed"]:
                            return True
                        break
                    if off is not None and off <= args.near:
                        # Near enough: the server counts the time that the robot stands here.
                        time.sleep(0.2)
                        continue
                rover.control(linear, angular)
                refusals = 0
            except Refused as refused:
                # 409: the robot does not obey now. 503: something does not answer yet. Both may get better.
                refusals += 1
                print(f"  {refused}")
                if refused.status not in (404, 409, 429, 503) or refusals >= args.patience:
                    return False
                time.sleep(0.5)
                continue
            if time.monotonic() - told > 1.0:
                told = time.monotonic()
                print(f"  to checkpoint {checkpoint['sequence']}: {distance:5.1f} m, orientation {data['orientation']:.0f},"
                      f" command {linear:.2f} {angular:+.2f}, battery {data['battery']:.0f}")
            time.sleep(max(0.0, 1 / args.hz - (time.monotonic() - tick)))
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000", help="the rover (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=0.6, help="cruising speed, of 1 (default: %(default)s)")
    parser.add_argument("--near", type=float, default=1.2, help="metres at which a checkpoint is asked for (default: %(default)s)")
    parser.add_argument("--hz", type=float, default=10, help="ticks a second (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds until it gives up (default: %(default)s)")
    parser.add_argument("--patience", type=int, default=20, help="refusals in a row until it gives up (default: %(default)s)")
    args = parser.parse_args()
    # Ctrl-C and kill both end in `finally` below: the robot is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    rover, completed = Rover(args.url), False
    mission = rover.call("POST", "/start-mission")["checkpoints_list"]
    print(f"mission started: {len(mission['checkpoints_list'])} checkpoints,"
          f" {mission['latest_scanned_checkpoint']} reached before")
    try:
        completed = drive(rover, mission["checkpoints_list"], mission["latest_scanned_checkpoint"], args)
    finally:
        for path, body in (("/control", {"command": {"linear": 0, "angular": 0}}), ("/end-mission", None)):
            try:
                rover.call("POST", path, body)
            except (Refused, requests.RequestException) as error:
                print(f"  {error} (the robot stops and is free by itself)")
    print("mission completed" if completed else "mission not completed")
    return 0 if completed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    except requests.ConnectionError as error:
        sys.exit(f"cannot reach the rover: {error}\nStart it with: longrein earth-rover --robot NAME")
    except KeyboardInterrupt:
        sys.exit(130)
