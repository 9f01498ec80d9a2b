/** One drive from taking the mission to its end. */
import { createSignal, type JSX, Match, onCleanup, Show, Switch } from "solid-js";
import type { LeaseOrder } from "../../io/api";
import { startDrive } from "../../io/drive";
import { type DriveView, NO_VIEW } from "../../io/drive-view";
import type { Identity } from "../../io/keys";
import { createData } from "../data";
import { follow } from "../router";
import { m, preferences, say } from "../say";
import type { AppState } from "../state";
import { Cockpit } from "./cockpit";
import { DriveEnd } from "./drive-end";

export function DrivePage(props: { app: AppState; order: LeaseOrder; identity: Identity }): JSX.Element {
  const { app, order, identity } = props;
  const missionId = order.mission;
  const [view, setView] = createSignal<DriveView>(NO_VIEW);
  const [front, setFront] = createSignal<MediaStream | null>(null);
  const [rear, setRear] = createSignal<MediaStream | null>(null);
  const [ending, setEnding] = createSignal(false);
  const [replaying, setReplaying] = createSignal(false);
  const mission =
    missionId === null
      ? { value: () => undefined, atMs: () => null }
      : createData(app, () => app.api.mission(missionId), ["mission"], 1_500);
  const drive = startDrive({
    backend: app.backend,
    api: app.api,
    identity,
    order,
    say,
    inputs: () => preferences().inputs,
    onReplay: () => setReplaying((now) => !now),
    onView: setView,
    onVideo: (camera, stream) => (camera === 0 ? setFront(stream) : setRear(stream)),
  });
  onCleanup(drive.close);
  const end = async () => {
    setEnding(true);
    await drive.end();
  };
  return (
    <Switch
      fallback={
        <Cockpit
          drive={drive}
          view={view()}
          mission={mission.value()}
          missionAtMs={mission.atMs()}
          front={front()}
          rear={rear()}
          onEnd={end}
          ending={ending()}
          replaying={replaying()}
          onReplay={() => setReplaying((now) => !now)}
        />
      }
    >
      <Match when={view().failure}>
        {(failure) => (
          <main class="end-page">
            <div class="card end-card failed" role="alert" data-testid="drive-failed">
              <span class="label">{mission.value()?.name ?? m().end.drive}</span>
              <h1>{m().end.didNotStart}</h1>
              <p>{failure().detail}</p>
              <div class="row wrap end-actions">
                <button type="button" class="button" onClick={() => location.reload()}>
                  {m().end.tryAgain}
                </button>
                <a class="button quiet" href="/" onClick={follow}>
                  {m().end.allMissions}
                </a>
              </div>
            </div>
          </main>
        )}
      </Match>
      <Match when={view().connection === "ended" && view().episode}>
        {(episode) => (
          <DriveEnd app={app} episodeId={episode()} missionId={missionId} why={view().connectionWords} />
        )}
      </Match>
      <Match when={view().connection === "ended"}>
        <main class="end-page">
          <div class="card end-card">
            <h1>{m().status.over}</h1>
            <Show when={view().connectionWords}>{(words) => <p>{words()}</p>}</Show>
            <div class="row wrap end-actions">
              <a class="button" href="/" onClick={follow}>
                {m().end.allMissions}
              </a>
            </div>
          </div>
        </main>
      </Match>
    </Switch>
  );
}
