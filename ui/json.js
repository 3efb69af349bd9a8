// JSON to the digit: numbers as they were written, where JavaScript would write them in another way.

// Outside of strings, digits stand in numbers only.
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** JSON in which a number that JavaScript would write in another way is its text, to the digit. */
export function verbatim(json) {
  return JSON.parse(json.replace(TOKENS, (token) =>
    (token.startsWith('"') || String(Number(token)) === token ? token : `"${token}"`)));
}
