/** The frame of every page but the cockpit. */
import { type JSX, Show } from "solid-js";
import type { Problem } from "../core/model";
import { follow, route } from "./router";
import type { AppState } from "./state";

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M3.5 14C5 9 6.4 6 7 2M12.5 14C11 9 9.6 6 9 2" />
    </svg>
  );
}

function Tab(props: { href: string; at: readonly string[]; children: JSX.Element }): JSX.Element {
  return (
    <a href={props.href} onClick={follow} aria-current={props.at.includes(route().at) ? "page" : undefined}>
      {props.children}
    </a>
  );
}

export function Shell(props: { app: AppState; children: JSX.Element }): JSX.Element {
  return (
    <div class="shell">
      <header class="top">
        <a class="brand" href="/" onClick={follow}>
          <Mark />
          Longrein
        </a>
        <Show
          when={props.app.session()}
          fallback={
            <nav>
              <Tab href="/safety" at={["safety"]}>
                Safety
              </Tab>
            </nav>
          }
        >
          {(session) => (
            <>
              <nav>
                <Tab href="/" at={["missions"]}>
                  Missions
                </Tab>
                <Tab href="/episodes" at={["episodes", "episode"]}>
                  Episodes
                </Tab>
                <Show when={session().claims.role === "owner" || session().claims.role === "operator"}>
                  <Tab href="/robots" at={["robots", "robot", "add-robot"]}>
                    Robots
                  </Tab>
                </Show>
                <Tab href="/account" at={["account"]}>
                  Account
                </Tab>
                <Tab href="/safety" at={["safety"]}>
                  Safety
                </Tab>
              </nav>
              <span class="who">{session().claims.name}</span>
            </>
          )}
        </Show>
      </header>
      <main>{props.children}</main>
    </div>
  );
}

/** What is wrong and what to do, where it happened. */
export function ProblemNote(props: { problem: Problem | null; again?: () => void }): JSX.Element {
  return (
    <Show when={props.problem}>
      {(problem) => (
        <div class="problem" role="alert">
          <p>{problem().detail}</p>
          <Show when={props.again}>
            <button type="button" class="button quiet" onClick={() => props.again?.()}>
              Try again
            </button>
          </Show>
        </div>
      )}
    </Show>
  );
}

export function Empty(props: { title: string; children: JSX.Element }): JSX.Element {
  return (
    <div class="empty">
      <h2>{props.title}</h2>
      <p>{props.children}</p>
    </div>
  );
}
