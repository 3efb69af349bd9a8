// The records of a query: newest on top, what arrives is put in its place.
//
// Bounded in rows and in bytes: a row keeps two names and texts that are cut, never the record.

import { byId, cut, el, outcome, when } from '/ui/dom.js';
import { show } from '/ui/record.js';

const ROWS_MAX = 500;
const CELL_CHARS_MAX = 80;

const rows = new Map();
const body = byId('rows');
/** The row that Tab reaches; arrows move it. */
let current = null;

/** How many rows there are. */
export const count = () => rows.size;

/** Shows this page and nothing else. */
export function start(records) {
  rows.clear();
  body.replaceChildren();
  insert(records, null, false);
}

/**
 * Puts a newer first page on top; `whole` when nothing is older than its records. Where its oldest is
 * not here yet, or there are too many, the list starts anew: otherwise records would be missing.
 */
export function arrive(records, whole) {
  const joins = whole || records.length === 0 || rows.has(name(records.at(-1)));
  const fresh = records.filter((row) => !rows.has(name(row))).length;
  if (joins && rows.size + fresh <= ROWS_MAX) insert(records, body.firstElementChild, rows.size > 0);
  else start(records);
}

/** Adds an older page at the end; the newest make room for it. */
export function append(records) {
  insert(records, null, false);
  while (rows.size > ROWS_MAX) drop(body.firstElementChild);
}

function insert(records, before, fresh) {
  let next = before;
  for (const row of records) {
    const known = rows.get(name(row));
    if (known) {
      next = known.nextElementSibling;
      continue;
    }
    const made = line(row, fresh);
    rows.set(name(row), made);
    body.insertBefore(made, next);
  }
  settle();
}

function drop(row) {
  rows.delete(row.dataset.name);
  row.remove();
  settle();
}

function name(row) {
  return `${row.record.tenant_id}/${row.record.sequence_number}`;
}

function line(row, fresh) {
  const { tenant_id: tenant, sequence_number: number, event } = row.record;
  const id = event.audit_id;
  const cell = (kind, value) => el('td', { class: kind }, cut(value, CELL_CHARS_MAX));
  const open = el('button', { type: 'button', class: 'open', tabindex: -1 },
    cut(event.event_type, CELL_CHARS_MAX));
  const tr = el('tr', { class: fresh ? 'fresh' : '', 'data-name': name(row) },
    el('td', { class: 'time' }, when(event.occurred_at)),
    cell('actor', event.actor?.name ?? event.actor?.id),
    el('td', { class: 'event' }, open),
    cell('target', event.target?.name ?? event.target?.id),
    el('td', { class: 'outcome' }, outcome(event.outcome)),
    cell('tenant', tenant),
    el('td', { class: 'number' }, number));
  tr.addEventListener('click', () => {
    body.querySelector('tr[aria-current]')?.removeAttribute('aria-current');
    tr.setAttribute('aria-current', 'true');
    focusOn(open);
    show(tenant, id);
  });
  return tr;
}

function settle() {
  if (!current?.isConnected) current = body.querySelector('.open');
  if (current) current.tabIndex = 0;
}

function focusOn(button) {
  if (current) current.tabIndex = -1;
  current = button;
  current.tabIndex = 0;
  current.focus();
}

const MOVES = {
  ArrowDown: (row) => row.nextElementSibling,
  ArrowUp: (row) => row.previousElementSibling,
  Home: () => body.firstElementChild,
  End: () => body.lastElementChild,
};

body.addEventListener('keydown', (press) => {
  const to = MOVES[press.key]?.(press.target.closest('tr'));
  if (!to) return;
  press.preventDefault();
  focusOn(to.querySelector('.open'));
});
