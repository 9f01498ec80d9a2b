/** Which page is shown. */
import { createEffect, type JSX, lazy, Match, on, Show, Suspense, Switch } from "solid-js";
import { AccountPage } from "./account-page";
import { CheckPage } from "./check-page";
import { DrivePage } from "./cockpit/drive-page";
import { TakeOverPage } from "./cockpit/take-over-page";
import { EpisodePage } from "./episode-page";
import { EpisodesPage } from "./episodes-page";
import { JoinPage } from "./join-page";
import { MissionsPage } from "./missions-page";
import { AddRobotPage } from "./owner/add-robot-page";
import { RobotPage } from "./owner/robot-page";
import { RobotsPage } from "./owner/robots-page";
import { navigate, type Route, route } from "./router";
import { SafetyPage } from "./safety-page";
import { m, say } from "./say";
import { SettingsPage } from "./settings-page";
import { Empty, Shell } from "./shell";
import type { AppState } from "./state";
import { WatchPage } from "./watch-page";
import { WelcomePage } from "./welcome-page";

function routeAt<A extends Route["at"]>(at: A): (Route & { at: A }) | null {
  const now = route();
  return now.at === at ? (now as Route & { at: A }) : null;
}

/** What the page at an address is called. */
function titleOf(at: Route["at"]): string {
  const words = m();
  switch (at) {
    case "missions":
      return words.missions.title;
    case "drive":
    case "take-over":
      return words.cockpit.title;
    case "watch":
      return words.watch.title;
    case "episodes":
    case "episode":
      return words.episodes.title;
    case "robots":
    case "robot":
      return words.robots.title;
    case "add-robot":
      return words.add.title;
    case "account":
      return words.account.title;
    case "safety":
      return words.safetyPage.title;
    case "settings":
      return words.settings.title;
    case "check":
      return words.check.title;
    case "practice":
      return words.practice.title;
    case "join":
    case "nowhere":
      return "";
  }
}

/** The document's own language and title, for browsers and screen readers. */
function describeDocument(): void {
  createEffect(() => {
    document.documentElement.lang = say().language;
    const title = titleOf(route().at);
    document.title = title === "" ? BRAND : `${title} · ${BRAND}`;
  });
  // Whoever goes to another page by keyboard or ear begins at its top.
  createEffect(
    on(
      () => route().at,
      () => queueMicrotask(() => document.getElementById("content")?.focus({ preventScroll: true })),
      { defer: true },
    ),
  );
}

const BRAND = "Longrein";

/** Loaded when somebody practises: the street and its robot are of no use before. */
const PracticePage = lazy(async () => ({ default: (await import("./practice-page")).PracticePage }));

export function App(props: { app: AppState }): JSX.Element {
  const { app } = props;
  describeDocument();
  return (
    <Show
      when={app.session() && routeAt("drive")}
      fallback={
        <Show
          when={app.session() && (routeAt("practice") ?? routeAt("take-over"))}
          fallback={<InShell app={app} />}
        >
          <Show when={app.identity()} keyed>
            {(identity) => (
              <Show
                when={routeAt("take-over")?.robot}
                keyed
                fallback={
                  <Suspense>
                    <PracticePage app={app} identity={identity} />
                  </Suspense>
                }
              >
                {(robot) => <TakeOverPage app={app} robot={robot} identity={identity} />}
              </Show>
            )}
          </Show>
        </Show>
      }
    >
      <Show when={routeAt("drive")?.mission} keyed>
        {(mission) => (
          <Show when={app.identity()}>
            {(identity) => (
              <DrivePage app={app} order={{ robot: null, mission, takeover: false }} identity={identity()} />
            )}
          </Show>
        )}
      </Show>
    </Show>
  );
}

function InShell(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <Shell app={app}>
      <Switch fallback={<Pages app={app} />}>
        <Match when={routeAt("safety")}>
          <SafetyPage app={app} />
        </Match>
        <Match when={routeAt("settings")}>
          <SettingsPage />
        </Match>
        <Match when={routeAt("check")}>
          <CheckPage app={app} />
        </Match>
      </Switch>
    </Shell>
  );
}

function Pages(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <Show when={app.identity() !== undefined} fallback={<p class="dim">{m().shell.lookingForKey}</p>}>
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
        <Match when={routeAt("watch")} keyed>
          {(watch) => <WatchPage app={app} robot={watch.robot} />}
        </Match>
        <Match when={routeAt("account")}>
          <AccountPage app={app} />
        </Match>
        <Match when={routeAt("nowhere")}>
          <Empty title={m().shell.noPage} alone>
            <a
              href="/"
              onClick={(event) => {
                event.preventDefault();
                navigate("/");
              }}
            >
              {m().shell.toMissions}
            </a>
          </Empty>
        </Match>
      </Switch>
    </Show>
  );
}
