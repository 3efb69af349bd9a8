// The list and the record of one tenant, for a frame in somebody else's page, by a viewer token.
//
// Token and colours stand behind the `#` of the address, which a browser sends to nobody: `docs/page.md`.

import { hold } from '/ui/api.js';
import { change, read } from '/ui/address.js';
import { byId, el, fill } from '/ui/dom.js';
import * as list from '/ui/list.js';
import * as rows from '/ui/rows.js';

const AGAIN_MS = 3000;
const EXPIRED = 'This view is not good any more. Load the page that it stands in again.';

// What may be set: the names of the style sheet's own variables, each a colour.
const COLOURS = ['ground', 'paper', 'ink', 'soft', 'line', 'edge', 'accent', 'on-accent', 'hover', 'chosen', 'share',
  'good',
  'good-ground', 'bad', 'bad-ground', 'warn', 'warn-ground', 'plain', 'plain-ground'];

let again = null;

function dress(given) {
  for (const name of COLOURS) {
    const value = given.get(name);
    if (value && CSS.supports('color', value)) document.documentElement.style.setProperty(`--${name}`, value);
  }
}

function problem(error) {
  clearTimeout(again);
  const words = error?.status === 401 ? EXPIRED : error?.message;
  byId('error').hidden = !error;
  fill(byId('error'), error && [el('pre', {}, words), error.status !== 401 && error.next && el('p', {}, error.next)]);
  byId('q').setAttribute('aria-invalid', String(error?.status === 400));
  if (error?.status === 401 || error?.status === 403) list.shut();
  else if (error && error.status !== 400) again = setTimeout(() => apply({ anew: true }), AGAIN_MS);
}

function apply({ anew = false } = {}) {
  const asked = read();
  byId('q').value = asked.q;
  // A viewer has no tail: what is new comes with the next search.
  return list.show({ ...asked, live: 'off' }, { anew });
}

byId('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const q = byId('q').value.trim();
  if (q === read().q) apply({ anew: true }); else change({ q, record: '' });
});
window.addEventListener('popstate', () => apply());
window.addEventListener('address', () => apply());
document.addEventListener('keydown', (press) => {
  if (press.target.matches('input') || press.ctrlKey || press.metaKey || press.altKey) return;
  if (press.key === 'Escape' && read().record) change({ record: '' });
  else if (press.key === 'j' || (press.key === 'ArrowDown' && press.target.closest('#rows'))) rows.move(1);
  else if (press.key === 'k' || (press.key === 'ArrowUp' && press.target.closest('#rows'))) rows.move(-1);
  else return;
  press.preventDefault();
});

const given = new URLSearchParams(location.hash.slice(1));
hold(given.get('token') ?? '');
dress(given);
list.begin({ problem, news: () => {} });
await apply();
