/** One stream of events for the whole page: browsers allow only a few connections to one server. */
import type { Backend } from "../io/backend";

export type EventListener = (name: string, data: unknown) => void;

export interface Events {
  /** Returns how to stop listening. The stream is open while somebody listens. */
  readonly listen: (listener: EventListener) => () => void;
}

export function createEvents(backend: Backend, token: () => string | null): Events {
  const listeners = new Set<EventListener>();
  let close: (() => void) | null = null;
  return {
    listen: (listener) => {
      listeners.add(listener);
      const signedIn = token();
      if (close === null && signedIn !== null) {
        close = backend.events(signedIn, (name, data) => {
          for (const each of listeners) each(name, data);
        });
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        close?.();
        close = null;
      };
    },
  };
}
