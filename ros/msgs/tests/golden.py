"""Writes golden.txt: each message of this crate as the independent `rosbags` serialises it.

Run: python golden.py > golden.txt   (needs rosbags 0.10 or newer; the values are those of golden.rs)
"""

from pathlib import Path

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

store = get_typestore(Stores.ROS2_JAZZY)
for package in ("ackermann_msgs", "foxglove_msgs", "longrein_msgs"):
    for path in sorted((Path(__file__).parent.parent / "msg" / package).glob("*.msg")):
        store.register(get_types_from_msg(path.read_text(), f"{package}/msg/{path.stem}"))


def make(name, /, **fields):
    return store.types[name](**fields)


def f64(*values):
    return np.array(values, dtype=np.float64)


def f32(*values):
    return np.array(values, dtype=np.float32)


def octets(*values):
    return np.array(values, dtype=np.uint8)


def time():
    return make("builtin_interfaces/msg/Time", sec=1_700_000_001, nanosec=234_567_890)


def header(frame="base_link"):
    return make("std_msgs/msg/Header", stamp=time(), frame_id=frame)


def vector(x, y, z):
    return make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


def twist():
    return make("geometry_msgs/msg/Twist", linear=vector(1.5, -0.25, 0.0), angular=vector(0.0, 0.125, -2.0))


def quaternion():
    return make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.5, w=0.75)


def messages():
    ramp36 = f64(*[i / 4 for i in range(36)])
    ramp9 = f64(*[i / 2 for i in range(9)])
    yield time()
    yield header()
    yield make("std_msgs/msg/UInt8", data=3)
    yield make("std_msgs/msg/Bool", data=True)
    yield twist()
    yield make("geometry_msgs/msg/TwistStamped", header=header(""), twist=twist())
    yield make(
        "nav_msgs/msg/Odometry",
        header=header("odom"),
        child_frame_id="base_link",
        pose=make(
            "geometry_msgs/msg/PoseWithCovariance",
            pose=make(
                "geometry_msgs/msg/Pose",
                position=make("geometry_msgs/msg/Point", x=1.0, y=2.0, z=3.0),
                orientation=quaternion(),
            ),
            covariance=ramp36,
        ),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist(), covariance=ramp36),
    )
    yield make(
        "sensor_msgs/msg/Imu",
        header=header("imu"),
        orientation=quaternion(),
        orientation_covariance=ramp9,
        angular_velocity=vector(0.5, 0.25, 0.125),
        angular_velocity_covariance=ramp9,
        linear_acceleration=vector(0.0, 0.0, 9.75),
        linear_acceleration_covariance=ramp9,
    )
    yield make(
        "sensor_msgs/msg/MagneticField",
        header=header("imu"),
        magnetic_field=vector(1.5e-5, -2.5e-5, -4.5e-5),
        magnetic_field_covariance=ramp9,
    )
    yield make(
        "sensor_msgs/msg/NavSatFix",
        header=header("gps"),
        status=make("sensor_msgs/msg/NavSatStatus", status=-1, service=5),
        latitude=52.5,
        longitude=13.25,
        altitude=34.5,
        position_covariance=ramp9,
        position_covariance_type=2,
    )
    yield make(
        "sensor_msgs/msg/BatteryState",
        header=header(),
        voltage=25.5,
        temperature=21.0,
        current=-1.5,
        charge=8.0,
        capacity=10.0,
        design_capacity=10.5,
        percentage=0.75,
        power_supply_status=2,
        power_supply_health=1,
        power_supply_technology=2,
        present=True,
        cell_voltage=f32(3.5, 3.75),
        cell_temperature=f32(),
        location="slot",
        serial_number="",
    )
    yield make(
        "sensor_msgs/msg/LaserScan",
        header=header("laser"),
        angle_min=-1.5,
        angle_max=1.5,
        angle_increment=1.5,
        time_increment=0.0,
        scan_time=0.125,
        range_min=0.0625,
        range_max=12.0,
        ranges=f32(1.0, float("inf"), 3.5),
        intensities=f32(),
    )
    yield make(
        "sensor_msgs/msg/Range",
        header=header("cone_front"),
        radiation_type=1,
        field_of_view=0.25,
        min_range=0.125,
        max_range=4.0,
        range=1.75,
        variance=0.0625,
    )
    yield make(
        "ackermann_msgs/msg/AckermannDriveStamped",
        header=header(),
        drive=make(
            "ackermann_msgs/msg/AckermannDrive",
            steering_angle=-0.25,
            steering_angle_velocity=0.5,
            speed=1.5,
            acceleration=0.75,
            jerk=0.125,
        ),
    )
    yield make(
        "diagnostic_msgs/msg/DiagnosticArray",
        header=header(""),
        status=[
            make(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=2,
                name="motors: left",
                message="Too hot",
                hardware_id="odrive",
                values=[
                    make("diagnostic_msgs/msg/KeyValue", key="temperature", value="91"),
                    make("diagnostic_msgs/msg/KeyValue", key="fan", value=""),
                ],
            )
        ],
    )
    yield make(
        "sensor_msgs/msg/JointState",
        header=header(""),
        name=["left", "right_wheel"],
        position=f64(),
        velocity=f64(1.5, -1.5),
        effort=f64(),
    )
    yield make(
        "foxglove_msgs/msg/CompressedVideo",
        timestamp=time(),
        frame_id="camera_front",
        data=octets(0, 0, 0, 1, 0x67),
        format="h264",
    )
    yield make(
        "longrein_msgs/msg/DriveCommand",
        stamp=time(),
        arrived_ms=5_000_000_000,
        epoch=7,
        seq=42,
        deadman=True,
        linear_mps=1.25,
        angular_radps=-0.5,
        packet=octets(1, 1, 3),
    )
    yield make(
        "sensor_msgs/msg/Image",
        header=header("camera"),
        height=2,
        width=1,
        encoding="rgb8",
        is_bigendian=0,
        step=4,
        data=octets(1, 2, 3, 0, 4, 5, 6, 0),
    )
    yield make(
        "sensor_msgs/msg/CompressedImage",
        header=header("camera"),
        format="rgb8; jpeg compressed bgr8",
        data=octets(0xFF, 0xD8, 0xFF),
    )
    yield make("longrein_msgs/msg/SafetyStep", stamp=time(), tick=9, inputs=octets(1, 2, 3), outputs=octets(4))
    yield make(
        "longrein_msgs/msg/SafetyState",
        stamp=time(),
        state="driving",
        reason="latency",
        hazards=16,
        limit_mps=0.75,
        loop_latency_ms=250.0,
        limited_linear_mps=0.75,
        limited_angular_radps=0.5,
        executed_linear_mps=0.625,
        executed_angular_radps=0.25,
    )
    yield make(
        "longrein_msgs/msg/LinkStats",
        stamp=time(),
        rtt_ms=20.5,
        jitter_ms=1.25,
        video_loss=0.0625,
        video_kbps=2500.0,
        available_kbps=4000.0,
        frames_sent=1,
        packets_sent=2,
        nacks=3,
        keyframe_requests=4,
        drive_received=5,
        drive_refused=6,
        telemetry_sent=7,
    )
    yield make("longrein_msgs/msg/Event", stamp=time(), code="estop", detail="Emergency stop", json='{"by":"pilot"}')


for message in messages():
    name = message.__msgtype__
    print(name, store.serialize_cdr(message, name).hex())
