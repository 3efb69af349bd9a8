// The first page: records as they arrive, a search, one record with its proof, the verdicts.

import { get, key, setKey } from '/ui/api.js';
import { byId, counted, el, fill } from '/ui/dom.js';
import * as list from '/ui/list.js';
import { refresh } from '/ui/tenants.js';

const EVERY_MS = 2000;
const TENANTS_EVERY_MS = 5000;
const PAGE = 50;

const state = { q: '', live: true, cursor: null, turn: 0, failed: null };

/** Asks for a page and hands it on, unless another query was asked meanwhile. */
async function page(cursor, show) {
  const { turn } = state;
  const found = await get('/v1/records', { q: state.q, limit: PAGE, cursor }).catch((error) => {
    if (turn === state.turn) throw error;
  });
  if (!found || turn !== state.turn) return;
  show(found.records, !found.next_cursor);
  // A live page leaves the older ones where they are.
  if (show !== list.arrive || list.count() <= PAGE) state.cursor = found.next_cursor;
  after(found);
}

function after(found) {
  const none = list.count() === 0;
  byId('records').removeAttribute('aria-busy');
  byId('empty').hidden = !none;
  if (none) {
    fill(byId('empty'), state.q
      ? [el('b', {}, 'Nothing was found'), el('p', {}, 'No record answers this query. ',
        el('button', { type: 'button', class: 'link', onclick: () => ask('') }, 'Show all records'))]
      : [el('b', {}, 'No records yet'), el('p', {}, 'They appear here as they are committed. ',
        el('a', { href: '/docs' }, 'The API'), ' says how to send one.')]);
  }
  byId('table').hidden = none;
  byId('more').hidden = !state.cursor;
  const lacks = [
    found.unreadable?.length && 'some records cannot be read',
    found.unsearched?.length && 'sealed values were not searched',
  ].filter(Boolean).join(', ');
  byId('lacks').textContent = lacks;
  problem(null);
}

function problem(error) {
  const place = byId('error');
  place.hidden = !error;
  fill(place, error && [el('pre', {}, error.message), error.next && el('p', {}, error.next)]);
  state.failed = error?.status ?? null;
  // A query that is wrong stays wrong: nothing is asked again until it is another.
  if (error?.status === 400) setLive(false);
  byId('q').setAttribute('aria-invalid', String(error?.status === 400));
  if (error?.status === 401) byId('login').hidden = false;
  if (error) byId('records').removeAttribute('aria-busy');
}

function setLive(on) {
  state.live = on;
  byId('live').setAttribute('aria-pressed', String(on));
}

async function attempt(what) {
  try {
    await what();
    if (state.failed === 0) problem(null);
    return true;
  } catch (error) {
    problem(error);
    return false;
  }
}

async function ask(q) {
  state.q = q;
  state.turn += 1;
  byId('q').value = q;
  const url = new URL(location.href);
  if (q) url.searchParams.set('q', q); else url.searchParams.delete('q');
  history.replaceState(null, '', url);
  setLive(true);
  byId('records').setAttribute('aria-busy', 'true');
  const found = await attempt(() => page(undefined, list.start));
  if (found) byId('told').textContent = `${counted(list.count(), 'record')} shown`;
  return found;
}

async function every(ms, what) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, ms); });
    if (!document.hidden) await attempt(what);
  }
}

async function openness() {
  if (key()) return;
  const answer = await fetch('/v1/tenants?limit=1');
  byId('banner').hidden = !answer.ok;
}

byId('search').addEventListener('submit', (event) => {
  event.preventDefault();
  ask(byId('q').value.trim());
});
byId('tries').addEventListener('click', (event) => {
  if (event.target.dataset.q !== undefined) ask(event.target.dataset.q);
});
byId('more').addEventListener('click', () => attempt(() => {
  setLive(false);
  return page(state.cursor, list.append);
}));
byId('live').addEventListener('click', () => {
  if (state.live) setLive(false);
  else ask(byId('q').value.trim());
});
byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  setKey(byId('key').value.trim());
  byId('login').hidden = await ask(byId('q').value.trim());
  attempt(tenants);
});
document.addEventListener('keydown', (press) => {
  if (press.key !== '/' || press.target.matches('input')) return;
  press.preventDefault();
  byId('q').focus();
});

byId('verdicts').open = !matchMedia('(max-width: 70rem)').matches;
const tenants = () => refresh((tenant) => ask(`tenant:${tenant}`));
const polled = () => (state.live ? page(undefined, list.arrive) : undefined);
await attempt(openness);
await ask(new URL(location.href).searchParams.get('q') ?? '');
await attempt(tenants);
every(EVERY_MS, polled);
every(TENANTS_EVERY_MS, tenants);
