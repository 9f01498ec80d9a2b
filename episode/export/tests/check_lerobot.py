#!/usr/bin/env python3
"""Checks a LeRobotDataset v3.0 folder with pyarrow and PyAV, without the lerobot package.

    check_lerobot.py DATASET        prints one JSON object; exit status 1 and the reason when something is wrong
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ARROW = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
STATS = ["min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"]


def check(holds, *what):
    if not holds:
        raise SystemExit("check_lerobot: " + " ".join(str(part) for part in what))


def tables(root, pattern):
    paths = sorted(root.glob(pattern))
    check(paths, "no", pattern)
    return [pq.ParquetFile(path) for path in paths]


def check_info(info):
    check(info["codebase_version"] == "v3.0", "codebase_version")
    check(isinstance(info["fps"], int) and info["fps"] > 0, "fps")
    for name, feature in info["features"].items():
        check("/" not in name, name, "has a slash")
        check({"dtype", "shape", "names"} <= feature.keys(), name, "lacks a key")
        if feature["dtype"] == "video":
            check(feature["names"] == ["height", "width", "channels"], name, "names")
            check(len(feature["shape"]) == 3 and feature["shape"][2] == 3, name, "shape")
            check(feature["info"]["video.codec"] == "h264", name, "codec")
        elif feature["names"] is not None:
            check(len(feature["names"]) == feature["shape"][0], name, "names")
    for name in ["timestamp", "frame_index", "episode_index", "index", "task_index", "action"]:
        check(name in info["features"], name, "is missing")


def check_tasks(root, info):
    table = pq.read_table(root / "meta/tasks.parquet")
    pandas = json.loads(table.schema.metadata[b"pandas"])
    check(pandas["index_columns"] == ["task"], "tasks: pandas index")
    check({column["name"] for column in pandas["columns"]} == {"task", "task_index"}, "tasks: pandas columns")
    check(table["task_index"].to_pylist() == list(range(info["total_tasks"])), "tasks: task_index")
    check(table.schema.field("task").type == pa.string(), "tasks: type of task")
    return table["task"].to_pylist()


def check_data(root, info, episodes):
    files = tables(root, "data/*/*.parquet")
    row_groups = sum(file.num_row_groups for file in files)
    check(row_groups == len(episodes), "row groups", row_groups, "episodes", len(episodes))
    table = pa.concat_tables([file.read() for file in files])
    features = {name: f for name, f in info["features"].items() if f["dtype"] != "video"}
    check(set(table.column_names) == set(features), "columns", set(table.column_names) ^ set(features))
    for name, feature in features.items():
        kind, wanted = table.schema.field(name).type, ARROW[feature["dtype"]]
        if feature["shape"] == [1]:
            check(kind == wanted, name, kind)
        else:
            check(pa.types.is_list(kind) and kind.value_type == wanted, name, kind)
            lengths = {len(value) for value in table[name].to_pylist()}
            check(lengths == {feature["shape"][0]}, name, "lengths", lengths)
        check(table[name].null_count == 0, name, "has nulls")
    check(table.num_rows == info["total_frames"] == sum(e["length"] for e in episodes), "total_frames")
    check(table["index"].to_pylist() == list(range(table.num_rows)), "index is not contiguous")
    return table


def check_episodes(root, info, table, tasks):
    episodes = pa.concat_tables([file.read() for file in tables(root, "meta/episodes/*/*.parquet")]).to_pylist()
    check(len(episodes) == info["total_episodes"], "total_episodes")
    start = 0
    for number, episode in enumerate(episodes):
        length = episode["length"]
        check(episode["episode_index"] == number, "episode_index")
        check(episode["dataset_from_index"] == start, "dataset_from_index")
        check(episode["dataset_to_index"] == start + length, "dataset_to_index")
        rows = table.slice(start, length)
        check(rows["frame_index"].to_pylist() == list(range(length)), "frame_index")
        check(set(rows["episode_index"].to_pylist()) == {number}, "episode_index of rows")
        times = rows["timestamp"].to_numpy()
        wanted = (np.arange(length) / info["fps"]).astype(np.float32)
        check(times.dtype == np.float32 and (times == wanted).all(), "timestamps")
        check({tasks[task] for task in rows["task_index"].to_pylist()} == set(episode["tasks"]), "tasks")
        done = rows["next.done"].to_pylist()
        check(done == [False] * (length - 1) + [True], "next.done")
        check((np.diff(rows["capture_time_ns"].to_numpy()) >= 0).all(), "capture times go back")
        check(min(rows["camera_age_ms"].to_pylist()) >= 0, "a picture from the future")
        for name in ["episode_id", "manifest_sha256", "robot_did", "driver_did", "mission_id"]:
            check(isinstance(episode["provenance/" + name], str), "provenance", name)
        check_episode_stats(episode, info, rows)
        start += length
    return episodes


def shape_of(value):
    return (len(value), *shape_of(value[0])) if isinstance(value, list) else ()


def check_episode_stats(episode, info, rows):
    for name, feature in info["features"].items():
        video = feature["dtype"] == "video"
        for stat in STATS:
            value = episode[f"stats/{name}/{stat}"]
            wanted = (1,) if stat == "count" else (3, 1, 1) if video else (feature["shape"][0],)
            check(shape_of(value) == wanted, name, stat, shape_of(value))
        if video:
            check(0 <= episode[f"stats/{name}/min"][0][0][0] < episode[f"stats/{name}/max"][0][0][0] <= 1, name)
        else:
            values = np.array(rows[name].to_pylist(), dtype=np.float64).reshape(len(rows), -1)
            if not np.isnan(values).any():
                for stat, expected in [("min", values.min(0)), ("max", values.max(0)), ("mean", values.mean(0))]:
                    got = np.array(episode[f"stats/{name}/{stat}"])
                    check(np.allclose(got, expected, rtol=1e-6, atol=1e-9), name, stat, got, expected)


def check_stats(root, info):
    stats = json.loads((root / "meta/stats.json").read_text())
    check(set(stats) == set(info["features"]), "stats.json", set(stats) ^ set(info["features"]))
    for name, feature in info["features"].items():
        for stat in STATS:
            wanted = (1,) if stat == "count" else (3, 1, 1) if feature["dtype"] == "video" else (feature["shape"][0],)
            check(shape_of(stats[name][stat]) == wanted, "stats.json", name, stat)


def check_video(path, fps, length, shape):
    head = path.read_bytes()[:1 << 20]
    check(head.find(b"moov") < head.find(b"mdat") or b"mdat" not in head, path, "is not faststart")
    with av.open(str(path)) as container:
        check(len(container.streams) == 1, path, "streams")
        stream = container.streams.video[0]
        check(stream.average_rate == Fraction(fps), path, "average rate", stream.average_rate)
        check(stream.codec_context.name == "h264", path, "codec")
        check(stream.start_time == 0, path, "start", stream.start_time)
        check(stream.frames == length, path, "frames", stream.frames, length)
        packets = [packet for packet in container.demux(stream) if packet.size]
        check(len(packets) == length, path, "packets", len(packets), length)
        check(packets[0].is_keyframe, path, "begins without a keyframe")
        for number, packet in enumerate(packets):
            check(packet.pts * packet.time_base == Fraction(number, fps), path, "time of packet", number)
            check(packet.pts == packet.dts, path, "is reordered")
        check(stream.codec_context.has_b_frames == 0, path, "has_b_frames")
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
        check(len(decoded) == length, path, "decodes", len(decoded), length)
        for frame in (decoded[0], decoded[-1]):
            check((frame.height, frame.width, 3) == tuple(shape), path, "size", frame.height, frame.width)
        # What readers do: times in float32, tolerance 1e-4 s.
        times = np.array([float(frame.pts * frame.time_base) for frame in decoded], dtype=np.float32)
        wanted = (np.arange(length) / fps).astype(np.float32)
        check((np.abs(times - wanted) <= 1e-4).all(), path, "times")
        # Luma as it is coded: "gray" would stretch it to the full range.
        planes = [frame.to_ndarray(format="yuv420p")[: frame.height] for frame in (decoded[0], decoded[-1])]
        return [float(plane.mean()) for plane in planes]


def main():
    root = Path(sys.argv[1])
    info = json.loads((root / "meta/info.json").read_text())
    check_info(info)
    check((root / "README.md").read_text().startswith("---\n"), "README.md has no card")
    tasks = check_tasks(root, info)
    rows = pa.concat_tables([file.read() for file in tables(root, "meta/episodes/*/*.parquet")]).to_pylist()
    table = check_data(root, info, rows)
    episodes = check_episodes(root, info, table, tasks)
    check_stats(root, info)
    provenance = json.loads((root / "meta/provenance.json").read_text())
    check(len(provenance["episodes"]) == len(episodes), "provenance.json")
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    brightness = {}
    for episode in episodes:
        for camera in cameras:
            path = root / info["video_path"].format(
                video_key=camera,
                chunk_index=episode[f"videos/{camera}/chunk_index"],
                file_index=episode[f"videos/{camera}/file_index"],
            )
            check(episode[f"videos/{camera}/from_timestamp"] == 0.0, "from_timestamp")
            check(episode[f"videos/{camera}/to_timestamp"] == episode["length"] / info["fps"], "to_timestamp")
            shape = info["features"][camera]["shape"]
            means = check_video(path, info["fps"], episode["length"], shape)
            brightness.setdefault(camera, []).append(means)
    print(json.dumps({
        "ok": True,
        "episodes": len(episodes),
        "frames": table.num_rows,
        "lengths": [episode["length"] for episode in episodes],
        "cameras": cameras,
        "brightness": brightness,
    }))


main()
