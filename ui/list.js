// The list: what a query finds, newest first, kept up to date by the server's tail.

import { Problem, get, isViewer, mayPass } from '/ui/api.js';
import { change, recordOf } from '/ui/address.js';
import { brief, chosen, isUsual } from '/ui/columns.js';
import { byId, counted, el, fill } from '/ui/dom.js';
import { follow } from '/ui/live.js';
import * as rows from '/ui/rows.js';
import { close, onClose, show as showRecord } from '/ui/record.js';

const FIRST = 100;
const PAGE = 300;
const PART = 75;
const GATHER_MS = 250;
const SIGNED_MS = 10_000;
/** Logs of which one proof is asked for, where their sizes are not to be had. */
const LOGS_MAX = 8;

const state = { q: null, cursor: null, turn: 0, reading: false, columns: null, stop: null, came: [], timer: null,
  isLost: false, isClosed: false };
/** Up to which record of each tenant there is a checkpoint; what this page has checked itself, with the row that it is. */
const known = { published: new Map(), checked: new Map(), opened: null };
let hooks = { problem: () => {}, news: () => {} };

/** Says whom to tell of problems, and of records that came. */
export function begin(to) {
  hooks = to;
  rows.listen({ open: (row) => row.id && change({ record: `${row.tenant}/${row.id}` }), near: older });
  onClose(() => change({ record: '' }));
  byId('more').addEventListener('click', older);
  byId('live').addEventListener('click', () => change({ live: state.stop ? 'off' : '' }, { step: false }));
  document.addEventListener('checked', ({ detail }) => {
    known.checked.set(detail.key, detail.checked);
    rows.redraw();
  });
  setInterval(() => { if (!document.hidden && state.q !== null) signed(); }, SIGNED_MS);
}

/** Shows what an address asks for. Resolves to whether it could be read. */
export async function show({ q, columns, live, record }, { anew = false } = {}) {
  if (columns !== state.columns) {
    state.columns = columns;
    rows.dress(chosen(columns), known, { isUsual: isUsual(columns) });
  }
  const other = q !== state.q || anew;
  let found = true;
  if (other) found = await ask(q);
  if (state.q !== q) return false;
  if (found && live !== 'off' && (other || !state.stop)) tail();
  else if (live === 'off' || !found) pause();
  open(record);
  return found;
}

function open(record) {
  const named = recordOf(record ?? '');
  rows.mark(null);
  if (!named) {
    if (record) {
      hooks.problem(new Problem(404, { detail: `No record is called ${record}.`,
        next: 'In the address it is record=TENANT/ID: a record is named by its tenant and its id.' }));
    }
    return close();
  }
  const row = Array.from({ length: rows.count() }, (_, index) => rows.at(index))
    .find(({ tenant, id }) => tenant === named.tenant && id === named.id);
  rows.mark(row?.key);
  return showRecord(named.tenant, named.id);
}

async function ask(q) {
  pause();
  const other = q !== state.q;
  state.q = q;
  state.turn += 1;
  state.cursor = null;
  state.reading = false;
  if (other) byId('told').textContent = '';
  byId('records').setAttribute('aria-busy', 'true');
  const { turn } = state;
  try {
    const found = await get('/v1/records', { q, limit: FIRST });
    if (turn !== state.turn) return false;
    state.cursor = found.next_cursor;
    rows.start(found.records.map(brief));
    after(found);
    signed();
    window.scrollTo(0, 0);
    // Where nothing counts, it is said here how many there are.
    if (!byId('told').textContent) byId('told').textContent = said();
    return true;
  } catch (error) {
    if (turn !== state.turn) return false;
    // What is there answers another query than the one that failed.
    if (other || error.status === 400) {
      clear();
      fill(byId('empty'), unread(error));
      byId('empty').hidden = false;
    }
    byId('records').removeAttribute('aria-busy');
    hooks.problem(error);
    return false;
  }
}

/** A page of records in brief, a part at a time: in between somebody may scroll. */
async function briefs(records) {
  const read = [];
  for (let from = 0; from < records.length; from += PART) {
    await new Promise((done) => { setTimeout(done); });
    read.push(...records.slice(from, from + PART).map(brief));
  }
  return read;
}

