// Elements made from data: text is only ever text.

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
  for (const child of children.flat()) {
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

/** A time in the reader's zone, to the second; the date only when it is not today's. */
export function when(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return String(text);
  const clock = time.toLocaleTimeString('en-GB');
  if (time.toDateString() === new Date().toDateString()) return clock;
  const month = time.toLocaleDateString('en-GB', { day: '2-digit', month: 'short' });
  return `${month} ${clock}`;
}

const TONES = {
  success: 'good',
  failure: 'bad',
  denied: 'bad',
  blocked: 'bad',
  timed_out: 'bad',
  partial: 'warn',
  rolled_back: 'warn',
};

/** An outcome as a word with a tone; the word stays, so that colour alone says nothing. */
export function outcome(word) {
  return el('span', { class: `pill ${TONES[word] ?? 'plain'}` }, word ?? '–');
}
