// The rows of the list: only those in sight are in the document, however many there are.
//
// Rows have one height, which the style sheet says; above and below stands room for the others.

import { byId, counted, el, fill } from '/ui/dom.js';
import { order } from '/ui/columns.js';

export const ROWS_MAX = 100_000;
const BEYOND = 12;
/** With more new rows than these in one frame, those out of sight wait for the next. */
const LEAP = 30;

const table = byId('table');
const body = byId('rows');
const room = { above: byId('above'), below: byId('below') };

let items = [];
let keys = new Set();
let columns = [];
let context = { published: new Map(), checked: new Map() };
let drawn = new Map();
let range = [0, 0];
let current = 0;
/** Whether somebody has been to a row: before that the first one is it, whichever that is. */
let used = false;
let wanted = false;
let heard = { open: () => {}, near: () => {} };
let height = 36;

/** How many rows there are. */
export const count = () => items.length;
export const at = (index) => items[index];
export const currentRow = () => items[current];

/** Says what is called when a row is opened, and when the end is near. */
export function listen(to) {
  heard = to;
}

/** Which columns are shown, and what badges need to know. */
export function dress(shown, known, { isUsual }) {
  columns = shown;
  context = known;
  table.className = [isUsual ? 'usual' : 'picked', ...columns.map(({ name }) => `has-${name}`)].join(' ');
  // Chosen columns have the room that they need, and share what is left of the list's: where there is too little, the
  // table is scrolled sideways.
  const sum = (of) => columns.reduce((all, column) => all + (column[of] ?? 0), 0);
  const [fixed, least] = [sum('fixed'), sum('least')];
  table.style.minWidth = isUsual ? '' : `calc(${fixed + least}rem + var(--time))`;
  fill(byId('titles'), columns.map((column) => {
    const head = el('th', { scope: 'col', class: column.name }, column.title);
    if (!isUsual && column.least) {
      head.style.width = `max(${column.least}rem, (100cqi - ${fixed}rem - var(--time)) * ${column.least / least})`;
    }
    return head;
  }));
  redraw();
}

/** What is scrolled sideways is reached by keyboard, and by nothing else. */
function sideways() {
  const box = byId('wide');
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  else box.removeAttribute('tabindex');
}

/** Draws the rows anew, of which something else is known now. */
export function redraw() {
  const focused = document.activeElement?.closest('#rows tr')?.dataset.name;
  drawn.forEach((row) => row.remove());
  drawn = new Map();
  draw();
  // Whoever has the keyboard on a row keeps it.
  drawn.get(focused)?.querySelector('.open').focus({ preventScroll: true });
}

/** Shows these rows and nothing else. */
export function start(rows) {
  items = [];
  keys = new Set();
  current = 0;
  used = false;
  drawn.forEach((row) => row.remove());
  drawn = new Map();
  append(rows);
}

/** Adds older rows at the end. */
export function append(rows) {
  const fresh = rows.filter(({ key }) => !keys.has(key)).slice(0, ROWS_MAX - items.length);
  fresh.forEach(({ key }) => keys.add(key));
  items = items.concat(fresh);
  table.setAttribute('aria-rowcount', items.length + 1);
  draw();
}

/** Puts new rows where they belong; what somebody looks at stays where it is. */
export function arrive(rows, { oldest }) {
  const last = items.at(-1);
  const fresh = rows.filter((row) => !keys.has(row.key) && (oldest || !last || order(row, last) < 0)).sort(order);
  if (!fresh.length) return 0;
  const seen = used && items[current];
  fresh.forEach(({ key }) => keys.add(key));
  const top = items[range[0]];
  const merged = [];
  let from = 0;
  for (const row of fresh) {
    while (from < items.length && order(items[from], row) < 0) merged.push(items[from++]);
    merged.push({ ...row, fresh: true });
  }
  while (from < items.length) merged.push(items[from++]);
  items = merged.slice(0, ROWS_MAX);
  merged.slice(ROWS_MAX).forEach(({ key }) => keys.delete(key));
  if (seen) current = Math.max(0, items.indexOf(seen));
  table.setAttribute('aria-rowcount', items.length + 1);
  const moved = top ? items.indexOf(top) - range[0] : 0;
  const isAway = table.getBoundingClientRect().top < 0;
  draw();
  if (isAway && moved > 0) window.scrollBy(0, moved * height);
  return fresh.length;
}

