/** A problem in the reader's language: by its stable code; the server's own words where this page has none. */
import type { Problem } from "./model";
import type { Messages } from "./words/words";

/** Problems that this page finds by itself. */
function ownWords(code: string, m: Messages): string | undefined {
  switch (code) {
    case "own-no-answer":
      return m.own.noAnswer;
    case "own-odd-answer":
      return m.own.oddAnswer;
    case "own-no-key-store":
      return m.own.noKeyStore;
    case "own-bad-code":
      return m.own.badCode;
    case "own-no-ed25519":
      return m.own.noEd25519;
    default:
      return undefined;
  }
}

/** A problem that this page finds by itself. */
export function ownProblem(
  code: "no-answer" | "odd-answer" | "no-key-store" | "bad-code" | "no-ed25519",
  status = 0,
): Problem {
  return { status, code: `own-${code}`, title: code.replaceAll("-", " "), detail: "" };
}

export function problemWords(problem: Problem, m: Messages): string {
  return ownWords(problem.code, m) ?? m.problems[problem.code] ?? problem.detail;
}

/** What the robot refused: translated by its code, in its own words where there are none. */
export function refusalWords(
  refused: { readonly code: string; readonly detail: string },
  m: Messages,
): string {
  return m.problems[refused.code] ?? refused.detail;
}

/** What the server said beyond the translated words, in English; empty when that is shown already. */
export function serverWords(problem: Problem, m: Messages): string {
  return m.problems[problem.code] === undefined ? "" : problem.detail;
}
