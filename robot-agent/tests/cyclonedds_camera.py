"""The driver of a camera on CycloneDDS, independent of our own DDS: publishes pictures of one colour.

    python cyclonedds_camera.py --domain N --topic /camera/image

Its standard input says what to publish from now on, ten times a second, one JSON object a line; it ends when that closes:

    {"raw": "rgb8", "width": 64, "height": 48, "pixel": [255, 0, 0], "room": 0, "stamp": "now" | "never"}
    {"file": "PATH", "format": "jpeg"}
    {"silent": true}

`pixel` is repeated over each row, `room` bytes stand after each. Prints {"event": "ready"} once.
Needs cyclonedds 11 (PyPI); the messages are those of ros/tests.
"""

import argparse
import json
import queue
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "ros" / "tests"))

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.topic import Topic
from cyclonedds_messages import CompressedImage, Header, Image, Time


def picture(wanted):
    now = 0 if wanted.get("stamp") == "never" else time.time_ns()
    header = Header(Time(now // 10**9, now % 10**9), "camera")
    if "file" in wanted:
        return CompressedImage(header, wanted["format"], Path(wanted["file"]).read_bytes())
    width, height = wanted["width"], wanted["height"]
    pixel = bytes(wanted["pixel"])
    # A pattern of YUV 4:2:2 has two pixels.
    pixels = width // 2 if wanted["raw"].startswith("yuv422") else width
    row = pixel * pixels + b"\xaa" * wanted.get("room", 0)
    return Image(header, height, width, wanted["raw"], 0, len(row), row * height)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--topic", required=True)
    args = parser.parse_args()

    orders = queue.Queue()
    ended = object()

    def listen():
        for line in sys.stdin:
            orders.put(json.loads(line))
        orders.put(ended)

    threading.Thread(target=listen, daemon=True).start()
    participant = DomainParticipant(args.domain)
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(1))
    writers = {}
    print(json.dumps({"event": "ready"}), flush=True)
    wanted = {"silent": True}
    while True:
        try:
            wanted = orders.get(timeout=0.1)
        except queue.Empty:
            pass
        if wanted is ended:
            return
        if "silent" in wanted:
            continue
        message = picture(wanted)
        kind = type(message)
        if kind not in writers:
            writers[kind] = DataWriter(participant, Topic(participant, "rt" + args.topic, kind), qos=best_effort)
        writers[kind].write(message)


if __name__ == "__main__":
    main()
