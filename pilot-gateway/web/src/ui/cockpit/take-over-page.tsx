/** The drive of somebody who takes a robot over: of the mission that it is on, or of the robot alone. */
import { createSignal, type JSX, Show } from "solid-js";
import { problemWords } from "../../core/problem";
import type { LeaseOrder } from "../../io/api";
import type { Identity } from "../../io/keys";
import { follow } from "../router";
import { m } from "../say";
import type { AppState } from "../state";
import { DrivePage } from "./drive-page";

export function TakeOverPage(props: { app: AppState; robot: string; identity: Identity }): JSX.Element {
  const { app } = props;
  const [order, setOrder] = createSignal<LeaseOrder | null>(null);
  const [words, setWords] = createSignal(m().watch.taking);
  const begin = async () => {
    const robot = await app.api.robot(props.robot);
    if (!robot.ok) {
      setWords(problemWords(robot.problem, m()));
      return;
    }
    setOrder({ robot: props.robot, mission: robot.value.mission, takeover: true });
  };
  void begin();
  return (
    <Show
      when={order()}
      keyed
      fallback={
        <main class="end-page">
          <div class="card end-card" role="status">
            <h1>{words()}</h1>
            <a class="button quiet" href={`/watch/${encodeURIComponent(props.robot)}`} onClick={follow}>
              {m().watch.title}
            </a>
          </div>
        </main>
      }
    >
      {(taken) => <DrivePage app={app} order={taken} identity={props.identity} />}
    </Show>
  );
}
