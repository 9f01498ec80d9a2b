"""The GStreamer webrtcbin peer of the benchmarks: see README.md beside this file.

Runs on the system's Python (Debian: python3-gi, gir1.2-gst-plugins-bad-1.0). `--source` is a GStreamer source of I420
frames that are stamped already.

With `--port` it is to be reached at that UDP port of 127.0.0.1 alone, and does what GStreamer has against a bad network: it sends
lost packets again (RTX), and lets `rtpgccbwe` (Google Congestion Control) set the encoder's bitrate, as webrtcsink does. `--log`
gets a line of JSON for each bitrate that it is told. With `--fec` it adds error correction (RED and ULPFEC) instead: behind
GStreamer 1.22's encoder of that, no report on packets reaches rtpgccbwe, so only one of the two can be had. With `--port` it does
not echo: it hears commands as our robot does, and tells of the newest one 20 times a second.
"""

import argparse
import json
import struct
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

# Bits a second, as the robot's agent has them for a camera of 2,500 kbit/s.
BPS_MIN, BPS_START, BPS_MAX = 120_000, 1_500_000, 2_500_000
# Of the packets, in percent. webrtcbin's own default is 100, which halves what is left for the picture.
FEC_PERCENT = 50
FEC_BPS = BPS_MAX * 100 // (100 + FEC_PERCENT)
TWCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
# As protocol/src/telemetry.rs has it: the robot's clock in ms, and the number of the newest command. All else is unknown.
TELEMETRY = struct.Struct("<16xQ8xI2xH40x")
TELEMETRY_EVERY_MS = 50
LANE = "options,negotiated=true,id=(int){id},ordered=false,max-retransmits=(int)0"
PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
{source} ! queue max-size-buffers=1 leaky=downstream !
x264enc name=encoder tune=zerolatency speed-preset=ultrafast bitrate=2500 vbv-buf-capacity=200 key-int-max=300 bframes=0
  threads=1 !
video/x-h264,profile=constrained-baseline !
rtph264pay name=pay config-interval=-1 aggregate-mode=zero-latency pt={pt} !
application/x-rtp,media=video,encoding-name=H264,payload={pt}{more} ! peer.
"""


def h264_payload_type(offer: str) -> int:
    """The offer's payload type of constrained-baseline H.264 in packetization mode 1."""
    for line in offer.splitlines():
        if line.startswith("a=fmtp:") and "42e01f" in line and "packetization-mode=1" in line:
            return int(line.split(":")[1].split(" ")[0])
    raise SystemExit("the offer has no constrained-baseline H.264")


def transport_wide(offer: str) -> str:
    """What the packets' description says so that each gets a number that the browser reports on."""
    video = offer[offer.index("m=video") :]
    for line in video.splitlines():
        if line.startswith("a=extmap:") and TWCC in line:
            return f",extmap-{line.split(':')[1].split(' ')[0]}=(string){TWCC}"
    raise SystemExit("the offer has no transport-wide congestion control")


def aim(pipeline: Gst.Pipeline, log: str):
    """What sets the encoder's bitrate, and writes it down."""
    encoder, told = pipeline.get_by_name("encoder"), open(log, "a", buffering=1)

    def at(bps: int) -> None:
        encoder.set_property("bitrate", max(1, bps // 1000))
        told.write(json.dumps({"at": time.time() * 1000, "target_bps": bps}) + "\n")

    return at


def adapt(pipeline: Gst.Pipeline, aim_at) -> None:
    """Lets rtpgccbwe set the encoder's bitrate."""
    aim_at(BPS_START)

    def estimated(gcc, _spec) -> None:
        aim_at(gcc.get_property("estimated-bitrate"))

    def aux_sender(_peer, _transport):
        gcc = Gst.ElementFactory.make("rtpgccbwe")
        if gcc is None:
            raise SystemExit("GStreamer has no rtpgccbwe: GST_PLUGIN_PATH must name its folder")
        gcc.set_property("min-bitrate", BPS_MIN)
        gcc.set_property("max-bitrate", BPS_MAX)
        gcc.set_property("estimated-bitrate", BPS_START)
        gcc.connect("notify::estimated-bitrate", estimated)
        return gcc

    pipeline.get_by_name("peer").connect("request-aux-sender", aux_sender)


def protect(pipeline: Gst.Pipeline, aim_at, fec: bool) -> None:
    """Lets it send again what was lost, and correct errors."""
    transceiver = pipeline.get_by_name("peer").emit("get-transceiver", 0)
    transceiver.set_property("do-nack", True)
    if fec:
        transceiver.set_property("fec-type", GstWebRTC.WebRTCFECType.ULP_RED)
        transceiver.set_property("fec-percentage", FEC_PERCENT)
        aim_at(FEC_BPS)


def keep_latency(pipeline: Gst.Pipeline) -> None:
    """A pipeline must be told its latency, or webrtcbin does not know when its packets leave."""
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::latency", lambda _bus, _message: pipeline.recalculate_latency())


def reach(peer: Gst.Element, port: int):
    """Leaves one way to this peer. What it gives must be kept: webrtcbin does not own its agent once Python has seen it."""
    agent = peer.get_property("ice-agent")
    agent.emit("add-local-ip-address", "127.0.0.1")
    agent.set_property("min-rtp-port", port)
    agent.set_property("max-rtp-port", port)
    return agent


def lane(peer: Gst.Element, name: str, number: int) -> GstWebRTC.WebRTCDataChannel:
    """A lane as ours are: negotiated, unordered, nothing sent again."""
    return peer.emit("create-data-channel", name, Gst.Structure.new_from_string(LANE.format(id=number)))


def obey(commands: GstWebRTC.WebRTCDataChannel, telemetry: GstWebRTC.WebRTCDataChannel) -> None:
    """Hears commands, and tells which one counts."""
    newest = 0

    def heard(_channel, command: GLib.Bytes) -> None:
        nonlocal newest
        newest = max(newest, struct.unpack_from("<I", command.get_data(), 4)[0])

    def told() -> bool:
        is_open = telemetry.get_property("ready-state") == GstWebRTC.WebRTCDataChannelState.OPEN
        if is_open and telemetry.get_property("buffered-amount") < 4096:
            packet = TELEMETRY.pack(time.monotonic_ns() // 1_000_000, newest, 0xFFFF)
            telemetry.emit("send-data", GLib.Bytes.new(packet))
        return True

    commands.connect("on-message-data", heard)
    GLib.timeout_add(TELEMETRY_EVERY_MS, told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", default="/dev/null")
    parser.add_argument("--fec", action="store_true")
    args = parser.parse_args()
    offer = json.loads(sys.stdin.readline())["sdp"]
    Gst.init(None)
    loop = GLib.MainLoop()
    more = transport_wide(offer) if args.port and not args.fec else ""
    pipeline = Gst.parse_launch(PIPELINE.format(source=args.source, pt=h264_payload_type(offer), more=more))
    peer = pipeline.get_by_name("peer")
    if args.port:
        _agent = reach(peer, args.port)
        keep_latency(pipeline)
        aim_at = aim(pipeline, args.log)
        protect(pipeline, aim_at, args.fec)
        if not args.fec:
            adapt(pipeline, aim_at)

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

    def negotiate() -> bool:
        channel = lane(peer, "drive", 1)
        if args.port:
            obey(channel, lane(peer, "telemetry", 2))
        else:
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
