/** The owner's robots. */
import { createMemo, For, type JSX, Show } from "solid-js";
import type { Robot } from "../../core/model";
import { WHOLE_PPM } from "../../core/owner";
import { createData } from "../data";
import { follow, navigate } from "../router";
import { Empty, ProblemNote } from "../shell";
import type { AppState } from "../state";
import { liveWords } from "./words";

export function isMine(robot: Robot, owner: string | null, role: string): boolean {
  return role === "operator" || robot.owners.some((share) => share.owner === owner);
}

function Card(props: { robot: Robot; owner: string | null }): JSX.Element {
  const share = () => props.robot.owners.find((s) => s.owner === props.owner)?.sharePpm ?? 0;
  return (
    <a class="card robot-card" href={`/robots/${props.robot.id}`} onClick={follow} data-testid="robot-card">
      <div class="row spread">
        <h2>{props.robot.name}</h2>
        <span class={props.robot.online ? "chip live" : "chip"}>
          {props.robot.revoked !== null ? "taken out" : props.robot.online ? "online" : "offline"}
        </span>
      </div>
      <p class="dim">{liveWords(props.robot)}</p>
      <div class="facts">
        <Show when={props.robot.online && props.robot.battery !== null}>
          <span>
            <b>{Math.round((props.robot.battery ?? 0) * 100)} %</b> battery
          </span>
        </Show>
        <Show when={share() > 0 && share() < WHOLE_PPM}>
          <span>
            <b>{(share() / 10_000).toFixed(0)} %</b> yours
          </span>
        </Show>
        <span>{props.robot.id}</span>
      </div>
    </a>
  );
}

export function RobotsPage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const me = createData(app, app.api.me, []);
  const robots = createData(app, app.api.robots, ["lease"], 3_000);
  const mine = createMemo(() => {
    const [who, all] = [me.value(), robots.value()];
    if (who === undefined || all === undefined) return undefined;
    return all.filter((robot) => isMine(robot, who.owner, who.role));
  });
  return (
    <>
      <div class="page-head">
        <h1>Robots</h1>
        <button
          type="button"
          class="button end"
          data-testid="add-robot"
          onClick={() => navigate("/add-robot")}
        >
          Add a robot
        </button>
      </div>
      <ProblemNote problem={me.problem() ?? robots.problem()} again={robots.again} />
      <Show when={mine()?.length === 0}>
        <Empty title="No robots yet">
          Add one: you get a line to run on it, and it appears here by itself.
        </Empty>
      </Show>
      <div class="cards">
        <For each={mine()}>{(robot) => <Card robot={robot} owner={me.value()?.owner ?? null} />}</For>
      </div>
    </>
  );
}
