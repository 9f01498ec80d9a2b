/**
 * Every word that a reader sees comes from the catalogue: this walks the components and finds what was written into them
 * instead. Biome and tsc can't.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAst } from "vite";
import { describe, expect, it } from "vitest";

const FOLDER = join(import.meta.dirname, ".");

/** Attributes that no reader sees or hears. */
const UNSEEN =
  /^(class|classList|style|type|role|id|name|for|href|target|rel|d|points|viewBox|transform|patternTransform|fill|patternUnits|preserveAspectRatio|shape-rendering|data-.*|autocomplete|accept|scope|lang|translate|step|value|font-size|stroke-.*|aria-(hidden|live|labelledby|describedby|keyshortcuts|pressed|expanded|current)|text-anchor|testid|gravity|key|ref|at|on[A-Z].*)$/;

/** Names and signs that are the same in every language. */
const SAME = new Set([
  "Longrein",
  "W",
  "A",
  "S",
  "D",
  "M",
  "G",
  "H",
  "R",
  "N",
  "m/s",
  "ms",
  "m",
  "ft",
  "s",
  "km",
]);

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string";
}

/** Whether a text has words: two letters of a word at least. */
function hasWords(text: string): boolean {
  const said = text.replaceAll(/&[a-z]+;/g, " ").trim();
  return /\p{L}{2,}/u.test(said) && !SAME.has(said);
}

/** Whether a string outside of JSX reads like a sentence or a title: code has no capitals with spaces after. */
function readsLikeWords(text: string): boolean {
  return (
    hasWords(text) && /^\p{Lu}\p{Ll}+( |$|\.|,)/u.test(text.trim()) && !/^[A-Z][a-z]+[A-Z0-9]/.test(text)
  );
}

/** Codes of keys as events name them. */
const KEY_NAMES = /^(Escape|Enter|Space|Shift|Shift(Left|Right)|Arrow(Up|Down|Left|Right)|Ed25519)$/;

function literals(source: string): readonly string[] {
  const found: string[] = [];
  const text = (value: string, seen: boolean) => {
    if (KEY_NAMES.test(value.trim())) return;
    if (seen ? hasWords(value) : readsLikeWords(value)) found.push(value.trim());
  };
  /** `seen`: what is here is shown as it is. */
  const walk = (node: Node, seen: boolean): void => {
    switch (node.type) {
      case "ImportDeclaration":
      case "TSTypeAliasDeclaration":
      case "TSInterfaceDeclaration":
      case "TSTypeAnnotation":
        return;
      case "JSXText":
        text(String(node["value"]), true);
        return;
      case "JSXAttribute": {
        const name = JSON.stringify(node["name"]).match(/"name":"([^"]+)"/)?.[1] ?? "";
        const value = node["value"];
        if (!UNSEEN.test(name) && isNode(value)) walk(value, true);
        else if (isNode(value) && value.type === "JSXExpressionContainer" && /^on/.test(name))
          walk(value, false);
        return;
      }
      case "Literal":
        if (typeof node["value"] === "string") text(node["value"], seen);
        return;
      case "TemplateElement": {
        const value = node["value"] as { cooked?: string };
        text(value.cooked ?? "", seen);
        return;
      }
      case "JSXElement":
      case "JSXFragment":
        children(node, false);
        return;
      case "JSXExpressionContainer":
      case "ConditionalExpression":
      case "LogicalExpression": {
        const test = node["test"];
        if (isNode(test)) walk(test, false);
        for (const part of ["expression", "consequent", "alternate", "left", "right"]) {
          const inner = node[part];
          if (isNode(inner)) walk(inner, seen || node.type === "JSXExpressionContainer");
        }
        return;
      }
      // What is compared, called or looked up is code.
      case "BinaryExpression":
        if (node["operator"] === "+") children(node, seen);
        return;
      case "TemplateLiteral":
        children(node, seen);
        return;
      default:
        children(node, false);
    }
  };
  const children = (node: Node, seen: boolean): void => {
    for (const [key, value] of Object.entries(node)) {
      if (key === "type" || key === "parent") continue;
      for (const each of Array.isArray(value) ? value : [value]) {
        if (isNode(each)) walk(each, seen);
      }
    }
  };
  walk(parseAst(source, { lang: "tsx" }) as unknown as Node, false);
  return found;
}

const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".tsx"),
);

/** Commands that are typed as they are, and names of files. */
const TYPED = ["episode verify"];

describe("the catalogue has all visible words", () => {
  it("finds a word that is written into a component", () => {
    expect(literals("const a = <p>Hello there</p>;")).toEqual(["Hello there"]);
    expect(literals('const a = <p title="Go">{m().a}</p>;')).toEqual(["Go"]);
    expect(literals('const a = <p class="one two">{busy() ? "Wait" : m().a}</p>;')).toEqual(["Wait"]);
    expect(literals("const a = <p>{`$" + "{n} credits`}</p>;")).toEqual(["credits"]);
    expect(literals('const words = () => "The robot waits.";')).toEqual(["The robot waits."]);
    expect(literals('const a = <p data-testid="Go" onClick={() => set("Done now")}>{m().a}</p>;')).toEqual([
      "Done now",
    ]);
    expect(literals('const a = <p>{is() === "Open" ? m().a : m().b(say().age(3))}</p>;')).toEqual([]);
  });

  it("looks at the components", () => {
    expect(files.length).toBeGreaterThan(30);
  });

  it.each(files)("%s", (name) => {
    const found = literals(readFileSync(join(FOLDER, name), "utf8"));
    expect(found.filter((words) => !TYPED.includes(words))).toEqual([]);
  });
});
