// Completion in the search box: qualifiers, values that are known, and values that the server counts.

import { get } from '/ui/api.js';
import { byId, el, fill, shown } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { COUNTED, KNOWN, QUALIFIERS, quoted, termAt } from '/ui/query.js';

const WAIT_MS = 120;
const HINTS_MAX = 10;

const field = byId('q');
const box = byId('hints');
let turn = 0;
let timer = null;
let hints = [];
let marked = -1;

const isOpen = () => !box.hidden;

export function hide() {
  turn += 1;
  clearTimeout(timer);
  box.hidden = true;
  marked = -1;
  field.setAttribute('aria-expanded', 'false');
  field.removeAttribute('aria-activedescendant');
}

function show(found) {
  hints = found.slice(0, HINTS_MAX);
  marked = -1;
  field.removeAttribute('aria-activedescendant');
  if (!hints.length) return hide();
  fill(box, hints.map((hint, at) => el('li', { role: 'option', id: `hint-${at}`, 'aria-selected': 'false',
    onpointerdown: (press) => {
      press.preventDefault();
      take(at);
    } }, el('code', {}, shown(hint.text)), el('span', { class: 'hint' }, hint.tells))));
  box.hidden = false;
  field.setAttribute('aria-expanded', 'true');
  return undefined;
}

function mark(at) {
  marked = (at + hints.length) % hints.length;
  [...box.children].forEach((one, index) => one.setAttribute('aria-selected', String(index === marked)));
  box.children[marked].scrollIntoView({ block: 'nearest' });
  field.setAttribute('aria-activedescendant', `hint-${marked}`);
}

function take(at) {
  const { text, from, to, goesOn } = hints[at];
  const rest = field.value.slice(to);
  const put = text + (goesOn ? '' : rest.startsWith(' ') ? '' : ' ');
  field.value = field.value.slice(0, from) + put + rest;
  const caret = from + put.length;
  field.setSelectionRange(caret, caret);
  hide();
  if (goesOn) ask();
}

async function ask() {
  turn += 1;
  const { text, from, to } = termAt(field.value, field.selectionStart ?? 0);
  const typed = field.value.slice(from, field.selectionStart ?? to);
  const negated = typed.startsWith('-') || typed.startsWith('(') ? typed[0] : '';
  const word = typed.slice(negated.length);
  const at = word.indexOf(':');
  const place = { from: from + negated.length, to };
  if (at < 0) {
    const begins = ([name]) => word && name.startsWith(word.toLowerCase());
    show(QUALIFIERS.filter(begins).map(([name, tells]) => ({ ...place, text: `${name}:`, tells, goesOn: true })));
    return;
  }
  const name = word.slice(0, at).toLowerCase();
  const begun = word.slice(at + 1).replace(/^"/, '').split(',').at(-1);
  const lead = word.slice(0, word.length - begun.length).replace(/"$/, '');
  const listed = (values) => show(values
    .filter(({ value }) => value.toLowerCase().includes(begun.toLowerCase()) && value !== begun)
    .map(({ value, tells }) => ({ ...place, text: lead + quoted(value), tells })));
  if (KNOWN[name]) {
    listed(KNOWN[name].map((value) => ({ value, tells: '' })));
    return;
  }
  if (name !== 'tenant' && !COUNTED.includes(name)) {
    hide();
    return;
  }
  // What the server is asked, it is asked when nobody types on; what stood there was for less.
  hide();
  const current = ++turn;
  await new Promise((done) => { timer = setTimeout(done, WAIT_MS); });
  if (current !== turn) return;
  try {
    const values = await (name === 'tenant' ? tenants() : counted(name, begun, field.value.replace(text, '')));
    if (current === turn) listed(values);
  } catch {
    // Completion is a help: where nothing can be counted, nothing is offered.
    if (current === turn) hide();
  }
}

async function tenants() {
  const { tenants: found } = await get('/v1/tenants', { limit: 1000 });
  return found.map(({ tenant_id: value, records }) => ({ value,
    tells: records === null ? '' : records.toLocaleString('en') }));
}

/** The values that begin so, most frequent first: beside the rest of the query if it can be asked. */
async function counted(name, begun, rest) {
  const narrow = /^[\p{L}\p{N}._@:/-]+$/u.test(begun) ? ` ${name}:${begun}*` : '';
  const facet = (q) => get('/v1/counts', { q, facet: name, top: 50 });
  const found = await facet(rest.trim() + narrow).catch(() => facet(''));
  return found.facets[0].values.filter(({ value }) => value !== null && !isMasked(value))
    .map(({ value, count }) => ({ value, tells: count.toLocaleString('en') }));
}

field.addEventListener('input', ask);
field.addEventListener('blur', hide);
field.addEventListener('keydown', (press) => {
  if (!isOpen()) {
    if (press.key === 'ArrowDown') {
      press.preventDefault();
      ask();
    }
    return;
  }
  if (press.key === 'ArrowDown') mark(marked + 1);
  else if (press.key === 'ArrowUp') mark(marked < 0 ? hints.length - 1 : marked - 1);
  else if (press.key === 'Escape') hide();
  else if ((press.key === 'Enter' || press.key === 'Tab') && marked >= 0) take(marked);
  else return;
  press.preventDefault();
  press.stopPropagation();
});
