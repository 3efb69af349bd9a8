// Calls to the server this page came from, and to nothing else.

const KEY = 'indelible-key';

export const key = () => sessionStorage.getItem(KEY);
export const setKey = (text) => sessionStorage.setItem(KEY, text);

/** A problem document as an error; status 0 when the server could not be reached. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.next = document.next;
  }
}

/** The JSON at a path; `query` becomes the URL's, without empty values. */
export async function get(path, query = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(set).toString();
  const headers = { accept: 'application/json' };
  if (key()) headers.authorization = `Bearer ${key()}`;
  const response = await fetch(search ? `${path}?${search}` : path, { headers }).catch(() => {
    throw new Problem(0, { detail: 'The server cannot be reached.' });
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}
