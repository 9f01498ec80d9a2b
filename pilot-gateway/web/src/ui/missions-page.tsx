/** The board: what there is to drive. */
import { createMemo, For, type JSX, Show } from "solid-js";
import { canDrive } from "../core/can";
import { routeLengthM } from "../core/geo";
import type { Mission, Robot } from "../core/model";
import { createData } from "./data";
import { RouteSketch } from "./route-sketch";
import { follow, navigate } from "./router";
import { m, say } from "./say";
import { Empty, ProblemNote } from "./shell";
import type { AppState } from "./state";
import { WatchLink } from "./watch-page";

const ORDER = ["active", "assigned", "offered", "open", "verifying", "settled"];

function rank(mission: Mission): number {
  const at = ORDER.indexOf(mission.state);
  return at < 0 ? ORDER.length : at;
}

function RobotLine(props: { robot: Robot | null; id: string }): JSX.Element {
  return (
    <div class="robot-line">
      <span class={props.robot?.online ? "pip on" : "pip"} />
      <span>{props.robot?.name ?? props.id}</span>
      <span class="dim">
        {props.robot?.online ? m().missions.online : m().missions.offline}
        <Show when={props.robot?.online && props.robot.battery !== null}>
          {m().missions.battery(say().percent(props.robot?.battery ?? 0))}
        </Show>
      </span>
      <Show when={props.robot?.online ? props.robot : null}>
        {(robot) => <WatchLink robot={robot()} class="watch-link end" />}
      </Show>
    </div>
  );
}

function MissionCard(props: { mission: Mission; robot: Robot | null; app: AppState }): JSX.Element {
  const can = createMemo(() =>
    canDrive(props.mission, props.robot, props.app.session()?.claims ?? { did: "", role: "" }, m()),
  );
  const why = () => {
    const c = can();
    return c.ok ? "" : c.why;
  };
  const route = () => routeLengthM(props.mission.checkpoints.map((c) => c.position));
  const finished = () => !["open", "offered", "assigned", "active"].includes(props.mission.state);
  return (
    <article
      class={finished() ? "card mission-card finished" : "card mission-card"}
      data-testid="mission-card"
      data-mission={props.mission.id}
      data-state={props.mission.state}
    >
      <RouteSketch checkpoints={props.mission.checkpoints} reached={props.mission.reached} />
      <div class="card-body">
        <div class="row spread">
          <h2>{props.mission.name}</h2>
          <span class={`chip state-${props.mission.state}`}>
            {m().pages.missionStates[props.mission.state] ?? props.mission.state}
          </span>
        </div>
        <div class="facts">
          <span>
            <b>{say().credits(props.mission.reward)}</b> {m().missions.credits}
          </span>
          <span>
            <b>{say().distance(route())}</b>
          </span>
          <span>
            <b>{props.mission.checkpoints.length}</b>{" "}
            {m().missions.checkpoints(props.mission.checkpoints.length)}
          </span>
          <Show when={props.mission.deadlineAtMs}>
            {(at) => <span>{say().timeLeft(at(), Date.now())}</span>}
          </Show>
        </div>
        <RobotLine robot={props.robot} id={props.mission.robot} />
        <div class="take">
          <p class="why" id={`why-${props.mission.id}`}>
            {why()}
          </p>
          <button
            type="button"
            class="button"
            data-testid="mission-take"
            disabled={!can().ok}
            aria-describedby={`why-${props.mission.id}`}
            onClick={() => navigate(`/drive/${props.mission.id}`)}
          >
            {["assigned", "active"].includes(props.mission.state) ? m().missions.driveOn : m().missions.take}
          </button>
        </div>
      </div>
    </article>
  );
}

export function MissionsPage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const missions = createData(app, app.api.missions, ["mission", "lease"]);
  const robots = createData(app, app.api.robots, ["lease"], 3_000);
  const sorted = createMemo(() => [...(missions.value() ?? [])].sort((a, b) => rank(a) - rank(b)));
  const ready = createMemo(() => sorted().filter((each) => ["open", "offered"].includes(each.state)).length);
  const robot = (id: string) => robots.value()?.find((r) => r.id === id) ?? null;
  return (
    <>
      <div class="page-head">
        <h1>{m().missions.title}</h1>
        <Show when={missions.value()}>
          <p class="dim">{m().missions.waiting(ready())}</p>
        </Show>
        <span class="end row wrap">
          <a href="/practice" onClick={follow}>
            {m().practice.link}
          </a>
          <a href="/check" onClick={follow}>
            {m().missions.check}
          </a>
        </span>
      </div>
      <ProblemNote problem={missions.problem() ?? robots.problem()} again={missions.again} />
      <Show when={missions.value() !== undefined && sorted().length === 0}>
        <Empty title={m().missions.none}>{m().missions.noneDetail}</Empty>
      </Show>
      <div class="cards">
        <For each={sorted()}>
          {(mission) => <MissionCard mission={mission} robot={robot(mission.robot)} app={app} />}
        </For>
      </div>
    </>
  );
}
