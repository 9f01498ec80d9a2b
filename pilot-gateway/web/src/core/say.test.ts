import { describe, expect, it } from "vitest";
import { ALL_REASONS } from "../protocol/safety";
import { shown } from "./age";
import { announce, SILENCE } from "./announce";
import { LANGUAGES, pickLanguage } from "./language";
import { ownProblem, problemWords, serverWords } from "./problem";
import { createSay, SI } from "./say";
import { cockpitEn } from "./words/cockpit.en";
import { inputsEn } from "./words/inputs.en";
import { ownerEn } from "./words/owner.en";
import { pagesEn } from "./words/pages.en";
import { safetyEn } from "./words/safety.en";
import { MESSAGES } from "./words/words";

const en = createSay("en", SI);
const de = createSay("de", SI);

describe("the language", () => {
  it("is the chosen one, else the reader's first that we have", () => {
    expect(pickLanguage("de", ["en-US"])).toBe("de");
    expect(pickLanguage(null, ["fr-FR", "de-AT", "en"])).toBe("de");
    expect(pickLanguage(null, ["en-US", "de"])).toBe("en");
    expect(pickLanguage("tlh", ["fr"])).toBe("en");
    expect(pickLanguage(null, [])).toBe("en");
  });
});

/** Every path to a message, and whether it is a word, a list or made from something. */
function shape(value: unknown, path = ""): readonly string[] {
  if (typeof value !== "object" || value === null) return [`${path}: ${typeof value}`];
  if (Array.isArray(value)) return [`${path}: ${value.length} words`];
  return Object.entries(value).flatMap(([key, inner]) => shape(inner, `${path}.${key}`));
}

describe("the catalogue", () => {
  // Keys that the type can't hold both languages to: tables by codes that others may add to.
  const loose = (path: string) => !path.startsWith(".problems.");

  it.each(LANGUAGES)("%s has every key and none too many", (language) => {
    expect(shape(MESSAGES[language]).filter(loose).sort()).toEqual(shape(MESSAGES.en).filter(loose).sort());
  });

  it.each(LANGUAGES)("%s has words for everything", (language) => {
    const empty = (value: unknown): boolean => {
      if (typeof value === "string") return value.trim() === "";
      if (typeof value === "function") return String(value("7", "8")).trim() === "";
      if (typeof value !== "object" || value === null) return true;
      return false;
    };
    const look = (value: unknown, path: string): string[] => {
      if (typeof value === "object" && value !== null) {
        return Object.entries(value).flatMap(([key, inner]) => look(inner, `${path}.${key}`));
      }
      return empty(value) && !path.endsWith(".whatNext") ? [path] : [];
    };
    expect(look(MESSAGES[language], "")).toEqual([]);
  });

  it("is of parts that do not hide one another's keys", () => {
    const keys = [cockpitEn, inputsEn, pagesEn, ownerEn, safetyEn].flatMap((part) => Object.keys(part));
    expect(keys.length).toBe(new Set(keys).size);
  });

  it("German is not English", () => {
    for (const { code, whatNext } of ALL_REASONS) {
      const reason = de.reasonByCode(code);
      expect(reason.code).toBe(code);
      expect(reason.words).not.toBe(en.reasonByCode(code).words);
      expect(reason.whatNext === "", code).toBe(whatNext === "");
    }
    expect(de.reasonByCode("new-hazard", "The robot says so").words).toBe("The robot says so");
    expect(de.reason(99).words).toContain("nicht kennt");
  });
});

describe("numbers", () => {
  it("are in the reader's language and units", () => {
    expect(en.speed(1.25)).toBe("1.3 m/s");
    expect(de.speed(1.24)).toBe("1,2 m/s");
    expect(createSay("en", { speed: "km/h", length: "m" }).speed(1.5)).toBe("5.4 km/h");
    const miles = createSay("en", { speed: "mph", length: "ft" });
    expect(miles.speed(1.5)).toBe("3.4 mph");
    expect([1, 20, 3_000].map(miles.distance)).toEqual(["3.3 ft", "66 ft", "1.9 mi"]);
    expect([4.2, 42.4, 5_120].map(de.distance)).toEqual(["4,2 m", "42 m", "5,1 km"]);
    expect(en.speed(-0.001)).toBe("0.0 m/s");
    expect(de.when(Date.UTC(2026, 0, 2, 12))).toContain("2026");
    expect(de.m.missions.waiting(1)).toBe("1 wartet auf einen Fahrer");
    expect(de.m.missions.waiting(2)).toBe("2 warten auf einen Fahrer");
  });

  it("show their age, and never an old value", () => {
    const battery = (ageMs: number | null) => shown(ageMs, 700, () => "78 %", en);
    expect(battery(40)).toEqual({ freshness: "live", text: "78 %", age: "0.1 s" });
    expect(battery(701)).toEqual({ freshness: "stale", text: "stale, 0.8 s old", age: "" });
    expect(battery(null)).toEqual({ freshness: "never", text: "not heard yet", age: "" });
    // Ages are rounded up: nothing looks fresher than it is.
    expect([1, 100, 101, 9_950, 12_300].map(en.roughAge)).toEqual([
      "0.1 s",
      "0.1 s",
      "0.2 s",
      "10 s",
      "12 s",
    ]);
  });
});

describe("problems", () => {
  const problem = { status: 409, code: "robot-offline", title: "", detail: "Wait until it is online." };
  it("are the server's words in English, and translated by code, with its words beside", () => {
    expect(problemWords(problem, en.m)).toBe("Wait until it is online.");
    expect(serverWords(problem, en.m)).toBe("");
    expect(problemWords(problem, de.m)).toContain("Der Roboter ist nicht da");
    expect(serverWords(problem, de.m)).toBe("Wait until it is online.");
    expect(problemWords({ ...problem, code: "new" }, de.m)).toBe("Wait until it is online.");
    expect(problemWords(ownProblem("no-answer"), de.m)).toBe(de.m.own.noAnswer);
  });
});

describe("what is said aloud", () => {
  it("is each new thing once, without the numbers that count up", () => {
    let said = SILENCE;
    const heard: string[] = [];
    const tell = (gravity: "calm" | "drive" | "hold" | "stop", words: string, nowMs: number) => {
      const next = announce(said, { gravity, words }, nowMs);
      if (next !== said) heard.push(next.words);
      said = next;
    };
    for (let t = 0; t < 1_000; t += 50) tell("drive", `Driving up to ${1 + t / 1000} m/s`, t);
    for (let t = 1_000; t < 4_000; t += 50) tell("stop", `The robot is not heard for ${t} ms.`, t);
    // Something calm that lasts for a moment only is not said.
    tell("calm", "Ready.", 4_100);
    expect(said.urgent).toBe(false);
    tell("drive", "Driving", 4_200);
    tell("stop", "Emergency stop.", 4_210);
    expect(heard).toEqual([
      "Driving up to 1 m/s",
      "The robot is not heard for 1000 ms.",
      "Ready.",
      "Emergency stop.",
    ]);
    expect(said.urgent).toBe(true);
  });
});
