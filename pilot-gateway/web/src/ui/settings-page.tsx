/** The pilot's own choices: language, units, and how each input drives. */
import { For, type JSX } from "solid-js";
import { LANGUAGE_NAMES, LANGUAGES, pickLanguage } from "../core/language";
import type { Preferences } from "../core/preferences";
import { SPEED_UNITS } from "../core/say";
import { follow } from "./router";
import { m, preferences, say, setPreferences } from "./say";
import { GamepadCard } from "./settings/gamepad-card";
import { KeyboardCard } from "./settings/keyboard-card";
import { TouchCard } from "./settings/touch-card";

export function change(part: Partial<Preferences>): void {
  setPreferences({ ...preferences(), ...part });
}

function LanguageCard(): JSX.Element {
  const auto = () => m().settings.languageAuto(LANGUAGE_NAMES[pickLanguage(null, navigator.languages ?? [])]);
  return (
    <section class="card panel-card" aria-labelledby="language-title">
      <h2 id="language-title">{m().settings.language}</h2>
      <label class="field">
        {m().settings.language}
        <select
          data-testid="language"
          onChange={(event) => {
            const language = LANGUAGES.find((each) => each === event.currentTarget.value) ?? null;
            change({ language });
          }}
        >
          <option value="" selected={preferences().language === null}>
            {auto()}
          </option>
          <For each={LANGUAGES}>
            {(language) => (
              <option value={language} lang={language} selected={preferences().language === language}>
                {LANGUAGE_NAMES[language]}
              </option>
            )}
          </For>
        </select>
      </label>
      <h2>{m().settings.units}</h2>
      <label class="field">
        {m().settings.speed}
        <select
          data-testid="speed-unit"
          onChange={(event) => {
            const speed = SPEED_UNITS.find((unit) => unit === event.currentTarget.value);
            if (speed !== undefined) change({ speed });
          }}
        >
          <For each={SPEED_UNITS}>
            {(unit) => (
              <option value={unit} selected={preferences().speed === unit}>
                {unit}
              </option>
            )}
          </For>
        </select>
      </label>
      <label class="field">
        {m().settings.length}
        <select
          data-testid="length-unit"
          onChange={(event) => change({ length: event.currentTarget.value === "ft" ? "ft" : "m" })}
        >
          <option value="m" selected={preferences().length === "m"}>
            {m().settings.metres}
          </option>
          <option value="ft" selected={preferences().length === "ft"}>
            {m().settings.feet}
          </option>
        </select>
      </label>
      <p class="dim">
        {say().speed(1.2)}, {say().distance(7.4)}, {say().distance(2_400)}
      </p>
    </section>
  );
}

export function SettingsPage(): JSX.Element {
  return (
    <>
      <div class="page-head">
        <h1>{m().settings.title}</h1>
        <p class="dim">{m().settings.intro}</p>
        <a class="end" href="/check" onClick={follow}>
          {m().check.title}
        </a>
      </div>
      <div class="columns settings">
        <LanguageCard />
        <GamepadCard />
        <TouchCard />
        <KeyboardCard />
      </div>
    </>
  );
}
