// Elements made from data: text is only ever text, and what a reader could not see is shown.

/** An element with attributes and children; strings become text nodes, nothing is parsed. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'class') element.className = value;
    else if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

export const byId = (id) => document.getElementById(id);

// Controls, all that Unicode has to be shown as nothing (marks of direction, spaces and letters without width, tags,
// variation selectors), separators of lines, marks of annotations, the blank of braille, halves of a character. Joiners
// stay where the eye sees what they do: after a letter of Arabic that would join the next one, and after the sign that
// takes a vowel away. Emoji keep theirs as escapes: two that look alike would be two.
const UNJOINED = String.raw`\u0621-\u0625\u0627\u0629\u062f-\u0632\u0648\u0649\u0671-\u0673\u0675-\u0677\u0688-\u0699`
  + String.raw`\u06c0-\u06cb\u06cd\u06cf\u06d2-\u06d5\u06ee\u06ef`;
const VIRAMA = String.raw`\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u1039\u17d2`;
const ARABIC = String.raw`(?=\p{L})\p{Script=Arabic}`;
const SEEN = String.raw`(?<=(?![${UNJOINED}])${ARABIC})\u200c(?=${ARABIC})|(?<=[${VIRAMA}])[\u200c\u200d](?=\p{L})`;
const UNSEEN = new RegExp(String.raw`(?:(?!${SEEN})[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028\u2029\u2800\ufff9-\ufffb])+`, 'gu');

/** Text from an event as nodes: what cannot be seen stands as an escape, set apart. */
export function shown(value) {
  const text = String(value);
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(UNSEEN)) {
    nodes.push(text.slice(from, found.index), el('span', { class: 'unseen' }, escaped(found[0])));
    from = found.index + found[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

function escaped(text) {
  return Array.from(text, (one) => {
    const code = one.codePointAt(0).toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
  }).join('');
}

/** The same as a text alone, where there is no place for more. */
export const legible = (value) => String(value).replace(UNSEEN, escaped);

/** The same, cut to a length, in a place of its own where its direction turns nothing else. */
export function cut(value, chars) {
  const text = String(value ?? '–');
  const short = text.length > chars ? `${text.slice(0, chars)}…` : text;
  return el('bdi', {}, shown(short));
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' });
const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });

/** Before that zones had the sun's own time, to the second: such times are told in UTC, with all digits of the year. */
const ZONES_FROM = Date.UTC(1900, 0, 1);
const isOld = (time) => time < ZONES_FROM;
/** Day and clock of a time in UTC, as they are written. */
function inUtc(time) {
  const [day, clock] = time.toISOString().split('T');
  return [day, `${clock.slice(0, 8)}Z`];
}

/** A time in the reader's zone, as a format has it, or in UTC if it is an old one. */
export const told = (time, format) => (isOld(time) ? inUtc(time).join(' ') : format.format(time));

const ZONE = 'indelible-zone';
const OWN = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });

/** Whether times are told in UTC: the reader's choice, kept in this browser where that keeps anything. */
let isUtc = false;
try {
  isUtc = localStorage.getItem(ZONE) === 'UTC';
} catch { /* Whoever keeps nothing begins with the own zone. */ }

/** Whether somebody chose that, whatever their own zone is. */
export const isInUtc = () => isUtc;

/** The zone that times are told in. */
export const zone = () => (isUtc ? 'UTC' : new Intl.DateTimeFormat().resolvedOptions().timeZone);

/** A whole time in UTC, with its year and as much of the second as there is. */
const whole = (time) => `${time.toISOString().replace('T', ' ').replace('.000Z', '').replace('Z', '')} UTC`;

/** A time in the zone that is chosen: the day, set apart, and the clock to the second; an old one in UTC. */
export function when(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return el('span', {}, shown(text));
  if (isOld(time) || isUtc) {
    const [day, clock] = inUtc(time);
    return el('time', { datetime: text, title: isOld(time) ? text : OWN.format(time) },
      el('span', { class: 'day year' }, day), ' ', clock);
  }
  const near = Math.abs(Date.now() - time) < 300 * 86_400_000;
  return el('time', { datetime: text, title: whole(time) },
    el('span', { class: near ? 'day' : 'day year' }, (near ? DAY : DATE).format(time)), ' ', CLOCK.format(time));
}

/** The same, and beside it what no pointer can rest on everywhere: year and UTC. */
export function exactly(text) {
  const time = new Date(text);
  const isPlain = Number.isNaN(time.getTime()) || isOld(time);
  return [when(text), !isPlain && [' ', el('span', { class: 'hint utc' }, `(${whole(time)})`)]];
}

/** From now on times are told in UTC, or in the own zone again: those that stand there too. */
export function turnZone() {
  isUtc = !isUtc;
  try {
    localStorage.setItem(ZONE, isUtc ? 'UTC' : '');
  } catch { /* It holds until the page is left. */ }
  for (const old of document.querySelectorAll('time')) old.replaceWith(when(old.dateTime));
  byId('told').textContent = isUtc ? 'Times are in UTC' : 'Times are in your own zone';
  document.dispatchEvent(new Event('zone'));
}

const TONES = {
  success: 'good',
  failure: 'bad',
  denied: 'bad',
  blocked: 'bad',
  timed_out: 'warn',
  partial: 'warn',
  rolled_back: 'warn',
};

/** An outcome as a word with a tone; the word stays, so that colour alone says nothing. */
export function outcome(word) {
  const text = String(word ?? 'none').slice(0, 40).replaceAll('_', ' ');
  return el('span', { class: `pill ${TONES[word] ?? 'plain'}` }, shown(text));
}

/** A number with its thousands set apart, and the word for what it counts. */
export function counted(number, one, many = `${one}s`) {
  return `${Number(number).toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** How long ago, in the unit that people would say. */
export function ago(text) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  if (Number.isNaN(seconds)) return 'at an unknown time';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}
