// The list and the record of one tenant, for a frame in somebody else's page, by a viewer token.
//
// Token and colours stand behind the `#` of the address, which a browser sends to nobody: `docs/page.md`. The token is
// taken out of the address at once: no link in here, and no address that somebody copies, has it.

import { hold, mayPass } from '/ui/api.js';
import { change, read } from '/ui/address.js';
import { byId, el, fill, turnZone } from '/ui/dom.js';
import * as list from '/ui/list.js';
import { countdown, due } from '/ui/parts.js';
import * as rows from '/ui/rows.js';

const LOOK_MS = 30_000;
const VIEWER = 'indv_';
const REFUSED = 'refused';
const EXPIRED = 'This view is not good any more. Load the page that it stands in again.';

// What may be set: the names of the style sheet's own variables, each a colour.
const COLOURS = ['ground', 'paper', 'ink', 'soft', 'line', 'edge', 'accent', 'on-accent', 'hover', 'chosen', 'share',
  'good',
  'good-ground', 'bad', 'bad-ground', 'warn', 'warn-ground', 'plain', 'plain-ground'];

/** For whoever builds the page around; those who read in it never see these. A server without keys asks for none. */
const WITHOUT = ['This view was opened without a viewer token.', 'Whoever builds the page around it: the address of the frame '
  + 'ends in #token=indv_…, which POST /v1/viewer-tokens gives. docs/page.md, “In a frame”.'];
const NO_VIEWER = ['What this view was opened with is no viewer token, and is not used.', 'Whoever builds the page around it: a '
  + 'viewer token begins with indv_, and POST /v1/viewer-tokens gives one. A key (ind_…) never belongs into the address of a '
  + 'page: revoke the one that stood here.'];

let tries = 0;

const { style } = document.documentElement;
const DARK = matchMedia('(prefers-color-scheme: dark)');
/** What small text has to stand out by from what is below it (WCAG 2.2, 1.4.3). */
const CONTRAST = 4.5;

/** A colour as red, green and blue, whichever way it is written. */
function rgb(colour) {
  const drawn = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
  drawn.fillStyle = colour;
  drawn.fillRect(0, 0, 1, 1);
  return [...drawn.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
function luminance(colour) {
  const [red, green, blue] = colour.map((value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** An accent that is given alone is made as light, or as dark, as it has to be to be read; what stands on it likewise. */
function accented(given) {
  const value = given.get('accent');
  const has = (name) => given.get(name) && CSS.supports('color', given.get(name));
  if (!has('accent') || has('paper') || has('ground')) return value;
  const paper = rgb(getComputedStyle(document.documentElement).getPropertyValue('--paper'));
  const towards = DARK.matches ? 255 : 0;
  const own = rgb(value);
  let now = own;
  for (let share = 0; share <= 1 && contrast(now, paper) < CONTRAST; share += 0.05) {
    now = own.map((part) => Math.round(part + (towards - part) * share));
  }
  return now === own ? value : `rgb(${now.join(' ')})`;
}

function dress(given) {
  for (const name of COLOURS) {
    const value = name === 'accent' ? accented(given) : given.get(name);
    if (value && CSS.supports('color', value)) style.setProperty(`--${name}`, value);
  }
  const accent = style.getPropertyValue('--accent');
  if (!accent || given.get('on-accent')) return;
  const [white, black] = [[255, 255, 255], [12, 20, 17]];
  style.setProperty('--on-accent', `rgb(${(contrast(rgb(accent), white) >= contrast(rgb(accent), black) ? white : black).join(' ')})`);
}

function tell(...words) {
  byId('error').hidden = !words.length;
  fill(byId('error'), words.length > 0 && el('pre', {}, words[0]), words.slice(1).map((one) => one && (one instanceof Node ? one : el('p', {}, one))));
}

function problem(error, { again = () => apply({ anew: true }) } = {}) {
  byId('q').setAttribute('aria-invalid', String(error?.status === 400));
  if (!error) {
    tries = 0;
    return tell();
  }
  if (error.status === 401 || error.status === 403) {
    list.shut();
    return tell(...(error.status === 403 ? [error.message] : token ? [EXPIRED] : WITHOUT));
  }
  if (!mayPass(error)) return tell(error.message, error.next);
  const until = due(error, tries);
  tries += 1;
  return tell(error.message, countdown(until, again));
}

function apply({ anew = false } = {}) {
  const asked = read();
  byId('q').value = asked.q;
  // A viewer has no tail: it is looked for what is new now and then.
  return list.show({ ...asked, live: 'off' }, { anew });
}

byId('search').addEventListener('submit', (event) => {
  event.preventDefault();
  const q = byId('q').value.trim();
  if (q === read().q) apply({ anew: true }); else change({ q, record: '' });
});
document.querySelector('.skip').addEventListener('click', (press) => {
  press.preventDefault();
  byId('records-title').focus();
});
/** Somebody goes elsewhere: what was tried in vain there counts no more. */
function moved() {
  tries = 0;
  return apply();
}
// What a link leads to is shown here, with the token that no link has; where no pointer rests a time is touched.
document.addEventListener('click', (press) => {
  const { target } = press;
  if (target.closest('time') && !target.closest('#rows, a, button, summary')) return turnZone();
  const link = target.closest('a');
  if (!link || press.defaultPrevented || press.ctrlKey || press.metaKey || press.shiftKey || press.button !== 0) return;
  if (link.download || link.origin !== location.origin || link.pathname !== location.pathname) return;
  press.preventDefault();
  if (link.href !== location.href) history.pushState(history.state, '', link.href);
  moved();
});
window.addEventListener('popstate', moved);
window.addEventListener('address', moved);
document.addEventListener('keydown', (press) => {
  if (press.target.matches('input') || press.ctrlKey || press.metaKey || press.altKey) return;
  if (press.key === 'Escape' && read().record) change({ record: '' });
  else if (press.key === 'u') turnZone();
  else if (press.key === 'j' || (press.key === 'ArrowDown' && press.target.closest('#rows'))) rows.move(1);
  else if (press.key === 'k' || (press.key === 'ArrowUp' && press.target.closest('#rows'))) rows.move(-1);
  else return;
  press.preventDefault();
});

/**
 * Takes the token out of the address. The entry of the history keeps it, for when the view is loaded again or gone back to:
 * that is read by this view alone, and stands in no address.
 */
function taken() {
  const given = new URLSearchParams(location.hash.slice(1));
  dress(given);
  let found = given.get('token') ?? history.state?.token ?? '';
  if (!found) return found;
  // What is no viewer token may be a key: it is kept nowhere.
  if (!found.startsWith(VIEWER)) found = REFUSED;
  given.delete('token');
  const rest = given.toString();
  history.replaceState({ token: found }, '', location.pathname + location.search + (rest && `#${rest}`));
  return found;
}

let token = taken();
DARK.addEventListener('change', () => dress(new URLSearchParams(location.hash.slice(1))));
// The page around may give another token, behind the same address.
window.addEventListener('hashchange', () => {
  const found = taken();
  if (found === token || !found.startsWith(VIEWER)) return;
  if (token && !token.startsWith(VIEWER)) location.reload();
  token = found;
  hold(token);
  apply();
});
if (token && !token.startsWith(VIEWER)) {
  byId('list-page').hidden = true;
  byId('top').hidden = true;
  tell(...NO_VIEWER);
} else {
  hold(token);
  document.body.classList.toggle('one-tenant', token.startsWith(VIEWER));
  list.begin({ problem, news: () => {} });
  setInterval(() => { if (!document.hidden) list.look(); }, LOOK_MS);
  await apply();
}
