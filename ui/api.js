// Calls to the server this page came from, and to nothing else.

const KEY = 'indelible-key';
export const NOT_IN_FORCE = 'This is no key that is in force here: it expired or was revoked, or is not whole.';

/** A token that is kept in no storage. */
let held = null;

export const key = () => held ?? sessionStorage.getItem(KEY);
export const setKey = (text) => sessionStorage.setItem(KEY, text);
export const hold = (text) => { held = text; };
/** Whether it is a token that shows records and their proofs, and nothing else. */
export const isViewer = () => (key() ?? '').startsWith('indv_');
export const dropKey = () => (held === null ? sessionStorage.removeItem(KEY) : undefined);

/** A problem document as an error; status 0 when the server could not be reached. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.next = document.next;
  }
}

function unreached(error) {
  if (error?.name === 'AbortError') throw error;
  throw new Problem(0, { detail: 'The server cannot be reached.' });
}

async function ask(path, query = {}, { method = 'GET', body, signal } = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '' && value !== null);
  const search = new URLSearchParams(set).toString();
  const headers = { accept: path === '/v1/tail' ? 'text/event-stream' : 'application/json' };
  if (/[^!-~]/.test(key() ?? '')) throw new Problem(401, { detail: 'This has characters that no key has.' });
  if (key()) headers.authorization = `Bearer ${key()}`;
  if (body) headers['content-type'] = 'application/json';
  const response = await fetch(search ? `${path}?${search}` : path, {
    method, headers, signal, body: body && JSON.stringify(body),
  }).catch(unreached);
  if (response.ok) return response;
  // The document speaks to programs, of headers.
  if (response.status === 401) throw new Problem(401, { detail: key() ? NOT_IN_FORCE : 'The server asks for a key.' });
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/** What is at a path, as text; `query` becomes the URL's, without empty values. */
export async function text(path, query) {
  const response = await ask(path, query);
  return response.text().catch(unreached);
}

/** The JSON at a path. */
export async function get(path, query) {
  return JSON.parse(await text(path, query));
}

/** An answer that goes on. */
export const opened = (path, query, signal) => ask(path, query, { signal });

/** Has the server change something, and gives its answer. */
export async function act(method, path, body) {
  const answer = await (await ask(path, {}, { method, body })).text().catch(unreached);
  return answer ? JSON.parse(answer) : null;
}

/** The bytes at a path, for a download. */
export async function bytes(path, query) {
  return (await ask(path, query)).blob().catch(unreached);
}
