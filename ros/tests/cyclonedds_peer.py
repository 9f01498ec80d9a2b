"""A robot base on CycloneDDS, independent of our own DDS: publishes /odom, /fix, /imu and /imu/mag, reads /cmd_vel.

    python cyclonedds_peer.py --domain N [--best-effort] [--lasting] [--commands twist_stamped|ackermann_drive_stamped] [--close]

With --close also /range/new and /range/old (as Jazzy and as Humble have it), and /bumper.

Prints one JSON object a line: {"event": "ready"} once, then each velocity command as
{"event": "cmd_vel", "linear": x, "angular": z, "at_ns": monotonic}; "angular" is the steering angle of a car. Ends when its standard input closes.
Needs cyclonedds 11 (PyPI; the wheel brings the library).
"""

import argparse
import json
import sys
import threading
import time

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from cyclonedds_messages import (
    AckermannDriveStamped,
    Bool,
    Header,
    Imu,
    MagneticField,
    NavSatFix,
    NavSatStatus,
    Odometry,
    Point,
    Pose,
    PoseWithCovariance,
    Quaternion,
    Range,
    RangeOfHumble,
    Time,
    Twist,
    TwistStamped,
    TwistWithCovariance,
    Vector3,
)


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


def field():
    return MagneticField(header("imu_link"), Vector3(1.5e-5, -2.5e-5, -4.5e-5), ramp(9))


def fix():
    return NavSatFix(header("gps_link"), NavSatStatus(2, 9), 52.5, 13.25, 34.5, ramp(9), 2)


def command_of(sample):
    """Speed, turn rate or steering angle, and the stamp."""
    if isinstance(sample, Twist):
        return sample.linear.x, sample.angular.z, None
    stamp = sample.header.stamp.sec
    if isinstance(sample, TwistStamped):
        return sample.twist.linear.x, sample.twist.angular.z, stamp
    return sample.drive.speed, sample.drive.steering_angle, stamp


COMMANDS = {
    "twist": Twist,
    "twist_stamped": TwistStamped,
    "ackermann_drive_stamped": AckermannDriveStamped,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--best-effort", action="store_true", help="read /cmd_vel best-effort instead of reliably")
    parser.add_argument("--lasting", action="store_true", help="read /cmd_vel as transient local")
    parser.add_argument("--commands", choices=COMMANDS, default="twist")
    parser.add_argument("--close", action="store_true", help="publish range sensors and a bumper")
    args = parser.parse_args()
    command_type = COMMANDS[args.commands]

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

    reliable = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(10))
    wanted = best_effort if args.best_effort else reliable
    if args.lasting:
        wanted = Qos(Policy.Durability.TransientLocal, base=wanted)
    participant = DomainParticipant(args.domain)
    reader = DataReader(participant, Topic(participant, "rt/cmd_vel", command_type), qos=wanted)
    # As drivers do: odometry reliably, sensors best-effort.
    odom = DataWriter(participant, Topic(participant, "rt/odom", Odometry), qos=reliable)
    imus = DataWriter(participant, Topic(participant, "rt/imu", Imu), qos=best_effort)
    fields = DataWriter(participant, Topic(participant, "rt/imu/mag", MagneticField), qos=best_effort)
    fixes = DataWriter(participant, Topic(participant, "rt/fix", NavSatFix), qos=best_effort)
    new, old, bumper = None, None, None
    if args.close:
        new = DataWriter(participant, Topic(participant, "rt/range/new", Range), qos=best_effort)
        old = DataWriter(participant, Topic(participant, "rt/range/old", RangeOfHumble), qos=best_effort)
        bumper = DataWriter(participant, Topic(participant, "rt/bumper", Bool), qos=reliable)
    say(event="ready")

    number = 0
    while not stop.wait(0.01):
        for sample in reader.take(N=100):
            if isinstance(sample, command_type):
                linear, angular, stamp = command_of(sample)
                say(event="cmd_vel", linear=linear, angular=angular, stamp=stamp, at_ns=time.monotonic_ns())
        imus.write(imu())
        fields.write(field())
        if number % 2 == 0:
            odom.write(odometry(number // 2))
        if number % 20 == 0:
            fixes.write(fix())
        if args.close and number % 5 == 0:
            new.write(Range(header("cone"), 0, 0.25, 0.125, 4.0, 1.5, 0.25))
            old.write(RangeOfHumble(header("cone_old"), 1, 0.25, 0.125, 4.0, float("inf")))
            bumper.write(Bool(True))
        number += 1


if __name__ == "__main__":
    main()
