"""A robot base on CycloneDDS, independent of our own DDS: publishes /odom, /fix and /imu, reads /cmd_vel.

    python cyclonedds_peer.py --domain N [--best-effort]

Prints one JSON object a line: {"event": "ready"} once, then each velocity command as
{"event": "cmd_vel", "linear": x, "angular": z, "at_ns": monotonic}. Ends when its standard input closes.
Needs cyclonedds 11 (PyPI; the wheel brings the library).
"""

import argparse
import json
import sys
import threading
import time
from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import array, float64, int8, int32, uint8, uint16, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration


@dataclass
class Time(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Vector3(IdlStruct, typename="geometry_msgs.msg.dds_.Vector3_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
class Point(IdlStruct, typename="geometry_msgs.msg.dds_.Point_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
class Quaternion(IdlStruct, typename="geometry_msgs.msg.dds_.Quaternion_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0
    w: float64 = 1.0


@dataclass
class Twist(IdlStruct, typename="geometry_msgs.msg.dds_.Twist_"):
    linear: Vector3
    angular: Vector3


@dataclass
class Pose(IdlStruct, typename="geometry_msgs.msg.dds_.Pose_"):
    position: Point
    orientation: Quaternion


@dataclass
class PoseWithCovariance(IdlStruct, typename="geometry_msgs.msg.dds_.PoseWithCovariance_"):
    pose: Pose
    covariance: array[float64, 36]


@dataclass
class TwistWithCovariance(IdlStruct, typename="geometry_msgs.msg.dds_.TwistWithCovariance_"):
    twist: Twist
    covariance: array[float64, 36]


@dataclass
class Odometry(IdlStruct, typename="nav_msgs.msg.dds_.Odometry_"):
    header: Header
    child_frame_id: str
    pose: PoseWithCovariance
    twist: TwistWithCovariance


@dataclass
class Imu(IdlStruct, typename="sensor_msgs.msg.dds_.Imu_"):
    header: Header
    orientation: Quaternion
    orientation_covariance: array[float64, 9]
    angular_velocity: Vector3
    angular_velocity_covariance: array[float64, 9]
    linear_acceleration: Vector3
    linear_acceleration_covariance: array[float64, 9]


@dataclass
class NavSatStatus(IdlStruct, typename="sensor_msgs.msg.dds_.NavSatStatus_"):
    status: int8
    service: uint16


@dataclass
class NavSatFix(IdlStruct, typename="sensor_msgs.msg.dds_.NavSatFix_"):
    header: Header
    status: NavSatStatus
    latitude: float64
    longitude: float64
    altitude: float64
    position_covariance: array[float64, 9]
    position_covariance_type: uint8


def say(**line):
    print(json.dumps(line), flush=True)


def header(frame):
    now = time.time_ns()
    return Header(Time(now // 10**9, now % 10**9), frame)


def ramp(count):
    return [i / 4 for i in range(count)]


def odometry(number):
    twist = Twist(Vector3(1.25, 0.0, 0.0), Vector3(0.0, 0.0, -0.5))
    pose = Pose(Point(float(number), 2.0, 3.0), Quaternion(0.0, 0.0, 0.6, 0.8))
    return Odometry(
        header("odom"), "base_link", PoseWithCovariance(pose, ramp(36)), TwistWithCovariance(twist, ramp(36))
    )


def imu():
    return Imu(
        header("imu_link"), Quaternion(), ramp(9), Vector3(0.5, 0.25, 0.125), ramp(9), Vector3(0.0, 0.0, 9.75), ramp(9)
    )


def fix():
    return NavSatFix(header("gps_link"), NavSatStatus(2, 9), 52.5, 13.25, 34.5, ramp(9), 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--best-effort", action="store_true", help="read /cmd_vel best-effort instead of reliably")
    args = parser.parse_args()

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

    reliable = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(10))
    participant = DomainParticipant(args.domain)
    reader = DataReader(
        participant, Topic(participant, "rt/cmd_vel", Twist), qos=best_effort if args.best_effort else reliable
    )
    # As drivers do: odometry reliably, sensors best-effort.
    odom = DataWriter(participant, Topic(participant, "rt/odom", Odometry), qos=reliable)
    imus = DataWriter(participant, Topic(participant, "rt/imu", Imu), qos=best_effort)
    fixes = DataWriter(participant, Topic(participant, "rt/fix", NavSatFix), qos=best_effort)
    say(event="ready")

    number = 0
    while not stop.wait(0.01):
        for sample in reader.take(N=100):
            if isinstance(sample, Twist):
                say(event="cmd_vel", linear=sample.linear.x, angular=sample.angular.z, at_ns=time.monotonic_ns())
        imus.write(imu())
        if number % 2 == 0:
            odom.write(odometry(number // 2))
        if number % 20 == 0:
            fixes.write(fix())
        number += 1


if __name__ == "__main__":
    main()
