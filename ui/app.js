// The pages of one small program: which one the address asks for, the key, and what went wrong.

import { Problem, dropKey, isViewer, key, mayPass, setKey } from '/ui/api.js';
import { access, roleOf } from '/ui/access.js';
import { change, copy, go, read } from '/ui/address.js';
import { hide } from '/ui/complete.js';
import { byId, el, fill, shown, turnZone } from '/ui/dom.js';
import * as facets from '/ui/facets.js';
import * as list from '/ui/list.js';
import { Parts, answered, countdown, due, inWords } from '/ui/parts.js';
import * as rows from '/ui/rows.js';
import * as views from '/ui/views.js';
import { page as admin } from '/ui/admin.js';
import { page as overview } from '/ui/overview.js';
import { page as traces } from '/ui/traces.js';
import { page as trust } from '/ui/trust.js';

const COUNT_MS = 15_000;
const PAGES = { overview, trust, traces, admin };

const state = { shut: false, turn: 0, counted: null, news: false, tries: 0, page: '', parts: null,
  where: '', why: null };

function tell(what) {
  byId('error').hidden = !what;
  fill(byId('error'), what);
}

/**
 * Tells what went wrong, or that nothing is wrong any more; what may pass is tried again, ever later, as long as somebody
 * stays where they are.
 */
function problem(error, { lost = false, again = () => apply({ anew: true }) } = {}) {
  if (error?.status === 401 || (error?.status === 403 && !state.page && !lost)) return shut(error);
  // A query that is wrong stays wrong: nothing is asked again until it is another.
  byId('q').setAttribute('aria-invalid', String(error?.status === 400));
  if (!error) {
    state.tries = 0;
    return tell(null);
  }
  const passes = mayPass(error);
  const words = [el('pre', {}, error.message), error.next && el('p', {}, error.next), passes && answered(error)];
  // A tail makes its connection anew by itself.
  if (passes && lost) {
    return tell([words, el('p', {}, 'What is here stays, and the connection is made anew. ',
      el('button', { type: 'button', class: 'link', onclick: () => apply({ anew: true }) }, 'Try now'))]);
  }
  const until = due(error, state.tries);
  state.tries += 1;
  return tell([words, passes && countdown(until, again)]);
}

const WITHOUT = {
  none: ['No records without a key', 'Give one above. An admin makes it, on the page Administration or by '],
  other: ['The key that was given is not in force', 'It expired, was revoked, or is not whole. Give another one above; an admin '
    + 'makes it, on the page Administration or by '],
  mute: ['The key that was given reads no records', 'Give another one above, of the role reader, auditor, privacy officer or '
    + 'admin; an admin makes it, on the page Administration or by '],
};

/** What stands in the place of the records, and how to come to see them; which it is is known while the key is. */
function withoutKey({ status }) {
  const [what, next] = WITHOUT[status === 403 ? 'mute' : key() ? 'other' : 'none'];
  return () => [el('b', {}, what), el('p', {}, next,
    el('code', {}, `indelible keys create --role reader --all-tenants --url ${location.origin}`),
    ' with the admin\'s key in ', el('code', {}, 'INDELIBLE_API_KEY'), '.')];
}

/** Of a page that is no list the same is said under its heading. */
function closed() {
  const page = at(read());
  byId('other').removeAttribute('aria-busy');
  fill(byId('other'), page && [el('h1', { tabindex: -1 }, page.title), el('section', { class: 'panel empty' }, state.why())]);
}

/** Whoever is there has no key, or none that is good for this: nothing is shown or asked until there is one. */
function shut(error) {
  state.shut = true;
  state.turn += 1;
  state.parts = null;
  state.why = withoutKey(error);
  list.shut(state.why());
  facets.clear();
  closed();
  byId('live').disabled = true;
  byId('banner').hidden = true;
  byId('login').hidden = false;
  // That a key is wanted stands beside its field; here is what was wrong with one that was given.
  tell(key() && [el('p', {}, error.message), error.next && el('p', {}, error.next)]);
  dropKey();
  byId('key').focus();
  byId('key').select();
}

async function count(q) {
  state.counted = q;
  state.news = false;
  // What could not be counted is counted again with what is new.
  if (!await facets.refresh(q)) state.news = true;
}

const FOR_FRAMES = { detail: 'This is a viewer token: it shows one tenant\u2019s records in a frame, and opens nothing here.',
  next: 'Give a key (ind_…). The frame is /embed#token=indv_…' };

/** What the key in use may, and the pages that are for it; throws where it may read nothing. */
async function allowed() {
  if (isViewer()) throw new Problem(403, FOR_FRAMES);
  const own = await access();
  // Whoever gives no key and may read is at a server without any: it is told, with the command that closes it.
  byId('banner').hidden = Boolean(key());
  byId('closes').textContent = `indelible keys create --role admin --url ${location.origin}`;
  byId('nav').querySelector('[data-page=admin]').hidden = !own.may.has('administer');
  if (!own.may.has('read')) {
    throw new Problem(403, { detail: `The key in use is of the role ${roleOf(own)}: it may send events, and read nothing.`,
      next: 'To look at records give a key of the role reader, auditor, privacy officer or admin: indelible keys create '
        + '--role reader --tenant NAME' });
  }
  return own;
}

/** Somebody goes elsewhere: what was tried in vain there counts no more. */
function moved() {
  state.tries = 0;
  return apply();
}

