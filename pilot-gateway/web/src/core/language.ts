/** The languages of this page, and which of them a reader gets. */

export const LANGUAGES = ["en", "de"] as const;
export type Language = (typeof LANGUAGES)[number];

/** What each language calls itself. */
export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { en: "English", de: "Deutsch" };

function known(tag: unknown): Language | null {
  if (typeof tag !== "string") return null;
  const [first] = tag.toLowerCase().split("-");
  return LANGUAGES.find((language) => language === first) ?? null;
}

/** The language that was chosen, else the reader's first that we have, else English. */
export function pickLanguage(chosen: unknown, wanted: readonly string[]): Language {
  return known(chosen) ?? wanted.map(known).find((language) => language !== null) ?? "en";
}
