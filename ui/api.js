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

/** A problem document as an error; status 0 when there was no answer that can be read. */
export class Problem extends Error {
  constructor(status, document = {}, after = null) {
    super(document?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.next = document?.next;
    /** After how many seconds the server wants to be asked again. */
    this.after = after;
    /** What was asked, by its path. */
    this.path = null;
  }
}

/** Whether the same may go well when it is asked again. */
export const mayPass = ({ status }) => status === 0 || status >= 500 || status === 429;

const FIRST_S = 3;
const LONGEST_S = 60;

/** In how many seconds it is asked again, after so many times in vain: as the server says, else ever later. */
export const wait = ({ after }, times) => Math.min(LONGEST_S, Math.max(after ?? 0, FIRST_S * 2 ** times));

function unreached(error) {
  if (error?.name === 'AbortError') throw error;
  throw new Problem(0, { detail: 'The server cannot be reached.', next: 'See that it runs, and that you are connected.' });
}

const UNREAD = { next: 'Something between this page and the server, such as a proxy, may have changed it; or the two are '
  + 'of different versions: load the page again.' };

/** That an answer has a form that this page does not know, as it is told wherever it is found out. */
export const unknownForm = (path = null) => Object.assign(new Problem(0, { ...UNREAD,
  detail: 'The server answered in a form that this page does not know.' }), { path });

const isObject = (found) => found !== null && typeof found === 'object';
const isCounts = ({ facets, histogram, total, counted: how }) => Number.isFinite(total) && isObject(how)
  && Array.isArray(facets) && facets.every((one) => isObject(one) && typeof one.name === 'string' && Array.isArray(one.values)
    && one.values.every((each) => isObject(each) && Number.isFinite(each.count)))
  && (!histogram || (Array.isArray(histogram.bars) && histogram.bars.every((bar) => isObject(bar) && Number.isFinite(bar.count)
    && Number.isFinite(Date.parse(bar.from)) && Number.isFinite(Date.parse(bar.until)))));

/** What must be in an answer for a page to be made of it. */
const list = (name) => (found) => Array.isArray(found[name]);
const FORMS = [
  [/^\/v1\/records$/, (found) => list('records')(found) && found.records.every((row) => row?.record?.tenant_id)],
  [/^\/v1\/counts$/, isCounts],
  [/^\/v1\/tenants$/, list('tenants')], [/^\/v1\/streams$/, list('streams')], [/^\/v1\/keys$/, list('keys')],
  [/^\/v1\/checkpoints$/, list('tenants')], [/^\/v1\/configuration$/, list('settings')],
  [/^\/v1\/access$/, list('may')],
];

/** What a text says, if it has the form that the answer of a path has. */
function formed(path, answer) {
  let found;
  try {
    found = JSON.parse(answer);
  } catch {
    throw new Problem(0, { ...UNREAD, detail: answer ? 'The answer of the server ends too early, or is no answer of its.'
      : 'The answer of the server is empty.' });
  }
  const form = FORMS.find(([which]) => which.test(path))?.[1] ?? (() => true);
  if (!isObject(found) || !form(found)) throw unknownForm();
  return found;
}

/** What a refusal says; what is no problem document says nothing. */
async function problem(response) {
  const { status } = response;
  // The document speaks to programs, of headers.
  if (status === 401) return new Problem(401, { detail: key() ? NOT_IN_FORCE : 'The server asks for a key.' });
  const document = await response.json().catch(() => null);
  const after = Number(response.headers.get('retry-after')) || null;
  if (status === 429) {
    return new Problem(status, { detail: document?.detail ?? 'More was asked for than this key may, for now.' }, after);
  }
  if (status >= 500) {
    const detail = document?.detail ?? `The server, or a proxy before it, answered ${status}.`;
    return new Problem(status, { detail, next: status === 503 ? null : document?.next
      ?? 'Its own log says more, and /health/ready whether work gets done.' }, after);
  }
  return new Problem(status, document ?? {}, after);
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
  throw await problem(response);
}

/** What comes of asking at a path; what goes wrong says where it was asked. */
const asking = (path, work) => work().catch((error) => {
  if (error instanceof Problem) error.path = path;
  throw error;
});

/** What is at a path, as text; `query` becomes the URL's, without empty values. */
export const text = (path, query) => asking(path, async () => (await ask(path, query)).text().catch(unreached));

/** Where an answer is from; what is made of it by spreading it has it too. */
const FROM = Symbol('from');
export const pathOf = (answer) => answer?.[FROM] ?? null;

/** The JSON at a path, of the form that a page can be made of. */
export const get = (path, query) => asking(path, async () => ({ ...formed(path, await text(path, query)), [FROM]: path }));

/** An answer that goes on. */
export const opened = (path, query, signal) => ask(path, query, { signal });

/** Has the server change something, and gives its answer. */
export async function act(method, path, body) {
  const answer = await (await ask(path, {}, { method, body })).text().catch(unreached);
  return answer ? formed('', answer) : null;
}

/** The bytes at a path, for a download. */
export async function bytes(path, query) {
  return (await ask(path, query)).blob().catch(unreached);
}
