"""The aiortc peer of the benchmark: see README.md beside this file."""

import asyncio
import json
import sys
import time
from fractions import Fraction

import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from av import VideoFrame

WIDTH, HEIGHT, FPS, BLOCK = 1280, 720, 30, 16
SYNC = [1, 0, 1, 0, 1, 1, 0, 0]


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


async def main() -> None:
    loop = asyncio.get_running_loop()
    offer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))["sdp"]
    peer = RTCPeerConnection()
    channel = peer.createDataChannel("echo", negotiated=True, id=1, ordered=False, maxRetransmits=0)
    channel.on("message", channel.send)
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    peer.addTrack(Street())
    await peer.setLocalDescription(await peer.createAnswer())
    print(json.dumps({"sdp": peer.localDescription.sdp}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    await peer.close()


asyncio.run(main())
