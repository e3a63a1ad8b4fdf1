// What can go wrong, in a form that can be put into the visitor's language.

/** An error with a `kind` (a text "error_<kind>" says it to people) and the values that the text mentions. */
export class PlayerError extends Error {
  /** @param {"expired"|"missing"|"server"|"network"|"data"|"sound"|"video"|"webgl"} kind */
  constructor(kind, values = {}) {
    super(`${kind} ${values.detail ?? values.status ?? ""}`.trim());
    this.kind = kind;
    this.values = values;
  }
}

/** @param {string} text with {names} @param {Record<string, unknown>} values */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The sentence for a person. @param {Error} error @param {Record<string, string>} texts */
export function explain(error, texts) {
  if (error instanceof PlayerError) return fill(texts[`error_${error.kind}`], error.values);
  return fill(texts.error_unknown, { detail: error.message });
}