function draw() {
  wanted = false;
  const box = table.getBoundingClientRect();
  if (!box.width && !items.length) return;
  height = Number.parseFloat(getComputedStyle(table).getPropertyValue('--row')) || 36;
  const top = box.top + (table.tHead.offsetHeight || 0);
  const limit = items.length;
  const span = (beyond) => {
    const from = Math.min(limit, Math.max(0, Math.floor(-top / height) - beyond));
    return [from, Math.max(from, Math.min(limit, Math.ceil((window.innerHeight - top) / height) + beyond))];
  };
  let [first, last] = span(BEYOND);
  // After a leap what is in sight comes first, and the rest with the next frame.
  const isLeap = items.slice(first, last).filter(({ key }) => !drawn.has(key)).length > LEAP;
  if (isLeap) [first, last] = span(0);
  range = [first, last];
  place(first, last);
  room.above.style.height = `${first * height}px`;
  room.below.style.height = `${(limit - last) * height}px`;
  if (last >= limit - BEYOND && limit) heard.near();
  if (isLeap) soon();
}

function place(first, last) {
  const now = new Map();
  for (let index = first; index < last; index += 1) {
    const row = items[index];
    now.set(row.key, drawn.get(row.key) ?? line(row));
  }
  for (const [key, row] of drawn) if (!now.has(key)) row.remove();
  drawn = now;
  let next = body.firstElementChild;
  let index = first;
  for (const row of now.values()) {
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
    // What is right already is not written: it would be looked at anew.
    if (row.ariaRowIndex !== String(index + 2)) row.ariaRowIndex = index + 2;
    const stop = index === current ? 0 : -1;
    const [button] = row.getElementsByClassName('open');
    if (button.tabIndex !== stop) button.tabIndex = stop;
    index += 1;
  }
  // Whoever comes by Tab finds a row that is there.
  if ((current < first || current >= last) && now.size) body.querySelector('.open').tabIndex = 0;
}

/** A row as it is shown: as this page checked it, once it did. */
const seen = (row) => context.checked.get(row.key)?.row ?? row;

function line(row) {
  const open = el('button', { type: 'button', class: 'open', tabindex: -1 }, 'Open');
  const cells = columns.map(({ name, cell }) => el('td', { class: name }, cell(seen(row), context)));
  const lead = cells[Math.max(0, columns.findIndex(({ name }) => name === 'said' || name === 'event'))];
  open.replaceChildren(...lead.childNodes);
  lead.replaceChildren(open);
  const tr = el('tr', { class: row.fresh ? 'fresh' : '', 'data-name': row.key,
    'aria-current': row.key === context.opened && 'true' }, cells);
  row.fresh = false;
  tr.addEventListener('click', (press) => {
    if (press.target.closest('a')) return;
    focusOn(items.indexOf(row));
    heard.open(seen(row));
  });
  return tr;
}

/** Marks the row of a record as the one that is open. */
export function mark(key) {
  context.opened = key;
  for (const [name, row] of drawn) {
    if (name === key) row.setAttribute('aria-current', 'true');
    else row.removeAttribute('aria-current');
  }
}

/** Moves to a row and gives it the keyboard, in sight. */
export function focusOn(index) {
  if (!items.length) return;
  used = true;
  current = Math.max(0, Math.min(items.length - 1, index));
  const head = table.tHead.offsetHeight || 0;
  const top = table.getBoundingClientRect().top + head + current * height;
  const covered = byId('top').offsetHeight + 4;
  if (top < covered) window.scrollBy(0, top - covered);
  else if (top + height > window.innerHeight) window.scrollBy(0, top + height - window.innerHeight);
  draw();
  drawn.get(items[current].key)?.querySelector('.open').focus({ preventScroll: true });
}

/** Moves by so many rows; whoever comes from elsewhere begins where they were. */
export const move = (by) => focusOn(body.contains(document.activeElement) ? current + by : current);
/** To the first row, or the last that is here. */
export const moveTo = (end) => focusOn(end === 'first' ? 0 : items.length - 1);

/** What is told of how many there are. */
export const told = () => counted(items.length, 'record');

function soon() {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(draw);
}

// Whoever comes back by Tab comes back to where they were, which may be out of sight meanwhile.
let byTab = false;
document.addEventListener('keydown', (press) => { byTab = press.key === 'Tab'; }, true);
document.addEventListener('pointerdown', () => { byTab = false; }, true);
body.addEventListener('focusin', (event) => {
  if (byTab && used && !body.contains(event.relatedTarget) && event.target.tabIndex === 0) focusOn(current);
  byTab = false;
});

window.addEventListener('scroll', soon, { passive: true });
window.addEventListener('resize', soon);
// A record that is opened beside the list, or a long time in it, changes what there is room for.
const sizes = new ResizeObserver(sideways);
sizes.observe(table);
sizes.observe(byId('wide'));
