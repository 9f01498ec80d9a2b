"""Nav2's action NavigateToPose on CycloneDDS, independent of our own DDS and types, as rmw_cyclonedds carries it.

    python cyclonedds_nav2.py --domain N

Takes goals whose x is positive, tells "way to go" as feedback, publishes /cmd_vel_nav, and succeeds when x is below 10; else it
goes on until it is cancelled. Prints one JSON object a line: {"event": "ready"}, {"event": "goal", "frame", "x", "y"},
{"event": "cancelled"}. Ends when its standard input closes. Needs cyclonedds 11 (PyPI).
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
from cyclonedds.idl.types import array, float32, float64, int8, int16, int32, int64, sequence, uint8, uint16, uint32, uint64
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from cyclonedds_messages import Header, Point, Pose, Quaternion, Time, Twist, Vector3

ACTION = "nav2_msgs.action.dds_.NavigateToPose_"


@dataclass
class Duration(IdlStruct, typename="builtin_interfaces.msg.dds_.Duration_"):
    sec: int32
    nanosec: uint32


@dataclass
class PoseStamped(IdlStruct, typename="geometry_msgs.msg.dds_.PoseStamped_"):
    header: Header
    pose: Pose


@dataclass
class RequestHeader(IdlStruct, typename="cdds_request_header"):
    guid: uint64
    seq: int64


@dataclass
class SendGoalRequest(IdlStruct, typename=ACTION + "SendGoal_Request_"):
    head: RequestHeader
    goal_id: array[uint8, 16]
    pose: PoseStamped
    behavior_tree: str


@dataclass
class SendGoalReply(IdlStruct, typename=ACTION + "SendGoal_Response_"):
    head: RequestHeader
    accepted: bool
    stamp: Time


@dataclass
class GoalInfo(IdlStruct, typename="action_msgs.msg.dds_.GoalInfo_"):
    goal_id: array[uint8, 16]
    stamp: Time


@dataclass
class CancelRequest(IdlStruct, typename="action_msgs.srv.dds_.CancelGoal_Request_"):
    head: RequestHeader
    info: GoalInfo


@dataclass
class CancelReply(IdlStruct, typename="action_msgs.srv.dds_.CancelGoal_Response_"):
    head: RequestHeader
    return_code: int8
    goals_canceling: sequence[GoalInfo]


@dataclass
class ResultRequest(IdlStruct, typename=ACTION + "GetResult_Request_"):
    head: RequestHeader
    goal_id: array[uint8, 16]


@dataclass
class ResultReply(IdlStruct, typename=ACTION + "GetResult_Response_"):
    head: RequestHeader
    status: int8
    error_code: uint16
    error_msg: str


@dataclass
class Feedback(IdlStruct, typename=ACTION + "FeedbackMessage_"):
    goal_id: array[uint8, 16]
    current_pose: PoseStamped
    navigation_time: Duration
    estimated_time_remaining: Duration
    number_of_recoveries: int16
    distance_remaining: float32


def say(**line):
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    domain = DomainParticipant(parser.parse_args().domain)
    qos = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(10))

    def topic(name, kind):
        return Topic(domain, name, kind, qos=qos)

    def reader(name, kind):
        return DataReader(domain, topic(f"rq/navigate_to_pose/_action/{name}Request", kind), qos=qos)

    def writer(name, kind):
        return DataWriter(domain, topic(f"rr/navigate_to_pose/_action/{name}Reply", kind), qos=qos)

    goals, goal_answers = reader("send_goal", SendGoalRequest), writer("send_goal", SendGoalReply)
    cancels, cancel_answers = reader("cancel_goal", CancelRequest), writer("cancel_goal", CancelReply)
    questions, results = reader("get_result", ResultRequest), writer("get_result", ResultReply)
    feedback = DataWriter(domain, topic("rt/navigate_to_pose/_action/feedback", Feedback), qos=qos)
    velocity = DataWriter(domain, topic("rt/cmd_vel_nav", Twist), qos=qos)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    say(event="ready")
    goal, asked, pose, steps = None, None, None, 0

    def end(status, words=""):
        nonlocal goal, asked
        if asked is not None:
            results.write(ResultReply(asked, status, 0 if status == 4 else 9003, words))
        goal, asked = None, None

    while not over.is_set():
        for request in goals.take(N=10):
            at = request.pose.pose.position
            say(event="goal", frame=request.pose.header.frame_id, x=at.x, y=at.y, tree=request.behavior_tree)
            if at.x > 0:
                goal, asked, pose, steps = list(request.goal_id), None, request.pose, 0
            goal_answers.write(SendGoalReply(request.head, at.x > 0, Time(1, 2)))
        for request in cancels.take(N=10):
            hit = goal is not None and list(request.info.goal_id) == goal
            cancel_answers.write(CancelReply(request.head, 0 if hit else 2, [request.info] if hit else []))
            if hit:
                end(5)
                say(event="cancelled")
        for request in questions.take(N=10):
            if goal is not None and list(request.goal_id) == goal:
                asked = request.head
        if goal is not None:
            steps += 1
            way = pose.pose.position.x
            progress = Feedback(goal, pose, Duration(1, 0), Duration(2, 0), 0, way)
            feedback.write(progress)
            velocity.write(Twist(Vector3(0.25, 0.0, 0.0), Vector3(0.0, 0.0, 0.5)))
            if asked is not None and steps > 5 and way < 10:
                end(4)
            elif asked is not None and steps > 5 and way > 90:
                end(6, "no way found")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
