/** Which page is shown. */
import { type JSX, Match, Show, Switch } from "solid-js";
import { AccountPage } from "./account-page";
import { DrivePage } from "./cockpit/drive-page";
import { EpisodePage } from "./episode-page";
import { EpisodesPage } from "./episodes-page";
import { JoinPage } from "./join-page";
import { MissionsPage } from "./missions-page";
import { AddRobotPage } from "./owner/add-robot-page";
import { RobotPage } from "./owner/robot-page";
import { RobotsPage } from "./owner/robots-page";
import { navigate, type Route, route } from "./router";
import { SafetyPage } from "./safety-page";
import { Empty, Shell } from "./shell";
import type { AppState } from "./state";
import { WelcomePage } from "./welcome-page";

function routeAt<A extends Route["at"]>(at: A): (Route & { at: A }) | null {
  const now = route();
  return now.at === at ? (now as Route & { at: A }) : null;
}

export function App(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <Show
      when={app.session() && routeAt("drive")}
      fallback={
        <Shell app={app}>
          <Show when={routeAt("safety")} fallback={<Pages app={app} />}>
            <SafetyPage app={app} />
          </Show>
        </Shell>
      }
    >
      <Show when={routeAt("drive")?.mission} keyed>
        {(missionId) => (
          <Show when={app.identity()}>
            {(identity) => <DrivePage app={app} missionId={missionId} identity={identity()} />}
          </Show>
        )}
      </Show>
    </Show>
  );
}

function Pages(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <Show when={app.identity() !== undefined} fallback={<p class="dim">Looking for your key</p>}>
      <Switch>
        <Match when={routeAt("join")} keyed>
          {(join) => <JoinPage app={app} code={join.code} />}
        </Match>
        <Match when={!app.session()}>
          <WelcomePage app={app} />
        </Match>
        <Match when={routeAt("missions")}>
          <MissionsPage app={app} />
        </Match>
        <Match when={routeAt("episodes")}>
          <EpisodesPage app={app} />
        </Match>
        <Match when={routeAt("episode")} keyed>
          {(episode) => <EpisodePage app={app} id={episode.id} />}
        </Match>
        <Match when={routeAt("robots")}>
          <RobotsPage app={app} />
        </Match>
        <Match when={routeAt("add-robot")}>
          <AddRobotPage app={app} />
        </Match>
        <Match when={routeAt("robot")} keyed>
          {(robot) => <RobotPage app={app} id={robot.id} />}
        </Match>
        <Match when={routeAt("account")}>
          <AccountPage app={app} />
        </Match>
        <Match when={routeAt("nowhere")}>
          <Empty title="There is no such page">
            <a
              href="/"
              onClick={(event) => {
                event.preventDefault();
                navigate("/");
              }}
            >
              Go to the missions
            </a>
          </Empty>
        </Match>
      </Switch>
    </Show>
  );
}
