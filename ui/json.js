// JSON to the digit: numbers as they were written, where JavaScript would write them in another way; and how a place
// in it is written.

// What stands in a path as it is; any other key stands in quotes, so that no two places are written alike.
const BARE = /^[^."\\]+$/;

/** A place in JSON, as one text: its keys with dots between, `role.admin` or, where a key has a dot, `"role.admin"`. */
export const pathName = (path) => path.map((key) => (BARE.test(key) ? key : JSON.stringify(key))).join('.');

// Outside of strings, digits stand in numbers only.
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

const isExact = (token) => token.startsWith('"') || String(Number(token)) === token;

/** JSON in which a number that JavaScript would write in another way is its text, to the digit. */
export function verbatim(json) {
  return JSON.parse(json.replace(TOKENS, (token) =>
    (isExact(token) ? token : `"${token}"`)));
}

/** The same JSON with null for each number that `verbatim` holds as a text: it tells these from texts. */
export const digitsIn = (json) => JSON.parse(json.replace(TOKENS, (token) => (isExact(token) ? token : 'null')));
