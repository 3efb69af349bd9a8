// The pages of one small program: which one the address asks for, the key, and what went wrong.

import { dropKey, get, key, setKey } from '/ui/api.js';
import { change, go, read } from '/ui/address.js';
import { hide } from '/ui/complete.js';
import { byId, el, fill } from '/ui/dom.js';
import * as facets from '/ui/facets.js';
import * as list from '/ui/list.js';
import * as rows from '/ui/rows.js';
import * as views from '/ui/views.js';
import { page as admin } from '/ui/admin.js';
import { page as overview } from '/ui/overview.js';
import { page as traces } from '/ui/traces.js';
import { page as trust } from '/ui/trust.js';

const COUNT_MS = 15_000;
const AGAIN_MS = 3000;
const PAGES = { overview, trust, traces, admin };

const state = { shut: false, turn: 0, counted: null, news: false, again: null, page: '' };

function tell(what) {
  byId('error').hidden = !what;
  fill(byId('error'), what);
}

/** Tells what went wrong, or that nothing is wrong any more; what may pass is tried again. */
function problem(error, { lost = false } = {}) {
  if (error?.status === 401 || (error?.status === 403 && !state.page)) return shut(error);
  clearTimeout(state.again);
  if (lost) error = { message: 'The server cannot be reached.', status: 0 };
  tell(error && [el('pre', {}, error.message), error.next && el('p', {}, error.next)]);
  // A query that is wrong stays wrong: nothing is asked again until it is another.
  byId('q').setAttribute('aria-invalid', String(error?.status === 400));
  const mayPass = error && (error.status === 0 || error.status >= 500 || error.status === 429);
  if (mayPass && !lost) state.again = setTimeout(() => apply({ anew: true }), AGAIN_MS);
  return undefined;
}

/** Whoever is there has no key, or none that is good for this: nothing is shown or asked until there is one. */
function shut(error) {
  state.shut = true;
  state.turn += 1;
  clearTimeout(state.again);
  list.shut();
  facets.clear();
  fill(byId('other'));
  byId('live').disabled = true;
  byId('banner').hidden = true;
  byId('login').hidden = false;
  // That a key is wanted stands beside its field; here is what was wrong with one that was given.
  tell(key() && [el('p', {}, error.message), error.status === 403 && el('p', {}, 'Use a key that may read.')]);
  dropKey();
  byId('key').focus();
  byId('key').select();
}

function count(q) {
  state.counted = q;
  state.news = false;
  facets.refresh(q);
}

/** Shows what the address asks for. */
async function apply({ anew = false } = {}) {
  if (state.shut) {
    byId('key').focus();
    return false;
  }
  const asked = read();
  const turn = ++state.turn;
  const page = PAGES[asked.page];
  const isOther = asked.page !== state.page;
  state.page = page ? asked.page : '';
  for (const link of byId('nav').querySelectorAll('[data-page]')) {
    if (link.dataset.page === state.page) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = page ? `${page.title} · Indelible` : 'Indelible';
  byId('list-page').hidden = Boolean(page);
  byId('other').hidden = !page;
  if (document.activeElement !== byId('q') || isOther || anew === false) byId('q').value = asked.q;
  if (page) return other(page, asked, turn, isOther || anew);
  fill(byId('other'));
  views.columns();
  facets.presets(asked.q);
  if (asked.q !== state.counted || anew) count(asked.q);
  return list.show(asked, { anew: anew || (isOther && asked.q !== undefined) });
}

async function other(page, asked, turn, isNew) {
  list.pause();
  const root = byId('other');
  if (isNew) fill(root, el('h1', {}, page.title), el('p', { class: 'hint loading-page' }, 'Reading …'));
  root.setAttribute('aria-busy', 'true');
  try {
    const content = await page.content(asked, { again: () => apply() });
    if (turn !== state.turn) return false;
    fill(root, el('h1', {}, page.title), content);
    problem(null);
    return true;
  } catch (error) {
    if (turn !== state.turn) return false;
    if (isNew) fill(root, el('h1', {}, page.title), failed(error));
    problem(error);
    return false;
  } finally {
    root.removeAttribute('aria-busy');
  }
}

function failed(error) {
  if (error.status === 403) {
    return el('p', { class: 'panel' }, 'The key that is in use may not see this. ',
      el('button', { type: 'button', class: 'link', onclick: () => shut(error) }, 'Use another one'));
  }
  return el('p', { class: 'panel' }, 'This could not be read; what went wrong stands above.');
}

/** Says that the server is open, with the command that closes it. */
async function openness() {
  if (key()) return;
  const answer = await fetch('/v1/tenants?limit=1');
  byId('banner').hidden = !answer.ok;
  byId('closes').textContent = `indelible keys create --role admin --url ${location.origin}`;
}

function ask(q) {
  hide();
  if (read().page) go({ q });
  else if (q === read().q) apply({ anew: true });
  else change({ q, record: '' });
}

byId('search').addEventListener('submit', (event) => {
  event.preventDefault();
  ask(byId('q').value.trim());
});
byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  setKey(byId('key').value.trim());
  state.shut = false;
  byId('live').disabled = false;
  if (!await apply({ anew: true })) return;
  byId('login').hidden = true;
  byId('key').value = '';
  byId('q').focus();
});

// A link within the pages changes the address and nothing else.
document.addEventListener('click', (press) => {
  const link = press.target.closest('a');
  if (!link || press.defaultPrevented || press.ctrlKey || press.metaKey || press.shiftKey || press.button !== 0) return;
  if (link.download || link.origin !== location.origin || link.pathname !== '/' || link.target) return;
  press.preventDefault();
  if (link.href !== location.href) history.pushState(null, '', link.href);
  apply();
  if (byId('nav').contains(link)) window.scrollTo(0, 0);
});
window.addEventListener('popstate', () => apply());
window.addEventListener('address', () => apply());

const KEYS = {
  '/': () => byId('q').focus(),
  j: () => rows.move(1),
  k: () => rows.move(-1),
  y: () => views.copy(),
};
const MOVES = {
  ArrowDown: () => rows.move(1),
  ArrowUp: () => rows.move(-1),
  Home: () => rows.moveTo('first'),
  End: () => rows.moveTo('last'),
};
document.addEventListener('keydown', (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || press.target.matches('input, select, textarea')) return;
  if (press.key === 'Escape' && read().record && !read().page) return void change({ record: '' });
  const isRow = press.target.closest('#rows');
  const does = KEYS[press.key] ?? (isRow && MOVES[press.key]);
  if (!does || (read().page && press.key !== '/')) return;
  press.preventDefault();
  does();
});

byId('narrow').open = !matchMedia('(max-width: 70rem)').matches;
views.begin();
list.begin({ problem, news: () => { state.news = true; } });
setInterval(() => {
  if (state.shut || document.hidden) return;
  if (!state.page && state.news) count(read().q);
  else if (PAGES[state.page]?.lives) apply();
}, COUNT_MS);
await openness().catch(() => {});
await apply();
