// Calls to the server this page came from, and to nothing else.

const KEY = 'indelible-key';
const NOT_IN_FORCE = 'This is no key that is in force here: it expired or was revoked, or is not whole.';

export const key = () => sessionStorage.getItem(KEY);
export const setKey = (text) => sessionStorage.setItem(KEY, text);
export const dropKey = () => sessionStorage.removeItem(KEY);

/** A problem document as an error; status 0 when the server could not be reached. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.next = document.next;
  }
}

/** What is at a path, as text; `query` becomes the URL's, without empty values. */
export async function text(path, query = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(set).toString();
  const headers = { accept: 'application/json' };
  if (/[^!-~]/.test(key() ?? '')) throw new Problem(401, { detail: 'This has characters that no key has.' });
  if (key()) headers.authorization = `Bearer ${key()}`;
  const unreached = () => { throw new Problem(0, { detail: 'The server cannot be reached.' }); };
  const response = await fetch(search ? `${path}?${search}` : path, { headers }).catch(unreached);
  if (response.ok) return response.text().catch(unreached);
  // The document speaks to programs, of headers.
  if (response.status === 401) throw new Problem(401, { detail: key() ? NOT_IN_FORCE : 'The server asks for a key.' });
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/** The JSON at a path. */
export async function get(path, query) {
  return JSON.parse(await text(path, query));
}

// Outside of strings, digits stand in numbers only.
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

/** JSON in which a number that JavaScript would write in another way is its text, to the digit. */
export function verbatim(json) {
  return JSON.parse(json.replace(TOKENS, (token) =>
    (token.startsWith('"') || String(Number(token)) === token ? token : `"${token}"`)));
}
