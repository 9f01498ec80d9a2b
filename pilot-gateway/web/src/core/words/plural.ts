/** One or many, as a language counts. */

export interface Forms {
  readonly one: string;
  readonly other: string;
}

export function plurals(locale: string): (count: number, forms: Forms) => string {
  const rules = new Intl.PluralRules(locale);
  // English and German know these two.
  return (count, forms) => (rules.select(count) === "one" ? forms.one : forms.other);
}
