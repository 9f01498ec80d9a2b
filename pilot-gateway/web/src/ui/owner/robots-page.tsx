/** The owner's robots. */
import { createMemo, For, type JSX, Show } from "solid-js";
import type { Robot } from "../../core/model";
import { WHOLE_PPM } from "../../core/owner";
import { createData } from "../data";
import { follow, navigate } from "../router";
import { m, say } from "../say";
import { Empty, ProblemNote } from "../shell";
import type { AppState } from "../state";
import { WatchLink } from "../watch-page";
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
          {props.robot.revoked !== null
            ? m().robots.takenOut
            : props.robot.online
              ? m().robots.online
              : m().robots.offline}
        </span>
      </div>
      <p class="dim">{liveWords(props.robot, say())}</p>
      <div class="facts">
        <Show when={props.robot.online && props.robot.battery !== null}>
          <span>
            <b>{say().percent(props.robot.battery ?? 0)}</b> {m().robots.battery}
          </span>
        </Show>
        <Show when={share() > 0 && share() < WHOLE_PPM}>
          <span>
            <b>{say().percent(share() / WHOLE_PPM)}</b> {m().robots.yours}
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
        <h1>{m().robots.title}</h1>
        <button
          type="button"
          class="button end"
          data-testid="add-robot"
          onClick={() => navigate("/add-robot")}
        >
          {m().robots.add}
        </button>
      </div>
      <ProblemNote problem={me.problem() ?? robots.problem()} again={robots.again} />
      <Show when={mine()?.length === 0}>
        <Empty title={m().robots.none}>{m().robots.noneDetail}</Empty>
      </Show>
      <div class="cards">
        <For each={mine()}>
          {(robot) => (
            <div class="robot-card-and-link">
              <Card robot={robot} owner={me.value()?.owner ?? null} />
              <Show when={robot.online}>
                <WatchLink robot={robot} />
              </Show>
            </div>
          )}
        </For>
      </div>
    </>
  );
}
