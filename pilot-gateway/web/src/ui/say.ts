/** The pilot's preferences as signals, and what speaks by them. */
import { createMemo, createRoot, createSignal } from "solid-js";
import { pickLanguage } from "../core/language";
import type { Preferences } from "../core/preferences";
import { createSay, type Say } from "../core/say";
import type { Messages } from "../core/words/words";
import { loadPreferences, onPreferences, storePreferences } from "../io/preferences";

const [preferences, set] = createSignal<Preferences>(loadPreferences());
onPreferences(set);

export { preferences };

export function setPreferences(next: Preferences): void {
  set(next);
  storePreferences(next);
}

export const say: () => Say = createRoot(() =>
  createMemo(() => {
    const { language, speed, length } = preferences();
    return createSay(pickLanguage(language, navigator.languages ?? []), { speed, length });
  }),
);

/** The messages of the language that is shown now. */
export function m(): Messages {
  return say().m;
}
