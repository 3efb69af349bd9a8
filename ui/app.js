// The first page: records as they arrive, a search, one record with its proof, the verdicts.

import { get, key, setKey } from '/ui/api.js';
import { byId, el, fill, outcome, when } from '/ui/dom.js';
import { show } from '/ui/record.js';
import { refresh } from '/ui/tenants.js';

const EVERY_MS = 2000;
const TENANTS_EVERY_MS = 5000;
const PAGE = 50;
const ROWS_MAX = 500;

const state = { q: '', live: true, cursor: null, seen: new Set(), chosen: null, turn: 0 };

function id(row) {
  return `${row.record.tenant_id}/${row.record.sequence_number}`;
}

function line(row, fresh) {
  const { record } = row;
  const { event } = record;
  const open = () => {
    state.chosen?.classList.remove('chosen');
    tr.classList.add('chosen');
    state.chosen = tr;
    show(row);
  };
  const tr = el('tr', { tabindex: 0, class: fresh ? 'fresh' : '', onclick: open,
    onkeydown: (press) => { if (press.key === 'Enter') open(); } },
  el('td', { class: 'time' }, when(event.occurred_at)),
  el('td', {}, record.tenant_id),
  el('td', { class: 'number' }, record.sequence_number),
  el('td', {}, event.actor?.name ?? event.actor?.id ?? '–'),
  el('td', {}, event.event_type ?? '–'),
  el('td', {}, event.target?.name ?? event.target?.id ?? '–'),
  el('td', {}, outcome(event.outcome)));
  return tr;
}

/** The first page anew. */
async function search() {
  const turn = ++state.turn;
  const list = await get('/v1/records', { q: state.q, limit: PAGE });
  if (turn !== state.turn) return;
  state.seen = new Set(list.records.map(id));
  state.cursor = list.next_cursor;
  fill(byId('rows'), list.records.map((row) => line(row, false)));
  after(list);
}

/** What came since, on top. */
async function poll() {
  const turn = state.turn;
  const list = await get('/v1/records', { q: state.q, limit: PAGE });
  if (turn !== state.turn) return;
  const fresh = list.records.filter((row) => !state.seen.has(id(row)));
  fresh.forEach((row) => state.seen.add(id(row)));
  const rows = byId('rows');
  rows.prepend(...fresh.map((row) => line(row, true)));
  while (rows.children.length > ROWS_MAX) rows.lastChild.remove();
  after(list);
}

async function more() {
  const turn = state.turn;
  const list = await get('/v1/records', { q: state.q, limit: PAGE, cursor: state.cursor });
  if (turn !== state.turn) return;
  state.cursor = list.next_cursor;
  list.records.forEach((row) => state.seen.add(id(row)));
  byId('rows').append(...list.records.map((row) => line(row, false)));
  setLive(false);
  after(list);
}

function after(list) {
  const count = byId('rows').children.length;
  byId('empty').hidden = count > 0;
  byId('more').hidden = !state.cursor;
  const lacks = list.unreadable?.length ? ', some cannot be read' : '';
  const sealed = list.unsearched?.length ? ', sealed values were not searched' : '';
  byId('state').textContent = `${count} shown${lacks}${sealed}`;
  problem(null);
}

function problem(error) {
  const place = byId('error');
  place.hidden = !error;
  place.textContent = error ? `${error.message}${error.next ? ` — ${error.next}` : ''}` : '';
  if (error?.status === 401) byId('login').hidden = false;
}

function setLive(on) {
  state.live = on;
  byId('live').setAttribute('aria-pressed', String(on));
  byId('live').textContent = on ? 'Live' : 'Paused';
}

async function attempt(what) {
  try {
    await what();
    return true;
  } catch (error) {
    problem(error);
    return false;
  }
}

function ask(q) {
  state.q = q;
  byId('q').value = q;
  const url = new URL(location.href);
  if (q) url.searchParams.set('q', q); else url.searchParams.delete('q');
  history.replaceState(null, '', url);
  setLive(true);
  return attempt(search);
}

async function every(ms, what) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, ms); });
    if (!document.hidden) await attempt(what);
  }
}

async function openness() {
  if (key()) return;
  const answer = await fetch('/v1/tenants');
  const banner = byId('banner');
  banner.hidden = !answer.ok;
  banner.textContent = 'This server is open: there are no keys, so everybody on this machine may read and write. '
    + 'indelible keys create --role admin closes it.';
}

byId('search').addEventListener('submit', (event) => { event.preventDefault(); ask(byId('q').value.trim()); });
byId('more').addEventListener('click', () => attempt(more));
byId('live').addEventListener('click', () => setLive(!state.live));
byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  setKey(byId('key').value.trim());
  byId('login').hidden = await attempt(search);
});

const tenants = () => refresh((tenant) => ask(`tenant:${tenant}`));
await attempt(openness);
await ask(new URL(location.href).searchParams.get('q') ?? '');
await attempt(tenants);
every(EVERY_MS, () => (state.live ? poll() : undefined));
every(TENANTS_EVERY_MS, tenants);
