// The menus of the list: views that are kept in this browser, columns to choose, the link to copy.

import { change, copy, href, read } from '/ui/address.js';
import { COLUMNS, chosen } from '/ui/columns.js';
import { byId, el, fill, isInUtc, shown, turnZone } from '/ui/dom.js';

const KEPT = 'indelible-views';
const VIEWS_MAX = 50;
const NAME_CHARS_MAX = 60;

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
    return Array.isArray(found) ? found.filter((one) => [one?.name, one?.q, one?.columns ?? ''].every((each) => typeof each === 'string')) : [];
  } catch {
    return [];
  }
}

/** Keeps these views, says so, and gives the keyboard back to the menu. */
function keep(views, said) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(views));
  } catch {
    return drawViews('This browser keeps nothing: it has no room, or does not let it be kept.');
  }
  return drawViews(said);
}

/** Shows the views: each is a link, as good as a bookmark. */
function drawViews(said) {
  const all = kept();
  const name = el('input', { 'aria-label': 'Name of the view', placeholder: 'Name of what is shown now',
    maxlength: NAME_CHARS_MAX, required: true });
  const lines = all.map((view, at) => el('li', {},
    el('a', { href: href({ q: view.q, columns: view.columns }), 'data-go': true }, shown(view.name)),
    el('button', { type: 'button', class: 'close', 'aria-label': `Forget ${view.name}`, title: 'Forget it',
      onclick: () => keep(all.filter((_, index) => index !== at), `Forgotten: ${view.name}`) }, '×')));
  const status = el('p', { class: 'hint', role: 'status' });
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    const { q, columns } = read();
    const called = name.value.trim();
    if (!called) return;
    const others = all.filter((view) => view.name !== called);
    if (others.length >= VIEWS_MAX) {
      status.textContent = `Not kept: ${VIEWS_MAX} views are kept at most. Forget one first.`;
      return;
    }
    keep([...others, { name: called, q, columns }], `Kept: ${called}`);
  } }, name, el('button', { type: 'submit' }, 'Keep'));
  fill(byId('views').querySelector('.sheet'), all.length ? el('ul', {}, lines)
    : el('p', { class: 'hint' }, 'A view is a query with its columns, kept in this browser.'), form, status);
  if (said === undefined) return;
  // What somebody pressed is drawn anew: the menu is where they are, and Esc still closes it.
  byId('views').querySelector('summary').focus();
  // Read out once it is there.
  setTimeout(() => { status.replaceChildren(...shown(said)); });
}

/** Shows the columns, those that are chosen ticked. */
export function columns() {
  const now = new Set(chosen(read().columns).map(({ name }) => name));
  const usual = COLUMNS.filter(({ usual: is }) => is).map(({ name }) => name).join(',');
  const box = (column) => el('label', {}, el('input', { type: 'checkbox', checked: now.has(column.name),
    onchange: ({ target }) => {
      if (target.checked) now.add(column.name); else now.delete(column.name);
      const names = COLUMNS.map(({ name }) => name).filter((name) => now.has(name)).join(',');
      change({ columns: names === usual ? '' : names }, { step: false });
    } }), column.title);
  const sheet = byId('columns').querySelector('.sheet');
  const focused = [...sheet.querySelectorAll('input')].indexOf(document.activeElement);
  fill(sheet, COLUMNS.map(box));
  if (focused >= 0) sheet.querySelectorAll('input')[focused]?.focus();
}

/** Menus close when somebody goes elsewhere. */
export function begin() {
  drawViews();
  byId('copy').addEventListener('click', () => copy(byId('copy')));
  byId('utc').addEventListener('click', turnZone);
  const told = () => byId('utc').setAttribute('aria-pressed', String(isInUtc()));
  document.addEventListener('zone', told);
  told();
  const menus = [byId('views'), byId('columns')];
  document.addEventListener('click', ({ target }) => {
    menus.forEach((menu) => { if (target.isConnected && !menu.contains(target)) menu.open = false; });
  });
  // Choosing a view is the end of it.
  byId('views').addEventListener('click', ({ target }) => {
    if (!target.closest('[data-go]')) return;
    byId('views').open = false;
    byId('views').querySelector('summary').focus();
  });
  menus.forEach((menu) => menu.addEventListener('keydown', (press) => {
    if (press.key !== 'Escape' || !menu.open) return;
    press.stopPropagation();
    menu.open = false;
    menu.querySelector('summary').focus();
  }));
}
