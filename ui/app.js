// The first page: records as they arrive, a search, one record with its proof, the verdicts.

import { dropKey, get, key, setKey } from '/ui/api.js';
import { byId, counted, el, fill } from '/ui/dom.js';
import * as list from '/ui/list.js';
import { close } from '/ui/record.js';
import { forget, refresh } from '/ui/tenants.js';

const EVERY_MS = 2000;
const TENANTS_EVERY_MS = 5000;
const PAGE = 50;

const state = { q: '', live: true, cursor: null, turn: 0, failed: null, shut: false };

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
  // The server looked at many records for few: not every two seconds.
  if (found.next_cursor && found.records.length < PAGE) setLive(false);
  after(found);
}

function after(found) {
  const none = list.count() === 0;
  byId('records').removeAttribute('aria-busy');
  byId('empty').hidden = !none;
  if (none) {
    fill(byId('empty'), state.q
      ? [el('b', {}, state.cursor ? 'Nothing was found so far' : 'Nothing was found'),
        el('p', {}, state.cursor ? 'There are more records to look at. ' : 'No record answers this query. ',
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

/** Takes away the records of what was asked before, and the one that was opened. */
function clear() {
  list.start([]);
  close();
  state.cursor = null;
  byId('records').removeAttribute('aria-busy');
  byId('lacks').textContent = '';
  for (const id of ['table', 'more', 'empty']) byId(id).hidden = true;
}

function problem(error) {
  if (error?.status === 401 || error?.status === 403) return shut(error);
  tell(error && [el('pre', {}, error.message), error.next && el('p', {}, error.next)]);
  state.failed = error?.status ?? null;
  // A query that is wrong stays wrong: nothing is asked again until it is another.
  const wrong = error?.status === 400;
  if (wrong) {
    setLive(false);
    clear();
  }
  byId('q').setAttribute('aria-invalid', String(wrong));
  if (error) byId('records').removeAttribute('aria-busy');
  return undefined;
}

function tell(what) {
  byId('error').hidden = !what;
  fill(byId('error'), what);
}

/** Whoever is there has no key, or none that is good for this: nothing is shown or asked until there is one. */
function shut(error) {
  state.shut = true;
  state.turn += 1;
  setLive(false);
  clear();
  forget();
  byId('banner').hidden = true;
  byId('login').hidden = false;
  // That a key is wanted stands beside its field; here is what was wrong with one that was given.
  tell(key() && [el('p', {}, error.message), error.status === 403 && el('p', {}, 'Use a key that may read.')]);
  dropKey();
  byId('key').focus();
  byId('key').select();
}

function setLive(on) {
  state.live = on;
  byId('live').setAttribute('aria-pressed', String(on));
  byId('live').disabled = state.shut;
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

/** Shows what a query finds. One that a person asked is a step to go back from. */
async function ask(q, { step = true } = {}) {
  if (state.shut) {
    byId('key').focus();
    return false;
  }
  const url = new URL(location.href);
  if (q) url.searchParams.set('q', q); else url.searchParams.delete('q');
  const other = q !== state.q;
  if (step && other) history.pushState(null, '', url);
  state.q = q;
  state.turn += 1;
  byId('q').value = q;
  setLive(true);
  byId('records').setAttribute('aria-busy', 'true');
  const found = await attempt(() => page(undefined, list.start));
  if (found) byId('told').textContent = `${counted(list.count(), 'record')} shown`;
  // What is there answers another query than the one that failed.
  else if (other) clear();
  return found;
}

const addressed = () => new URL(location.href).searchParams.get('q') ?? '';

async function every(ms, what) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, ms); });
    if (!document.hidden && !state.shut) await attempt(what);
  }
}

/** Says that the server is open, with the command that closes it. */
async function openness() {
  if (key()) return;
  const answer = await fetch('/v1/tenants?limit=1');
  byId('banner').hidden = !answer.ok;
  byId('closes').textContent = `indelible keys create --role admin --url ${location.origin}`;
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
  state.shut = false;
  if (!await ask(state.q, { step: false })) return;
  byId('login').hidden = true;
  byId('key').value = '';
  byId('q').focus();
  attempt(tenants);
});
window.addEventListener('popstate', () => ask(addressed(), { step: false }));
document.addEventListener('keydown', (press) => {
  if (press.key !== '/' || press.target.matches('input')) return;
  press.preventDefault();
  byId('q').focus();
});

byId('verdicts').open = !matchMedia('(max-width: 70rem)').matches;
const tenants = () => refresh((tenant) => ask(`tenant:${tenant}`));
const polled = () => (state.live ? page(undefined, list.arrive) : undefined);
await attempt(openness);
await ask(addressed(), { step: false });
if (!state.shut) await attempt(tenants);
every(EVERY_MS, polled);
every(TENANTS_EVERY_MS, tenants);