async function older() {
  if (state.reading || !state.cursor || rows.count() >= rows.ROWS_MAX) return;
  state.reading = true;
  const { turn } = state;
  try {
    const found = await get('/v1/records', { q: state.q, limit: PAGE, cursor: state.cursor });
    const read = await briefs(found.records);
    if (turn !== state.turn) return;
    // With the rows the next page may be asked for at once.
    state.cursor = found.next_cursor;
    state.reading = false;
    rows.append(read);
    after(found);
  } catch (error) {
    if (turn !== state.turn) return;
    state.reading = false;
    // What is here stays, and goes on where it ended.
    hooks.problem(error, { again: older });
  }
}

function after(found) {
  const none = rows.count() === 0;
  byId('records').removeAttribute('aria-busy');
  byId('empty').hidden = !none;
  if (none) fill(byId('empty'), nothing(found));
  byId('table').hidden = none;
  byId('more').hidden = !state.cursor;
  const isFull = rows.count() >= rows.ROWS_MAX;
  byId('end').textContent = isFull
    ? `${rows.told()} are here, and no more will be: narrow the query, or export what it finds.` : '';
  byId('lacks').textContent = [
    found.unreadable?.length && `${counted(found.unreadable.length, 'record')} cannot be read`,
    found.unsearched?.length && `sealed values of ${found.unsearched.join(', ')} were not searched`,
  ].filter(Boolean).join('; ');
  hooks.problem(null);
}

const said = () => (state.cursor ? `The newest ${counted(rows.count(), 'record')} are shown, and there are more`
  : `${counted(rows.count(), 'record')} found`);

/** What stands in the place of records that could not be read. */
function unread(error) {
  if (error.status === 400) return [el('b', {}, 'Nothing was asked'), el('p', {}, 'What is wrong with the query stands above.')];
  return [el('b', {}, 'The records could not be read'), el('p', {}, mayPass(error)
    ? 'What went wrong stands above. It is tried again by itself.' : 'What went wrong stands above.')];
}

function nothing({ indexed_up_to: upTo }) {
  const { q, cursor } = state;
  if (!q && isViewer()) {
    return [el('b', {}, 'No records yet'), el('p', {}, 'There is nothing to show in this view so far. What happens from now on '
      + 'appears here.')];
  }
  if (!q) {
    return [el('b', {}, 'No records yet'), el('p', {}, 'They appear here as they are committed. ',
      el('a', { href: '/docs' }, 'The API'), ' says how to send one.')];
  }
  return [el('b', {}, cursor ? 'Nothing was found so far' : 'Nothing was found'),
    el('p', {}, cursor ? 'There are more records to look at. ' : 'No record answers this query. '
      + `The index answered${upTo ? `, with ${counted(upTo, 'record')} in it` : ''}. `,
    el('button', { type: 'button', class: 'link', onclick: () => change({ q: '' }) }, 'Show all records'))];
}

/** Nothing could be asked, since nobody knows what may be. */
export function unreached(error) {
  clear();
  fill(byId('empty'), unread(error));
  byId('empty').hidden = false;
  state.q = null;
}

/** Takes away the records of what was asked before, and the one that was opened. */
export function clear() {
  rows.start([]);
  close();
  state.cursor = null;
  byId('records').removeAttribute('aria-busy');
  byId('lacks').textContent = '';
  for (const id of ['table', 'more', 'empty']) byId(id).hidden = true;
}

/** Nothing is shown or asked any more; in the place of the records stands why, and what to do. */
export function shut(why) {
  pause();
  state.turn += 1;
  state.q = null;
  state.isClosed = false;
  // Whoever comes next may not see all of it.
  known.checked.clear();
  clear();
  fill(byId('empty'), why);
  byId('empty').hidden = !why;
}

/** How it stands with what is new: `on`, `off`, or `waiting` while there is no connection. */
function pill(how, words, title) {
  const live = byId('live');
  live.setAttribute('aria-pressed', String(how !== 'off'));
  live.dataset.how = how;
  live.textContent = words;
  live.title = title;
}

