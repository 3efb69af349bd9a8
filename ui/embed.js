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

function dress(given) {
  for (const name of COLOURS) {
    const value = given.get(name);
    if (value && CSS.supports('color', value)) document.documentElement.style.setProperty(`--${name}`, value);
  }
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
  const found = given.get('token') ?? history.state?.token ?? '';
  if (!found.startsWith(VIEWER)) return found;
  given.delete('token');
  const rest = given.toString();
  history.replaceState({ token: found }, '', location.pathname + location.search + (rest && `#${rest}`));
  return found;
}

let token = taken();
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
  list.begin({ problem, news: () => {} });
  setInterval(() => { if (!document.hidden) list.look(); }, LOOK_MS);
  await apply();
}
