"""The aiortc peer of the benchmarks: see README.md beside this file.

With `--port` it is to be reached at that UDP port of 127.0.0.1 alone, shows the I420 frames of `--source` (a GStreamer source,
stamped already), and does what aiortc has against a bad network: it sends lost packets again (RTX), and its encoder follows the
bitrate that the browser estimates (REMB). `--log` gets a line of JSON for each bitrate. It then sends H.264, which aiortc lets
have up to 3 Mbit/s, rather than VP8, which it lets have half of that. It then does not echo: it hears commands as our robot does,
and tells of the newest one 20 times a second.
"""

import argparse
import asyncio
import json
import struct
import subprocess
import sys
import threading
import time
from fractions import Fraction

import numpy as np
from aioice import ice
from aiortc import RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from av import VideoFrame

WIDTH, HEIGHT, FPS, BLOCK = 1280, 720, 30, 16
SYNC = [1, 0, 1, 0, 1, 1, 0, 0]
# As protocol/src/telemetry.rs has it: the robot's clock in ms, and the number of the newest command. All else is unknown.
TELEMETRY = struct.Struct("<16xQ8xI2xH40x")
TELEMETRY_EVERY_S = 0.05


def scene() -> np.ndarray:
    """A picture with as much detail as a street has, roughly: gradients and noise, fixed."""
    rng = np.random.default_rng(1)
    y = np.linspace(60, 200, HEIGHT)[:, None].repeat(WIDTH, 1)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    picture[:HEIGHT] = np.clip(y + rng.normal(0, 6, (HEIGHT, WIDTH)), 16, 235).astype(np.uint8)
    return picture


class Street(VideoStreamTrack):
    """Frames at a steady rate, each stamped when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = scene()
        self.count = 0
        self.start = time.monotonic()

    async def recv(self) -> VideoFrame:
        due = self.start + self.count / FPS
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        picture = np.roll(self.picture, self.count * 2, axis=1)
        stamp = time.time_ns() // 1000
        bits = SYNC + [(stamp >> (63 - i)) & 1 for i in range(64)]
        for i, bit in enumerate(bits):
            x, y = i % 36 * BLOCK, i // 36 * BLOCK
            picture[y : y + BLOCK, x : x + BLOCK] = 235 if bit else 16
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = self.count * 90000 // FPS, Fraction(1, 90000)
        self.count += 1
        return frame


class Camera(VideoStreamTrack):
    """The newest frame of a GStreamer source, each once."""

    def __init__(self, source: str) -> None:
        super().__init__()
        launch = ["gst-launch-1.0", "-q", *source.split(), "!", "fdsink", "fd=1", "sync=false"]
        self.process = subprocess.Popen(launch, stdout=subprocess.PIPE)
        self.loop = asyncio.get_running_loop()
        self.newest: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1)
        self.start = time.monotonic()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        while len(octets := self.process.stdout.read(WIDTH * HEIGHT * 3 // 2)) == WIDTH * HEIGHT * 3 // 2:
            self.loop.call_soon_threadsafe(self.offer, (time.monotonic(), octets))

    def offer(self, frame: tuple[float, bytes]) -> None:
        if self.newest.full():
            self.newest.get_nowait()
        self.newest.put_nowait(frame)

    async def recv(self) -> VideoFrame:
        at, octets = await self.newest.get()
        picture = np.frombuffer(octets, np.uint8).reshape(HEIGHT * 3 // 2, WIDTH)
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = int((at - self.start) * 90000), Fraction(1, 90000)
        return frame


def reach(loop: asyncio.AbstractEventLoop, port: int) -> None:
    """Leaves one way to this peer."""
    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    create = loop.create_datagram_endpoint
    loop.create_datagram_endpoint = lambda factory, local_addr=None, **more: create(
        factory, local_addr=("127.0.0.1", port) if local_addr else None, **more
    )


async def tell(sender: RTCRtpSender, log: str) -> None:
    """Writes down what the encoder is told to send."""
    with open(log, "a", buffering=1) as file:
        while True:
            encoder = getattr(sender, "_RTCRtpSender__encoder", None)
            if encoder is not None:
                file.write(json.dumps({"at": time.time() * 1000, "target_bps": encoder.target_bitrate}) + "\n")
            await asyncio.sleep(0.2)


async def obey(commands: RTCDataChannel, telemetry: RTCDataChannel) -> None:
    """Hears commands, and tells which one counts."""
    newest = 0

    def heard(command: bytes) -> None:
        nonlocal newest
        newest = max(newest, struct.unpack_from("<I", command, 4)[0])

    commands.on("message", heard)
    while True:
        if telemetry.readyState == "open" and telemetry.bufferedAmount < 4096:
            telemetry.send(TELEMETRY.pack(time.monotonic_ns() // 1_000_000, newest, 0xFFFF))
        await asyncio.sleep(TELEMETRY_EVERY_S)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source")
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", default="/dev/null")
    parser.add_argument("--codec", default="H264")
    args = parser.parse_args()
    loop = asyncio.get_running_loop()
    if args.port:
        reach(loop, args.port)
    offer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))["sdp"]
    peer = RTCPeerConnection()
    lane = {"negotiated": True, "ordered": False, "maxRetransmits": 0}
    channel = peer.createDataChannel("drive", id=1, **lane)
    sender = peer.addTrack(Camera(args.source) if args.source else Street())
    if args.port:
        codecs = RTCRtpSender.getCapabilities("video").codecs
        wanted = [one for one in codecs if one.mimeType in (f"video/{args.codec}", "video/rtx")]
        next(one for one in peer.getTransceivers() if one.sender is sender).setCodecPreferences(wanted)
        telemetry = peer.createDataChannel("telemetry", id=2, **lane)
        tasks = [asyncio.create_task(one) for one in (tell(sender, args.log), obey(channel, telemetry))]
    else:
        tasks = []
        channel.on("message", channel.send)
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    print(json.dumps({"sdp": peer.localDescription.sdp}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await peer.close()


asyncio.run(main())
