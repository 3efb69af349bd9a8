// What the page shows stands in its address, whole: it can be kept, sent, and gone back to.

import { byId } from '/ui/dom.js';

const NAMES = ['page', 'q', 'columns', 'record', 'live', 'tenant', 'execution'];

/** What an address asks for; what it does not say is an empty text. */
export function read(url = location.href) {
  const { searchParams } = new URL(url);
  return Object.fromEntries(NAMES.map((name) => [name, searchParams.get(name) ?? '']));
}

/** The address of what `asked` says; of the list when it says nothing. */
export function href(asked) {
  const set = NAMES.filter((name) => asked[name]).map((name) => [name, asked[name]]);
  const search = new URLSearchParams(set).toString();
  return location.pathname + (search ? `?${search}` : '') + location.hash;
}

/** The address of the list of a query, with the columns that are chosen. */
export const listOf = (q) => href({ q, columns: read().columns });

/** Goes there; a step that Back undoes, unless said otherwise. */
export function go(asked, { step = true } = {}) {
  const to = href(asked);
  const isHere = to === location.pathname + location.search + location.hash;
  if (!isHere) history[step ? 'pushState' : 'replaceState'](history.state, '', to);
  window.dispatchEvent(new Event('address'));
}

/** The same place with something changed. */
export const change = (changes, options) => go({ ...read(), ...changes }, options);

/** Two parts of `record`: the tenant, and the id in it. */
export function recordOf(text) {
  const at = text.indexOf('/');
  return at > 0 ? { tenant: text.slice(0, at), id: text.slice(at + 1) } : null;
}

const COPIED_MS = 2000;

/** Puts the address of what is shown into the clipboard; the button for it says how that went, and all is read out. */
export async function copy(button) {
  const { href: address } = location;
  button.dataset.words ??= button.textContent;
  try {
    await navigator.clipboard.writeText(address);
    byId('told').textContent = 'The link is copied';
    button.textContent = 'Copied';
  } catch {
    byId('told').textContent = address;
    button.textContent = 'See the address bar';
  }
  setTimeout(() => { button.textContent = button.dataset.words; }, COPIED_MS);
}
