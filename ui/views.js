// The menus of the list: views that are kept in this browser, columns to choose, the link to copy.

import { change, href, read } from '/ui/address.js';
import { COLUMNS, chosen } from '/ui/columns.js';
import { byId, el, fill, shown } from '/ui/dom.js';

const KEPT = 'indelible-views';
const VIEWS_MAX = 50;
const NAME_CHARS_MAX = 60;

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
    return Array.isArray(found) ? found.filter((one) => one && typeof one.name === 'string') : [];
  } catch {
    return [];
  }
}

function keep(views) {
  localStorage.setItem(KEPT, JSON.stringify(views.slice(0, VIEWS_MAX)));
  drawViews();
}

/** Shows the views: each is a link, as good as a bookmark. */
function drawViews() {
  const all = kept();
  const name = el('input', { 'aria-label': 'Name of the view', placeholder: 'Name of what is shown now',
    maxlength: NAME_CHARS_MAX, required: true });
  const lines = all.map((view, at) => el('li', {},
    el('a', { href: href({ q: view.q, columns: view.columns }), 'data-go': true }, shown(view.name)),
    el('button', { type: 'button', class: 'close', 'aria-label': `Forget ${view.name}`,
      onclick: () => keep(all.filter((_, index) => index !== at)) }, '×')));
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    const { q, columns } = read();
    const said = name.value.trim();
    if (said) keep([...all.filter((view) => view.name !== said), { name: said, q, columns }]);
  } }, name, el('button', { type: 'submit' }, 'Keep'));
  fill(byId('views').querySelector('.sheet'), all.length ? el('ul', {}, lines)
    : el('p', { class: 'hint' }, 'A view is a query with its columns, kept in this browser.'), form);
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

/** Puts the address of what is shown into the clipboard, or shows it where there is none. */
export async function copy() {
  const { href: address } = location;
  try {
    await navigator.clipboard.writeText(address);
    byId('told').textContent = 'The link is copied';
    byId('copy').textContent = 'Copied';
  } catch {
    byId('told').textContent = address;
    byId('copy').textContent = 'See the address bar';
  }
  setTimeout(() => { byId('copy').textContent = 'Copy link'; }, 2000);
}

/** Menus close when somebody goes elsewhere. */
export function begin() {
  drawViews();
  byId('copy').addEventListener('click', copy);
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
