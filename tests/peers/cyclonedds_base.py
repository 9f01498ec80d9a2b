"""A robot's base on CycloneDDS, independent of our own DDS: it drives as /cmd_vel says, on a free field.

    python cyclonedds_base.py --domain N

Publishes /odom, /imu, /fix and /scan. It has no time limit for commands of its own: only the agent stops it.
Prints one JSON object a line: {"event": "ready"} once, then each velocity command as
{"event": "cmd_vel", "linear": x, "angular": z, "at_ms": monotonic}.
Needs cyclonedds 11 (PyPI) and, on PYTHONPATH, the folder of cyclonedds_messages.py.
"""

import argparse
import json
import math
import time

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from cyclonedds_messages import (
    Header,
    Imu,
    LaserScan,
    NavSatFix,
    NavSatStatus,
    Odometry,
    Point,
    Pose,
    PoseWithCovariance,
    Quaternion,
    Time,
    Twist,
    TwistWithCovariance,
    Vector3,
)

STEP_S = 0.005
START_LAT_DEG, START_LON_DEG = 52.5, 13.25
METRES_PER_DEG = 111_195.0
RAYS = 360


def say(**line):
    print(json.dumps(line), flush=True)


def header(frame):
    now = time.time_ns()
    return Header(Time(now // 10**9, now % 10**9), frame)


def diagonal(size, value):
    return [value if i % (size + 1) == 0 else 0.0 for i in range(size * size)]


class Base:
    """Goes at once as fast as it is told: x east, y north, yaw to the left."""

    def __init__(self):
        self.x_m = self.y_m = self.yaw_rad = 0.0
        self.linear_mps = self.angular_radps = 0.0

    def step(self, dt_s):
        self.yaw_rad += self.angular_radps * dt_s
        self.x_m += self.linear_mps * math.cos(self.yaw_rad) * dt_s
        self.y_m += self.linear_mps * math.sin(self.yaw_rad) * dt_s

    def orientation(self):
        return Quaternion(0.0, 0.0, math.sin(self.yaw_rad / 2), math.cos(self.yaw_rad / 2))

    def odometry(self):
        pose = Pose(Point(self.x_m, self.y_m, 0.0), self.orientation())
        twist = Twist(Vector3(self.linear_mps, 0.0, 0.0), Vector3(0.0, 0.0, self.angular_radps))
        covariance = diagonal(6, 0.01)
        return Odometry(
            header("odom"), "base_link", PoseWithCovariance(pose, covariance), TwistWithCovariance(twist, covariance)
        )

    def imu(self):
        turn, gravity = Vector3(0.0, 0.0, self.angular_radps), Vector3(0.0, 0.0, 9.81)
        covariance = diagonal(3, 0.01)
        return Imu(header("imu_link"), self.orientation(), covariance, turn, covariance, gravity, covariance)

    def fix(self):
        lat_deg = START_LAT_DEG + self.y_m / METRES_PER_DEG
        lon_deg = START_LON_DEG + self.x_m / (METRES_PER_DEG * math.cos(math.radians(START_LAT_DEG)))
        return NavSatFix(header("gps_link"), NavSatStatus(0, 1), lat_deg, lon_deg, 34.5, diagonal(3, 1.0), 2)


def scan():
    """Nothing in reach anywhere around: infinite, as REP 117 has it."""
    step = 2 * math.pi / RAYS
    return LaserScan(
        header("laser"), -math.pi, math.pi - step, step, 0.0, 0.1, 0.1, 12.0, [math.inf] * RAYS, []
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    args = parser.parse_args()

    reliable = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(10))
    participant = DomainParticipant(args.domain)
    # As drivers do: commands and odometry reliably, sensors best-effort.
    commands = DataReader(participant, Topic(participant, "rt/cmd_vel", Twist), qos=reliable)
    odom = DataWriter(participant, Topic(participant, "rt/odom", Odometry), qos=reliable)
    imus = DataWriter(participant, Topic(participant, "rt/imu", Imu), qos=best_effort)
    fixes = DataWriter(participant, Topic(participant, "rt/fix", NavSatFix), qos=best_effort)
    scans = DataWriter(participant, Topic(participant, "rt/scan", LaserScan), qos=best_effort)
    say(event="ready")

    base = Base()
    number, before = 0, time.monotonic()
    while True:
        time.sleep(STEP_S)
        for sample in commands.take(N=100):
            if isinstance(sample, Twist):
                base.linear_mps, base.angular_radps = sample.linear.x, sample.angular.z
                at_ms = time.monotonic_ns() // 1_000_000
                say(event="cmd_vel", linear=base.linear_mps, angular=base.angular_radps, at_ms=at_ms)
        now = time.monotonic()
        base.step(now - before)
        before = now
        if number % 4 == 0:
            odom.write(base.odometry())
            imus.write(base.imu())
        if number % 20 == 0:
            scans.write(scan())
        if number % 40 == 0:
            fixes.write(base.fix())
        number += 1


if __name__ == "__main__":
    main()