/** The page of an address, which is the one that is in sight from now on; nothing where it is the list. */
function at(asked) {
  const page = Object.hasOwn(PAGES, asked.page) ? PAGES[asked.page] : asked.page && missing(asked.page);
  state.page = page ? asked.page : '';
  for (const link of byId('nav').querySelectorAll('[data-page]')) {
    if (link.dataset.page === state.page) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = page ? `${page.title} · Indelible` : 'Indelible';
  byId('list-page').hidden = Boolean(page);
  byId('other').hidden = !page;
  return page;
}

/** Shows what the address asks for. */
async function apply({ anew = false } = {}) {
  if (state.shut) {
    closed();
    byId('key').focus();
    return false;
  }
  const asked = read();
  const turn = ++state.turn;
  const isOther = asked.page !== state.page;
  const page = at(asked);
  if (document.activeElement !== byId('q') || isOther || anew === false) byId('q').value = asked.q;
  const isNew = isOther || anew;
  if (page && isNew) begin(page);
  let own;
  try {
    own = await allowed();
  } catch (error) {
    if (turn !== state.turn) return false;
    return unknown(error, page);
  }
  if (turn !== state.turn) return false;
  if (page) return other(page, { asked, turn, isNew, own });
  state.parts = null;
  fill(byId('other'));
  if (isOther && hadFocus) byId('heading').focus({ preventScroll: true });
  views.columns();
  facets.presets(asked.q);
  if (asked.q !== state.counted || anew) count(asked.q);
  return list.show(asked, { anew: anew || (isOther && asked.q !== undefined) });
}

/** What an address names that is no page. */
const missing = (name) => ({ title: 'There is no such page', content: async () => el('p', { class: 'panel' },
  'No page is called ', el('b', {}, shown(name.slice(0, 60))), '. ', el('a', { href: '/' }, 'The records')) });

/** What a page shows, beside its heading; whoever has the keyboard on a link of it keeps it. */
function put(root, ...content) {
  const on = document.activeElement;
  const named = root.contains(on) && on.matches('a, button') ? on : null;
  const head = root.firstElementChild;
  const rest = document.createDocumentFragment();
  fill(rest, content);
  while (head.nextSibling) head.nextSibling.remove();
  root.append(rest);
  if (!named) return;
  const same = [...root.querySelectorAll(named.tagName)].find((one) => one.textContent === named.textContent
    && one.getAttribute('href') === named.getAttribute('href'));
  (same ?? head).focus({ preventScroll: true });
}

/** Nobody knows what the key may: nothing else is asked. */
function unknown(error, page) {
  if (error.status === 403) shut(error);
  else {
    if (page) put(byId('other'), failed(error));
    else list.unreached(error);
    problem(error);
  }
  return false;
}

/** Another page, of which nothing is here yet. */
function begin(page) {
  list.pause();
  byId('told').textContent = '';
  const head = el('h1', { tabindex: -1 }, page.title);
  fill(byId('other'), head, el('p', { class: 'hint loading-page' }, 'Reading …'));
  if (hadFocus) head.focus({ preventScroll: true });
  state.parts = null;
}

async function other(page, { asked, turn, isNew, own }) {
  const root = byId('other');
  const isCurrent = () => turn === state.turn;
  const context = { again: () => apply(), own };
  // What was read for another address is not shown at this one.
  const where = JSON.stringify(asked);
  if (where !== state.where) state.parts = null;
  state.where = where;
  root.setAttribute('aria-busy', 'true');
  try {
    if (page.made) {
      const { reads, draw } = page.made(asked, context);
      state.parts ??= new Parts(problem);
      const { parts } = state;
      await parts.read(reads, (part) => parts === state.parts && put(root, draw(part)));
    } else {
      const content = await page.content(asked, context);
      if (isCurrent()) put(root, content);
    }
    if (!isCurrent()) return false;
    problem(null);
    return true;
  } catch (thrown) {
    if (!isCurrent()) return false;
    const error = inWords(thrown);
    if (isNew) put(root, failed(error));
    problem(error);
    return false;
  } finally {
    if (isCurrent()) root.removeAttribute('aria-busy');
  }
}

function failed(error) {
  if (error.status === 403) {
    return el('p', { class: 'panel' }, 'The key that is in use may not see this. ',
      el('button', { type: 'button', class: 'link', onclick: () => shut(error) }, 'Use another one'));
  }
  return el('p', { class: 'panel' }, 'This could not be read: what went wrong stands above.');
}

/** Whether somebody is at the page already: before that a heading takes the keyboard from nobody. */
let hadFocus = false;

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
  state.tries = 0;
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
  if (link.matches('.skip')) {
    (state.page ? byId('other').querySelector('h1') : byId('heading')).focus();
    return;
  }
  if (link.href !== location.href) history.pushState(null, '', link.href);
  moved();
  if (byId('nav').contains(link)) window.scrollTo(0, 0);
});
// Where no pointer rests a time is touched; in a row of the list that opens the record, which has it whole.
document.addEventListener('click', ({ target }) => {
  if (target.closest('time') && !target.closest('#rows, a, button, summary')) turnZone();
});
document.addEventListener('zone', () => {
  if (state.shut) return;
  if (!state.page) count(read().q);
  // Hours begin elsewhere, and their ends are told otherwise.
  else if (PAGES[state.page]?.lives) apply();
});
window.addEventListener('popstate', moved);
window.addEventListener('address', moved);

const KEYS = {
  '/': () => byId('q').focus(),
  j: () => rows.move(1),
  k: () => rows.move(-1),
  y: () => copy(byId('copy')),
  u: turnZone,
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
  if (!does || (read().page && !'/u'.includes(press.key))) return;
  press.preventDefault();
  does();
});

byId('narrow').open = !matchMedia('(max-width: 70rem)').matches;
views.begin();
list.begin({ problem, news: () => { state.news = true; } });
setInterval(() => {
  if (state.shut || document.hidden) return;
  if (!state.page && state.news) count(read().q);
  else if (PAGES[state.page]?.lives && byId('error').hidden) apply();
}, COUNT_MS);
await apply();
hadFocus = true;
