#!/usr/bin/env python3
"""Loads a dataset with the real `lerobot` package, as a training run does.

    check_with_lerobot.py DATASET...    prints one JSON object; fails at the first thing that is wrong

Needs `pip install lerobot==0.4.4` (with torch, some gigabytes) and, for its default decoder torchcodec, FFmpeg's shared
libraries (Debian: libavdevice59). LEROBOT_BACKEND=pyav chooses the other decoder. Works offline.
"""

import json
import os
import sys
import time
from importlib.metadata import version

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata
from lerobot.datasets.utils import dataset_to_policy_features


def check(holds, *what):
    if not holds:
        raise SystemExit("check_with_lerobot: " + " ".join(str(part) for part in what))


def open_dataset(root, **options):
    return LeRobotDataset("local/longrein", root=root, video_backend=os.environ.get("LEROBOT_BACKEND"), **options)


def check_items(dataset, cameras):
    for index in (0, len(dataset) // 2, len(dataset) - 1):
        item = dataset[index]
        check(item["index"].item() == index, "index", index)
        check(isinstance(item["task"], str) and item["task"], "task", item["task"])
        check(item["action"].shape == (2,) and item["action"].dtype == torch.float32, "action")
        check(item["capture_time_ns"].item() > 1_000_000_000_000_000_000, "capture_time_ns")
        for camera in cameras:
            height, width, channels = dataset.features[camera]["shape"]
            picture = item[camera]
            check(tuple(picture.shape) == (channels, height, width), camera, tuple(picture.shape))
            check(0 <= picture.min() and picture.max() <= 1 and picture.std() > 0, camera, "is blank")


def check_windows(root, fps, cameras, length):
    """Neighbours in time: frames of the same episode, padded at its edges."""
    around = [-1 / fps, 0.0, 1 / fps]
    names = ["action", "observation.state", *cameras]
    dataset = open_dataset(root, delta_timestamps={name: around for name in names})
    first, last = dataset[0], dataset[length - 1]
    check(first["action"].shape == (3, 2), "window of action")
    check(first["action_is_pad"].tolist() == [True, False, False], "padding at the start")
    check(last["action_is_pad"].tolist() == [False, False, True], "padding at the end")
    for camera in cameras:
        check(first[camera].shape[0] == 3, "window of", camera)
        check(torch.equal(first[camera][0], first[camera][1]), camera, "is padded with itself")


def check_loader(dataset, cameras):
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=8, shuffle=True, num_workers=2, generator=torch.Generator().manual_seed(1)
    )
    started, seen = time.monotonic(), 0
    for batch in loader:
        check(batch["action"].shape[1:] == (2,), "batch of action")
        for camera in cameras:
            check(batch[camera].shape[0] == batch["action"].shape[0], "batch of", camera)
        seen += batch["action"].shape[0]
        if seen >= 64:
            break
    return seen / (time.monotonic() - started)


def check_dataset(root):
    dataset = open_dataset(root)
    meta = LeRobotDatasetMetadata("local/longrein", root=root)
    cameras = meta.camera_keys
    check(len(dataset) == meta.total_frames > 0, "length", len(dataset))
    policy = dataset_to_policy_features(meta.features)
    check(policy["action"].shape == (2,), "policy feature action")
    check(all(policy[camera].shape[0] == 3 for camera in cameras), "policy features of cameras")
    check(all(meta.stats[camera]["mean"].shape == (3, 1, 1) for camera in cameras), "stats of cameras")
    # Before this process decodes anything: workers that are forked later would share the offsets of its open
    # videos, and torchcodec then reads rubbish.
    speed = check_loader(dataset, cameras)
    check_items(dataset, cameras)
    check_windows(root, meta.fps, cameras, meta.episodes[0]["length"])
    last = meta.total_episodes - 1
    one = open_dataset(root, episodes=[last])
    check(len(one) == meta.episodes[last]["length"], "length of one episode")
    check(one[0]["episode_index"].item() == last, "one episode")
    return {"frames": len(dataset), "fps": meta.fps, "cameras": cameras, "random_frames_per_s": round(speed, 1)}


def main():
    done = {root: check_dataset(root) for root in sys.argv[1:]}
    print(json.dumps({"ok": True, "lerobot": version("lerobot"), "torch": torch.__version__, "datasets": done}))


if __name__ == "__main__":
    main()
