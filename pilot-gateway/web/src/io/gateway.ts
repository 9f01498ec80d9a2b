/** The real world: the gateway that served this page. */
import type { Backend } from "./backend";
import { openLink, openViewer } from "./webrtc";

const EVENTS = ["robot", "mission", "episode", "lease"];

function events(token: string, on: (name: string, data: unknown) => void): () => void {
  const source = new EventSource(`/v1/events?token=${encodeURIComponent(token)}`);
  for (const name of EVENTS) {
    source.addEventListener(name, (event: MessageEvent<string>) => {
      try {
        on(name, JSON.parse(event.data));
      } catch (error) {
        console.warn(`event ${name} is no JSON`, error);
      }
    });
  }
  // The browser reconnects by itself; the pages ask again by HTTP from time to time.
  return () => source.close();
}

export const gateway: Backend = { fetch: (path, init) => fetch(path, init), events, openLink, openViewer };
