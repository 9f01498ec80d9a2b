#!/usr/bin/env python3
"""The request pattern of LeRobot's robot class earthrover_mini_plus, without LeRobot.

Each tick, in series, each on a new TCP connection: GET /v2/front, GET /v2/rear, GET /data, POST /control (lamp 0
always), with LeRobot's timeouts of 2, 2, 2 and 1 s. What LeRobot would crash on or hide (a status that is not 200, a
picture that is none, one of nine numbers missing or null) is counted as a failure here.

Prints one JSON object: ticks, missed ticks (longer than the period), failures, and the time of each call until its
body was there. A tick holds decoding and scaling of the pictures as well, as LeRobot does both in it.
With --endless it prints "driving" after the first obeyed command and goes on until it is killed.
"""

import argparse
import base64
import json
import sys
import time

import cv2
import numpy as np
import requests

NINE = ["speed", "battery", "orientation", "latitude", "longitude", "gps_signal", "signal_level", "vibration", "lamp"]


def call(times, method, url, **more):
    """One request on a connection of its own, until its body is there."""
    start = time.monotonic()
    try:
        return requests.request(method, url, **more)
    finally:
        times.append(time.monotonic() - start)


def picture(times, base, camera):
    response = call(times, "GET", f"{base}/v2/{camera}", timeout=2.0)
    if response.status_code != 200:
        return f"/v2/{camera}: {response.status_code} {response.text[:120]}"
    raw = np.frombuffer(base64.b64decode(response.json()[f"{camera}_frame"]), np.uint8)
    frame = cv2.imdecode(raw, cv2.IMREAD_COLOR)
    if frame is None:
        return f"/v2/{camera}: no picture in the answer"
    cv2.cvtColor(cv2.resize(frame, (640, 480)), cv2.COLOR_BGR2RGB)
    return None


def data(times, base):
    response = call(times, "GET", f"{base}/data", timeout=2.0)
    if response.status_code != 200:
        return f"/data: {response.status_code} {response.text[:120]}"
    answer = response.json()
    for key in NINE:
        try:
            float(answer[key])
        except (KeyError, TypeError, ValueError) as error:
            return f"/data: {key}: {error!r}"
    for key, count in (("accels", 3), ("gyros", 3), ("mags", 3), ("rpms", 4)):
        rows = answer.get(key) or []
        if rows:
            [float(v) for v in rows[-1][:count]]
    return None


def control(times, base, linear, angular):
    body = {"command": {"linear": linear, "angular": angular, "lamp": 0}}
    response = call(times, "POST", f"{base}/control", json=body, timeout=1.0)
    return None if response.status_code == 200 else f"/control: {response.status_code} {response.text[:160]}"


def figures(times):
    ordered = sorted(times)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)} if ordered else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--hz", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--linear", type=float, default=0.0)
    parser.add_argument("--angular", type=float, default=0.3)
    parser.add_argument("--endless", action="store_true")
    args = parser.parse_args()

    # As its connect() does.
    assert requests.get(f"{args.url}/data", timeout=10).status_code == 200, "connect: /data is not 200"
    # The first command takes the lease, which LeRobot's first send_action would wait for as well.
    first = control([], args.url, 0.0, 0.0)
    assert first is None, first

    calls = {
        "front": lambda times: picture(times, args.url, "front"),
        "rear": lambda times: picture(times, args.url, "rear"),
        "data": lambda times: data(times, args.url),
        "control": lambda times: control(times, args.url, args.linear, args.angular),
    }
    times, failures, missed, ticks, told = {name: [] for name in calls}, [], [], 0, False
    period, start = 1 / args.hz, time.monotonic()
    while args.endless or ticks < args.seconds * args.hz:
        begun = time.monotonic()
        for name, ask in calls.items():
            try:
                failure = ask(times[name])
            except requests.RequestException as error:
                failure = f"/{name}: {error!r}"
            if failure:
                failures.append(f"{begun - start:.1f} s: {failure}")
            elif name == "control" and args.endless and not told:
                told = True
                print("driving", flush=True)
        took = time.monotonic() - begun
        if took > period:
            missed.append(round(took * 1000, 1))
        ticks += 1
        time.sleep(max(0.0, start + ticks * period - time.monotonic()))
    print(json.dumps({
        "ticks": ticks, "missed": len(missed), "missed_ms": missed[:20], "failures": len(failures),
        "first_failures": failures[:10], "calls_ms": {name: figures(t) for name, t in times.items()},
    }))
    return 1 if missed or failures else 0


if __name__ == "__main__":
    sys.exit(main())
