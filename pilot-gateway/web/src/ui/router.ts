/** The page's address as a signal: sixteen routes need no more. */
import { createSignal } from "solid-js";

export type Route =
  | { readonly at: "join"; readonly code: string }
  | { readonly at: "missions" }
  | { readonly at: "drive"; readonly mission: string }
  | { readonly at: "episodes" }
  | { readonly at: "episode"; readonly id: string }
  | { readonly at: "robots" }
  | { readonly at: "add-robot" }
  | { readonly at: "robot"; readonly id: string }
  | { readonly at: "watch"; readonly robot: string }
  | { readonly at: "take-over"; readonly robot: string }
  | { readonly at: "account" }
  | { readonly at: "safety" }
  | { readonly at: "settings" }
  | { readonly at: "check" }
  | { readonly at: "practice" }
  | { readonly at: "nowhere" };

export function routeOf(pathname: string, hash: string): Route {
  const [first, second, third] = pathname.split("/").filter((part) => part !== "");
  if (third !== undefined) return { at: "nowhere" };
  switch (first) {
    case undefined:
      return { at: "missions" };
    case "join":
      return { at: "join", code: decodeURIComponent(hash.replace(/^#/, "")) };
    case "drive":
      return second === undefined ? { at: "missions" } : { at: "drive", mission: decodeURIComponent(second) };
    case "episodes":
      return second === undefined ? { at: "episodes" } : { at: "episode", id: decodeURIComponent(second) };
    case "robots":
      if (second === undefined) return { at: "robots" };
      return { at: "robot", id: decodeURIComponent(second) };
    case "add-robot":
      return second === undefined ? { at: "add-robot" } : { at: "nowhere" };
    case "watch":
      return second === undefined ? { at: "missions" } : { at: "watch", robot: decodeURIComponent(second) };
    case "take-over":
      return second === undefined
        ? { at: "missions" }
        : { at: "take-over", robot: decodeURIComponent(second) };
    case "account":
      return { at: "account" };
    case "safety":
      return { at: "safety" };
    case "settings":
      return { at: "settings" };
    case "check":
      return { at: "check" };
    case "practice":
      return { at: "practice" };
    default:
      return { at: "nowhere" };
  }
}

const here = () => routeOf(location.pathname, location.hash);
const [route, setRoute] = createSignal<Route>(here());
window.addEventListener("popstate", () => setRoute(here()));
window.addEventListener("hashchange", () => setRoute(here()));

export { route };

export function navigate(path: string): void {
  history.pushState(null, "", path);
  setRoute(here());
  window.scrollTo(0, 0);
}

/** For a link's `onClick`: goes there without loading the page anew. */
export function follow(event: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  navigate(event.currentTarget.pathname);
}
