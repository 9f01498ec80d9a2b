/** The frame of every page but the cockpit. */
import { type JSX, Show } from "solid-js";
import type { Problem } from "../core/model";
import { problemWords, serverWords } from "../core/problem";
import { follow, route } from "./router";
import { m } from "./say";
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

/** Not by the address: a hash would be another page. */
function toContent(): void {
  document.getElementById("content")?.focus();
}

export function Shell(props: { app: AppState; children: JSX.Element }): JSX.Element {
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={toContent}>
        {m().shell.skip}
      </button>
      <header class="top">
        <a class="brand" href="/" onClick={follow}>
          <Mark />
          Longrein
        </a>
        <Show
          when={props.app.session()}
          fallback={
            <nav aria-label={m().shell.main}>
              <Tab href="/safety" at={["safety"]}>
                {m().shell.safety}
              </Tab>
              <Tab href="/settings" at={["settings"]}>
                {m().shell.settings}
              </Tab>
            </nav>
          }
        >
          {(session) => (
            <>
              <nav aria-label={m().shell.main}>
                <Tab href="/" at={["missions"]}>
                  {m().shell.missions}
                </Tab>
                <Tab href="/episodes" at={["episodes", "episode"]}>
                  {m().shell.episodes}
                </Tab>
                <Show when={session().claims.role === "owner" || session().claims.role === "operator"}>
                  <Tab href="/robots" at={["robots", "robot", "add-robot"]}>
                    {m().shell.robots}
                  </Tab>
                </Show>
                <Tab href="/account" at={["account"]}>
                  {m().shell.account}
                </Tab>
                <Tab href="/safety" at={["safety"]}>
                  {m().shell.safety}
                </Tab>
                <Tab href="/settings" at={["settings", "check"]}>
                  {m().shell.settings}
                </Tab>
              </nav>
              <span class="who">{session().claims.name}</span>
            </>
          )}
        </Show>
      </header>
      <main id="content" tabindex={-1}>
        {props.children}
      </main>
    </div>
  );
}

/** What is wrong and what to do, where it happened. */
export function ProblemNote(props: { problem: Problem | null; again?: () => void }): JSX.Element {
  return (
    <Show when={props.problem}>
      {(problem) => (
        <div class="problem" role="alert">
          <div>
            <p>{problemWords(problem(), m())}</p>
            <Show when={serverWords(problem(), m())}>
              {(words) => (
                <p class="dim" lang="en">
                  {words()}
                </p>
              )}
            </Show>
          </div>
          <Show when={props.again}>
            <button type="button" class="button quiet" onClick={() => props.again?.()}>
              {m().shell.tryAgain}
            </button>
          </Show>
        </div>
      )}
    </Show>
  );
}

/** `alone`: the page has nothing else, so that this is its heading. */
export function Empty(props: { title: string; alone?: boolean; children: JSX.Element }): JSX.Element {
  return (
    <div class="empty">
      <Show when={props.alone} fallback={<h2>{props.title}</h2>}>
        <h1>{props.title}</h1>
      </Show>
      <p>{props.children}</p>
    </div>
  );
}
