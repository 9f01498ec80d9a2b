#!/usr/bin/env python3
"""Reads MCAP files as ROS 2 tools do: every message is decoded from CDR by its embedded schema.

    check_mcap.py FILE...           prints one JSON object; exit status 1 when a file can't be read

The files are read twice, by mcap-ros2-support and by rosbags.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore


def check(holds, *what):
    if not holds:
        raise SystemExit("check_mcap: " + " ".join(str(part) for part in what))


def read(path):
    store = get_typestore(Stores.EMPTY)
    counts, known, last = Counter(), set(), 0
    with open(path, "rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        check(reader.get_header().profile == "ros2", path, "profile")
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            counts[channel.topic] += 1
            check(message.log_time >= last, path, "is not in order of time")
            last = message.log_time
            if schema.name not in known:
                known.add(schema.name)
                types = get_types_from_msg(schema.data.decode(), schema.name)
                store.register({name: kind for name, kind in types.items() if name not in store.fielddefs})
            again = store.deserialize_cdr(message.data, schema.name)
            for field in decoded.__slots__:
                check(hasattr(again, field), path, schema.name, field)
        summary = reader.get_summary()
        check(summary is not None and summary.statistics.message_count == sum(counts.values()), path, "statistics")
    return dict(counts)


print(json.dumps({Path(path).name: read(path) for path in sys.argv[1:]}))
