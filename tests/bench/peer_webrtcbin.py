"""The GStreamer webrtcbin peer of the benchmark: see README.md beside this file.

Runs on the system's Python (Debian: python3-gi, gir1.2-gst-plugins-bad-1.0). `--source` is a GStreamer source of I420
frames that are stamped already.
"""

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
{source} ! queue max-size-buffers=1 leaky=downstream !
x264enc tune=zerolatency speed-preset=ultrafast bitrate=2500 vbv-buf-capacity=200 key-int-max=300 bframes=0 threads=1 !
video/x-h264,profile=constrained-baseline !
rtph264pay name=pay config-interval=-1 aggregate-mode=zero-latency pt={pt} !
application/x-rtp,media=video,encoding-name=H264,payload={pt} ! peer.
"""


def h264_payload_type(offer: str) -> int:
    """The offer's payload type of constrained-baseline H.264 in packetization mode 1."""
    for line in offer.splitlines():
        if line.startswith("a=fmtp:") and "42e01f" in line and "packetization-mode=1" in line:
            return int(line.split(":")[1].split(" ")[0])
    raise SystemExit("the offer has no constrained-baseline H.264")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    source = parser.parse_args().source
    offer = json.loads(sys.stdin.readline())["sdp"]
    Gst.init(None)
    loop = GLib.MainLoop()
    pipeline = Gst.parse_launch(PIPELINE.format(source=source, pt=h264_payload_type(offer)))
    peer = pipeline.get_by_name("peer")

    def gathered(element, _spec) -> None:
        if element.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            answer = element.get_property("local-description")
            print(json.dumps({"sdp": answer.sdp.as_text()}), flush=True)

    def answered(promise, _data) -> None:
        reply = promise.get_reply()
        if not reply.has_field("answer"):
            raise SystemExit(f"webrtcbin made no answer: {reply.to_string()}")
        answer = reply.get_value("answer")
        peer.emit("set-local-description", answer, Gst.Promise.new())

    def described(_promise, _data) -> None:
        peer.emit("create-answer", None, Gst.Promise.new_with_change_func(answered, None))

    peer.connect("notify::ice-gathering-state", gathered)
    options = Gst.Structure.new_from_string(
        "options,negotiated=true,id=(int)1,ordered=false,max-retransmits=(int)0"
    )

    def negotiate() -> bool:
        channel = peer.emit("create-data-channel", "echo", options)
        channel.connect("on-message-data", lambda c, data: c.emit("send-data", data))
        _, message = GstSdp.SDPMessage.new_from_text(offer)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        promise = Gst.Promise.new_with_change_func(described, None)
        peer.emit("set-remote-description", description, promise)
        return False

    def first_packet(_pad, _info):
        # Only now does webrtcbin know what it is to answer with.
        GLib.idle_add(negotiate)
        return Gst.PadProbeReturn.REMOVE

    pay = pipeline.get_by_name("pay")
    pay.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, first_packet)
    pipeline.set_state(Gst.State.PLAYING)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()
    pipeline.set_state(Gst.State.NULL)


main()
