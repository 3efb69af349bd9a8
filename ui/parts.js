// The parts that a page is made of. Each is asked for by itself: what answered is shown, what did not says why and who
// was asked, and is asked again, ever later, counted for itself.

import { Problem, mayPass, pathOf, unknownForm, wait } from '/ui/api.js';
import { el, shown } from '/ui/dom.js';

const TICK_MS = 1000;
/** How long is waited for the slowest part before the others are shown. */
const PATIENCE_MS = 1500;

/** Who answers, or does not, at a path. */
const STORES = { '/v1/access': 'What the key may do', '/v1/checkpoints': 'The store of signed checkpoints',
  '/v1/configuration': 'The configuration', '/v1/counts': 'The index', '/v1/keys': 'The store of keys',
  '/v1/records': 'The index, and the log', '/v1/streams': 'The store of streams',
  '/v1/tenants': 'The list of logs and verdicts' };

/** When what went wrong is tried again, after so many times in vain. */
export const due = (problem, tries) => Date.now() + wait(problem, tries) * 1000;

/**
 * When it is tried again, counted down for the eye, and a button for who does not wait. Whoever hears the page is told
 * once. The count ends with its element.
 */
export function countdown(until, again) {
  const left = el('span', { class: 'seconds' });
  const put = () => { left.textContent = String(Math.max(0, Math.ceil((until - Date.now()) / 1000))); };
  const line = el('p', { class: 'again' }, el('span', { 'aria-hidden': 'true' }, 'It is tried again in ', left, ' s. '),
    el('span', { class: 'unseen-text' }, 'It is tried again by itself. '),
    el('button', { type: 'button', class: 'link', onclick: () => again() }, 'Try now'));
  put();
  const ticks = setInterval(() => {
    if (!line.isConnected) return clearInterval(ticks);
    if (Date.now() < until) return put();
    clearInterval(ticks);
    return again();
  }, TICK_MS);
  return line;
}

/** Who answers at the path of a record, and of what belongs to it. */
const OF_A_RECORD = { '': 'The log', '/proof': 'The log, with its checkpoints', '/related': 'The index, and the log' };

/** Who was asked for what did not come, and what was answered. */
export function answered({ path, status }) {
  if (!path) return null;
  const ofRecord = /^\/v1\/records\/[^/]+(.*)$/.exec(path)?.[1];
  const store = STORES[path] ?? OF_A_RECORD[ofRecord];
  const where = el('code', {}, shown(path));
  return el('p', { class: 'hint answered' }, store ? [`${store} (`, where, ')'] : where,
    status ? ` answered ${status}.` : ' gave no answer that can be used.');
}

/** What stands in the place of a part that did not come. */
function failure(title, { problem, until }, again) {
  const why = problem.status === 403 ? 'The key that is in use may not see this.' : problem.message;
  return el('section', { class: 'panel failed', 'aria-label': title }, el('p', { class: 'finding' }, el('b', {}, title),
    ' could not be read. ', shown(why)), problem.next && el('p', { class: 'hint' }, problem.next), answered(problem),
  mayPass(problem) ? countdown(until, again)
    : el('p', {}, el('button', { type: 'button', class: 'link', onclick: again }, 'Try now')));
}

/** That counts are not exact, for the part that shows them; nothing where they are. */
export function about(how) {
  if (!how || how.exact) return null;
  const number = (value) => Number(value).toLocaleString('en');
  const of = Number.isFinite(how.looked_at) ? `of the newest ${number(how.looked_at)}${Number.isFinite(how.of)
    ? ` of ${number(how.of)}` : ''}, which were looked at` : 'of what could be counted, which is not all';
  return el('p', { class: 'hint about' }, `These counts are not exact: they are ${of}.`);
}

/**
 * What is made of an answer. One that has another form than what was read of it let expect takes nothing but its own place: it
 * says so, and who answered.
 */
export function made(title, make, { path = null, again } = {}) {
  try {
    return make();
  } catch {
    const { message, next } = unknownForm();
    return el('section', { class: 'panel failed', 'aria-label': title }, el('p', { class: 'finding' }, el('b', {}, title),
      ' cannot be shown. ', message), el('p', { class: 'hint' }, next), answered({ path }),
    again && el('p', {}, el('button', { type: 'button', class: 'link', onclick: again }, 'Try now')));
  }
}

/** A problem in words, where something went wrong over an answer that was thought to be another. */
export const inWords = (error) => (error instanceof Problem ? error : unknownForm());

/** What was read of a page, as it goes on: values stay until newer ones come, tries are counted for each part. */
export class Parts {
  /** `refused` is told of what is a matter of the whole page, when a part is tried again. */
  constructor(refused) {
    this.refused = refused;
    this.found = new Map();
    this.names = new Set();
    this.turn = 0;
  }

  /**
   * Reads all parts but those that wait for their next try, and draws when all came, or with those that came when some
   * take long. `draw` is given `part(name, title, make)`: what `make` makes of a part's value, or why there is none;
   * null where the part is not one that is asked for. `part.value(name)` is the value, or null. Throws a 400 and a 401.
   */
  async read(reads, draw) {
    const turn = ++this.turn;
    for (const name of this.found.keys()) if (!Object.hasOwn(reads, name)) this.found.delete(name);
    const isCurrent = () => turn === this.turn;
    const show = () => {
      // A part that stands in several places says once why it is not there.
      const told = new Set();
      const part = (name, title, make) => this.part(name, { title, make, again, told });
      part.value = (name) => this.found.get(name)?.value ?? null;
      return isCurrent() && draw(part);
    };
    const again = (name) => this.one(name, reads[name], isCurrent).then(show, this.refused);
    this.names = new Set(Object.keys(reads));
    const asked = Object.keys(reads).filter((name) => !this.found.get(name)?.problem);
    const all = Promise.all(asked.map((name) => this.one(name, reads[name], isCurrent)));
    const slow = setTimeout(show, PATIENCE_MS);
    await all.finally(() => clearTimeout(slow));
    show();
  }

  async one(name, read, isCurrent) {
    const tries = this.found.get(name)?.tries ?? 0;
    let now;
    try {
      now = { value: await read(), tries: 0 };
    } catch (error) {
      const problem = inWords(error);
      // A key that is not in force, and a query that is wrong, are matters of the whole page.
      if (problem.status === 401 || problem.status === 400) throw problem;
      now = { problem, tries: tries + 1, until: due(problem, tries) };
    }
    if (isCurrent()) this.found.set(name, now);
  }

  part(name, { title, make, again, told }) {
    if (!this.names.has(name)) return null;
    const own = this.found.get(name);
    if (own && !own.problem) return made(title, () => make(own.value), { path: pathOf(own.value), again: () => again(name) });
    if (told.has(name)) {
      return el('section', { class: 'panel' }, el('p', { class: 'hint' }, el('b', {}, title), own ? ' could not be read either.'
        : ': reading …'));
    }
    told.add(name);
    if (own) return failure(title, own, () => again(name));
    return el('section', { class: 'panel' }, el('p', { class: 'hint' }, `${title}: reading …`));
  }
}
