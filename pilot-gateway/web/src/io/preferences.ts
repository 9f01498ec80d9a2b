/** Keeps the pilot's preferences in this browser, and hears of changes that another tab makes. */
import { type Preferences, parsePreferences } from "../core/preferences";

const SLOT = "longrein.preferences";

export function loadPreferences(): Preferences {
  try {
    return parsePreferences(JSON.parse(localStorage.getItem(SLOT) ?? "null"));
  } catch {
    // Storage that is switched off, or odd content: the defaults hold.
    return parsePreferences(null);
  }
}

export function storePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(SLOT, JSON.stringify(preferences));
  } catch (error) {
    console.warn("the preferences can't be kept in this browser", error);
  }
}

export function onPreferences(changed: (preferences: Preferences) => void): void {
  window.addEventListener("storage", (event) => {
    if (event.key === SLOT || event.key === null) changed(loadPreferences());
  });
}
