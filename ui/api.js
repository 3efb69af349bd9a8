// Calls to the server this page came from.

const KEY = 'indelible-key';

export const key = () => sessionStorage.getItem(KEY);
export const setKey = (text) => sessionStorage.setItem(KEY, text);

/** A problem document as an error. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `status ${status}`);
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
  const response = await fetch(search ? `${path}?${search}` : path, { headers });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

/** Where one record is. */
export function recordPath(row) {
  return `/v1/records/${encodeURIComponent(row.record.event.audit_id)}`;
}
