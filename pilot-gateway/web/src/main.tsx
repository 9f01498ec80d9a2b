/** Wiring only. */
import { render } from "solid-js/web";
import type { Backend } from "./io/backend";
import { gateway } from "./io/gateway";
import { App } from "./ui/app";
import { createAppState } from "./ui/state";
import "./ui/styles/base.css";
import "./ui/styles/pages.css";
import "./ui/styles/safety.css";
import "./ui/styles/owner.css";
import "./ui/styles/cockpit.css";
import "./ui/styles/cockpit-more.css";
import "./ui/styles/settings.css";
import "./ui/styles/watch.css";

async function backend(): Promise<Backend> {
  // Only in `npm run dev`: the build leaves the fake world out.
  if (import.meta.env.MODE === "mock") return (await import("../mock/backend")).createMockBackend();
  return gateway;
}

const root = document.getElementById("app");
if (root === null) throw new Error("index.html has no #app");
const app = createAppState(await backend());
render(() => <App app={app} />, root);
