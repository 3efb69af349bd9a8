// The list: what a query finds, newest first, kept up to date by the server's tail.

import { get, isViewer } from '/ui/api.js';
import { change, recordOf } from '/ui/address.js';
import { brief, chosen } from '/ui/columns.js';
import { byId, counted, el, fill } from '/ui/dom.js';
import { follow } from '/ui/live.js';
import * as rows from '/ui/rows.js';
import { close, onClose, show as showRecord } from '/ui/record.js';

const FIRST = 100;
const PAGE = 500;
const GATHER_MS = 250;
const SIGNED_MS = 10_000;

const state = { q: null, cursor: null, turn: 0, reading: false, columns: null, stop: null, came: [], timer: null };
/** Up to which record of each tenant there is a checkpoint, and what this page has checked itself. */
const known = { published: new Map(), checked: new Map(), opened: null };
let hooks = { problem: () => {}, news: () => {} };

/** Says whom to tell of problems, and of records that came. */
export function begin(to) {
  hooks = to;
  rows.listen({ open: (row) => change({ record: `${row.tenant}/${row.id}` }), near: older });
  onClose(() => change({ record: '' }));
  byId('more').addEventListener('click', older);
  byId('live').addEventListener('click', () => change({ live: state.stop ? 'off' : '' }, { step: false }));
  document.addEventListener('checked', ({ detail }) => {
    known.checked.set(detail.key, detail.state);
    rows.redraw();
  });
  setInterval(() => { if (!document.hidden && state.q !== null) signed(); }, SIGNED_MS);
}

/** Shows what an address asks for. Resolves to whether it could be read. */
export async function show({ q, columns, live, record }, { anew = false } = {}) {
  if (columns !== state.columns) {
    state.columns = columns;
    rows.dress(chosen(columns), known);
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
  if (!named) return close();
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
    byId('told').textContent = `${counted(rows.count(), 'record')} shown`;
    return true;
  } catch (error) {
    if (turn !== state.turn) return false;
    // What is there answers another query than the one that failed.
    if (other || error.status === 400) clear();
    byId('records').removeAttribute('aria-busy');
    hooks.problem(error);
    return false;
  }
}

async function older() {
  if (state.reading || !state.cursor || rows.count() >= rows.ROWS_MAX) return;
  state.reading = true;
  const { turn } = state;
  try {
    const found = await get('/v1/records', { q: state.q, limit: PAGE, cursor: state.cursor });
    if (turn !== state.turn) return;
    // With the rows the next page may be asked for at once.
    state.cursor = found.next_cursor;
    state.reading = false;
    rows.append(found.records.map(brief));
    after(found);
  } catch (error) {
    if (turn !== state.turn) return;
    state.reading = false;
    hooks.problem(error);
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

function nothing({ indexed_up_to: upTo }) {
  const { q, cursor } = state;
  if (!q) {
    return [el('b', {}, 'No records yet'), el('p', {}, 'They appear here as they are committed. ',
      el('a', { href: '/docs' }, 'The API'), ' says how to send one.')];
  }
  return [el('b', {}, cursor ? 'Nothing was found so far' : 'Nothing was found'),
    el('p', {}, cursor ? 'There are more records to look at. ' : 'No record answers this query. '
      + `The index answered${upTo ? `, with ${counted(upTo, 'record')} in it` : ''}. `,
    el('button', { type: 'button', class: 'link', onclick: () => change({ q: '' }) }, 'Show all records'))];
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

/** Nothing is shown or asked any more. */
export function shut() {
  pause();
  state.turn += 1;
  state.q = null;
  clear();
}

function pill(pressed, words, title) {
  const live = byId('live');
  live.setAttribute('aria-pressed', String(pressed));
  live.textContent = words;
  live.title = title;
}

/** Follows no more; what is here stays. */
export function pause() {
  state.stop?.();
  state.stop = null;
  // What came already is shown now, and not when somebody thinks that nothing comes any more.
  if (state.timer) arrive(state.turn);
  pill(false, 'Live', 'New records do not appear: press to follow');
}

function tail() {
  pause();
  const { turn } = state;
  let first = true;
  pill(true, 'Live', 'New records appear by themselves');
  state.stop = follow(state.q, {
    open: () => {
      pill(true, 'Live', 'New records appear by themselves');
      if (turn === state.turn) hooks.problem(null);
      if (first) catchUp(turn);
      first = false;
    },
    record: (row) => {
      state.came.push(brief(row));
      state.timer ??= setTimeout(() => arrive(turn), GATHER_MS);
    },
    lost: () => {
      pill(true, 'Connecting …', 'The connection was lost and is made anew; nothing is left out');
      if (turn === state.turn) hooks.problem(null, { lost: true });
    },
    failed: (error) => {
      pause();
      if (error.status === 401) hooks.problem(error);
      else byId('live').title = `Nothing is followed: ${error.message}`;
    },
  });
}

/** What was committed between the first page and the tail. */
async function catchUp(turn) {
  const found = await get('/v1/records', { q: state.q, limit: FIRST }).catch(() => null);
  if (!found || turn !== state.turn || !state.stop) return;
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
  if (isViewer()) return;
  const found = await get('/v1/tenants', { limit: 1000 }).catch(() => null);
  if (!found) return;
  const now = new Map(found.tenants.map((log) => [log.tenant_id, log.published]));
  const same = now.size === known.published.size && [...now].every(([name,
    size]) => known.published.get(name) === size);
  known.published = now;
  if (!same) rows.redraw();
}
