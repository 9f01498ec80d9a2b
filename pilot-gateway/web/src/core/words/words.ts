/**
 * The messages of all languages. English is the source: `Messages` is its type, so a key that another language misses,
 * or has too much, does not compile. A message with something in it is a function.
 */
import type { Language } from "../language";
import { cockpitDe } from "./cockpit.de";
import { cockpitEn } from "./cockpit.en";
import { inputsDe } from "./inputs.de";
import { inputsEn } from "./inputs.en";
import { ownerDe } from "./owner.de";
import { ownerEn } from "./owner.en";
import { pagesDe } from "./pages.de";
import { pagesEn } from "./pages.en";
import { safetyDe } from "./safety.de";
import { safetyEn } from "./safety.en";
import { watchDe } from "./watch.de";
import { watchEn } from "./watch.en";

const en = { ...cockpitEn, ...inputsEn, ...pagesEn, ...ownerEn, ...safetyEn, ...watchEn };

export type Messages = typeof en;

export const MESSAGES: Readonly<Record<Language, Messages>> = {
  en,
  de: { ...cockpitDe, ...inputsDe, ...pagesDe, ...ownerDe, ...safetyDe, ...watchDe },
};