/** Follows no more; what is here stays. */
export function pause() {
  state.stop?.();
  state.stop = null;
  // What came already is shown now, and not when somebody thinks that nothing comes any more.
  if (state.timer) arrive(state.turn);
  pill('off', 'Live', 'New records do not appear: press to follow');
}

function tail() {
  pause();
  const { turn } = state;
  let first = true;
  pill('waiting', 'Live', 'The connection is being made');
  state.stop = follow(state.q, {
    open: () => {
      pill('on', 'Live', 'New records appear by themselves');
      // Of what else went wrong this says nothing.
      if (turn === state.turn && state.isLost) hooks.problem(null);
      state.isLost = false;
      if (first) catchUp(turn);
      first = false;
    },
    record: (row) => {
      if (turn !== state.turn || !state.stop) return;
      state.came.push(brief(row));
      state.timer ??= setTimeout(() => arrive(turn), GATHER_MS);
    },
    lost: (error) => {
      state.isLost = true;
      pill('waiting', 'Connecting …', 'The connection was lost and is made anew; nothing is left out');
      if (turn === state.turn) hooks.problem(error, { lost: true });
    },
    failed: (error) => {
      pause();
      if (error.status === 401) hooks.problem(error);
      else byId('live').title = `Nothing is followed: ${error.message}`;
    },
  });
}

/** Looks once for what is new, where nothing can be followed. */
export const look = () => (state.q === null ? undefined : catchUp(state.turn, { isFollowed: false }));

/** What was committed between the first page and the tail. */
async function catchUp(turn, { isFollowed = true } = {}) {
  const found = await get('/v1/records', { q: state.q, limit: FIRST }).catch(() => null);
  if (!found || turn !== state.turn || (isFollowed && !state.stop)) return;
  state.came.push(...found.records.map(brief));
  arrive(turn);
}

function arrive(turn) {
  clearTimeout(state.timer);
  state.timer = null;
  const { came } = state;
  state.came = [];
  if (turn !== state.turn || !came.length) return;
  const fresh = rows.arrive(came, { oldest: !state.cursor });
  if (!fresh) return;
  byId('empty').hidden = true;
  byId('table').hidden = false;
  hooks.news(fresh);
}

/** Asks how far each log is signed for, for the badges. */
async function signed() {
  const now = state.isClosed || isViewer() ? await proved() : await published();
  if (!now) return;
  const same = now.size === known.published.size && [...now].every(([name,
    size]) => known.published.get(name) === size);
  known.published = now;
  if (!same) rows.redraw();
}

async function published() {
  try {
    const { tenants } = await get('/v1/tenants', { limit: 1000 });
    // Who is told names alone is told nothing of how far a log is signed for.
    if (tenants.some(({ records }) => records === null)) {
      state.isClosed = true;
      return proved();
    }
    return new Map(tenants.map((log) => [log.tenant_id, log.published]));
  } catch (error) {
    // Whoever sees some records of a log, and nothing of the whole, is not asked again.
    state.isClosed = error.status === 403;
    return state.isClosed ? proved() : null;
  }
}

/** The same for who sees no logs: the proof of a log's newest record says under how large a tree it lies. */
async function proved() {
  const newest = new Map();
  for (let index = 0; index < rows.count() && index < FIRST; index += 1) {
    const row = rows.at(index);
    if (!(newest.get(row.tenant)?.number > row.number)) newest.set(row.tenant, row);
  }
  const sizes = await Promise.all([...newest.values()].slice(0, LOGS_MAX).map(async ({ tenant, id, number }) => {
    if (known.published.get(tenant) > number) return [tenant, known.published.get(tenant)];
    const proof = await get(`/v1/records/${encodeURIComponent(id)}/proof`, { tenant }).catch(() => null);
    return [tenant, proof?.log?.size ?? known.published.get(tenant)];
  }));
  return new Map(sizes.filter(([, size]) => size !== undefined));
}
