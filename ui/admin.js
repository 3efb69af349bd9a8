// For those who may: tenants, keys, streams and what the server says of its configuration.

import { act, get, pathOf } from '/ui/api.js';
import { href, listOf } from '/ui/address.js';
import { ago, byId, counted, el, shown, when } from '/ui/dom.js';
import { made } from '/ui/parts.js';
import { term, terms } from '/ui/query.js';
import { all } from '/ui/trust.js';

const ROLES = ['reader', 'emitter', 'auditor', 'privacy_officer', 'admin'];
const STREAMS_MAX = 500;

const section = (title, content) => el('section', { class: 'panel' }, el('h2', {}, title), content);

/** Links to the parts of a page that is long, and where they lead; what is read anew moves nobody. */
const placeOf = (name) => `admin-${name}`;
function jumps(parts) {
  const to = ([name, title]) => el('li', {}, el('a', { href: `#${placeOf(name)}`, onclick: (press) => {
    press.preventDefault();
    byId(placeOf(name)).scrollIntoView();
    byId(placeOf(name)).focus({ preventScroll: true });
  } }, title));
  return parts.length > 1 && el('nav', { class: 'jumps', 'aria-label': 'On this page' }, el('ul', {}, parts.map(to)));
}

export const page = {
  title: 'Administration',
  /** What the key in use may do: the rest is not offered, nor asked for, since that would be refused and recorded. */
  made(_, { again, own }) {
    const isAdmin = own.may.has('administer');
    const whole = own.may.has('whole');
    const parts = [
      whole && ['tenants', 'Tenants', () => all('/v1/tenants', 'tenants'), (found) => tenants(found, isAdmin && again)],
      isAdmin && ['keys', 'Keys', () => get('/v1/keys'), (found) => keys(found, again)],
      whole && ['streams', 'Streams', () => all('/v1/streams', 'streams'), streams],
      isAdmin && ['configuration', 'Configuration in force', settled, configuration]].filter(Boolean);
    // Each is made once for each answer: a form stays as somebody fills it in while other parts are drawn.
    const read = ([name, title, ask, make]) => [name, async () => {
      const found = await ask();
      return made(title, () => section(title, make(found)), { path: pathOf(found), again });
    }];
    return { reads: Object.fromEntries(parts.map(read)),
      draw: (part) => [!isAdmin && el('p', { class: 'panel' }, 'Keys and settings are for admins, and the key in use is none\'s. ',
        whole ? 'Here is what it may see.' : 'It sees nothing of whole logs either.'),
      jumps(parts), parts.map(([name, title]) => el('div', { id: placeOf(name), class: 'place', tabindex: -1 },
        part(name, title, (content) => content)))] };
  },
};

/**
 * A table; where there is no room for its columns each row is a card with the titles beside the values, but for the one that
 * is `free` of its title. Roles are said, since a browser takes them from what is laid out otherwise.
 */
function table(titles, rows, { free } = {}) {
  const cell = (content, at) => el(at ? 'td' : 'th', { role: at ? 'cell' : 'rowheader', scope: !at && 'row',
    class: titles[at] === free && 'hint free', 'data-title': titles[at] }, at ? el('div', {}, content) : content);
  return el('div', { class: 'wide rows', tabindex: 0, role: 'region', 'aria-label': titles.join(', ') }, el('table',
    { class: 'plain-table', role: 'table' },
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, titles.map((title) =>
      el('th', { role: 'columnheader', scope: 'col' }, title)))),
    el('tbody', { role: 'rowgroup' }, rows.map((cells) => el('tr', { role: 'row' }, cells.map(cell))))));
}

const row = (...cells) => cells;
/** A sentence in which what a program reads stands between backticks. */
const prose = (text) => text.split('`').map((part, at) => (at % 2 ? code(part) : shown(part)));
/** What a program reads, which may be broken where its parts end. */
const code = (text) => el('code', {}, String(text).split(/(?<=[._/,:=])/).flatMap((part) => [shown(part), el('wbr')]));
const time = (text) => (text ? when(text) : '–');

/** A form that has something done, says what went wrong, and shows what came of it. */
function form(fields, label, does) {
  const told = el('p', { role: 'status', class: 'outcome-of' });
  const button = el('button', { type: 'submit' }, label);
  return el('form', { class: 'act', onsubmit: async (event) => {
    event.preventDefault();
    // A button that is disabled loses the keyboard.
    if (button.ariaDisabled === 'true') return;
    button.ariaDisabled = 'true';
    for (const one of event.target.querySelectorAll('[aria-invalid]')) one.removeAttribute('aria-invalid');
    try {
      told.replaceChildren(...[await does()].flat().filter(Boolean));
      told.className = 'outcome-of';
    } catch (problem) {
      told.replaceChildren(...prose([problem.message, problem.next].filter(Boolean).join(' – ')).flat());
      told.className = 'outcome-of finding';
      problem.field?.setAttribute('aria-invalid', 'true');
      problem.field?.focus();
    }
    button.ariaDisabled = 'false';
  } }, fields, button, told);
}

const field = (label, attributes = {}) => el('input', { 'aria-label': label, placeholder: label, ...attributes });

function tenants({ tenants: found, more }, again) {
  const rows = found.map((log) => row(el('a', { href: href({ page: 'trust', tenant: log.tenant_id }) },
    shown(log.tenant_id)),
    log.records === null ? '–' : log.records.toLocaleString('en'), time(log.last_ingested_at),
      log.published.toLocaleString('en')));
  const name = field('Name of a new tenant', { required: true, maxlength: 128 });
  return [table(['Tenant', 'Records', 'Last committed', 'Under a checkpoint'], rows), more && el('p',
    { class: 'hint' }, 'and more'),
    again && form([name], 'Make its log', async () => {
      await act('POST', '/v1/tenants', { tenant_id: name.value.trim() });
      again();
    })];
}

/** A query, which breaks between its terms. */
const asked = (query) => el('code', {}, terms(query).map(({ text }) => [el('span', { class: 'term' }, shown(text)), ' ']));

/** Whether a key is good, and until when. */
function inForce({ revoked_at: revoked, expires_at: expires }) {
  if (revoked) return ['revoked ', when(revoked)];
  return expires ? ['until ', when(expires)] : 'in force';
}

function keys({ keys: found }, again) {
  const rows = found.map((key) => row(el('code', {}, shown(key.id)), shown(key.name ?? '–'), shown(key.role),
    key.tenants ? shown(key.tenants.join(', ')) : 'all', key.query ? asked(key.query) : '–', time(key.created_at),
    time(key.last_used_at), inForce(key), key.revoked_at ? '–' : buttons(key, again)));
  const role = el('select', { 'aria-label': 'Role' }, ROLES.map((word) => el('option', { value: word },
    word.replace('_', ' '))));
  if (!found.length) role.value = 'admin';
  const tenant = field('Tenants, parted by commas; * for all');
  const name = field('Name');
  const expires = field('Ends after, e.g. 90d', { size: 16 });
  const query = field('What a reader is narrowed to');
  const made = async () => {
    const names = tenant.value.split(',').map((one) => one.trim()).filter(Boolean);
    // Whom it is for has to be said, but of an admin, who is for all.
    const all = names.join() === '*' || role.value === 'admin' && !names.length;
    if (!all && !names.length) {
      throw Object.assign(new Error('Say for which tenants the key is: their names, parted by commas, or * for all.'), { field: tenant });
    }
    const { bearer } = await act('POST', '/v1/keys', { role: role.value, tenants: all ? '*' : names,
      name: name.value.trim() || null, expires: expires.value.trim() || null, query: query.value.trim() || null });
    return secret(bearer, again);
  };
  return [found.length ? table(['Id', 'Name', 'Role', 'Tenants', 'Query', 'Made', 'Last used', 'State', 'Change'], rows)
    : el('p', {}, 'There is no key: this server is open. The first one closes it, and has to be an admin\'s.'),
  form([role, tenant, name, expires, query], 'Make a key', made)];
}

/** A secret is shown once, and only where it was asked for. */
function secret(bearer, again) {
  return [el('span', {}, 'This is shown once: '), el('code', { class: 'secret' }, bearer), ' ',
    el('button', { type: 'button', class: 'link', onclick: again }, 'I have it')];
}

function buttons(key, again) {
  const told = el('span', { role: 'status' });
  const button = (label, does) => el('button', { type: 'button', class: 'link',
    onclick: () => does().catch((problem) => {
    told.textContent = ` ${problem.message}`;
  }) }, label);
  const sure = (label, does) => button(label, async () => told.replaceChildren(' For good? ',
    button('Yes, revoke', does), ' ', button('No', async () => told.replaceChildren())));
  return [button('Rotate', async () => {
    const { bearer } = await act('POST', `/v1/keys/${key.id}/rotate`, {});
    told.replaceChildren(...secret(bearer, again));
  }), ' ', sure('Revoke', async () => {
    await act('DELETE', `/v1/keys/${key.id}`);
    again();
  }), told];
}

function streams({ streams: found, behind, more }) {
  if (!found.length) return el('p', { class: 'hint' }, 'No producer numbers its events yet.');
  const heard = (words) => /last heard (\S+)/.exec(words)?.[1];
  const tone = { open: 'plain', complete: 'good', 'undeclared-gap': 'bad' };
  const rows = found.slice(0, STREAMS_MAX).map((one) => row(
    el('a', { href: href({ page: 'trust', tenant: one.tenant_id }) }, shown(one.tenant_id)),
    one.stream ? shown(one.stream) : el('span', { class: 'hint' }, 'without a number'),
      one.records.toLocaleString('en'),
    el('span', { class: `pill ${tone[one.word] ?? 'warn'}` }, shown(one.word.replaceAll('-', ' '))),
    one.last === undefined || one.last === null ? '–' : one.last.toLocaleString('en'),
    heard(one.verdict) ? ago(heard(one.verdict)) : '–', one.submitted_by ? code(one.submitted_by) : '–'));
  const counts = behind ? `${counted(behind, 'committed record')} are not counted here yet.`
    : 'All that is committed is counted.';
  return [el('p', { class: 'hint' }, counts),
    table(['Tenant', 'Stream', 'Records', 'State', 'Last number', 'Last heard', 'Said by'], rows), more && el('p',
      { class: 'hint' }, 'and more')];
}

/** What the server says of its settings, and of itself. */
async function settled() {
  const [health, about, found] = await Promise.all([
    fetch('/health/ready').then((answer) => answer.json()).catch(() => ({})), get('/openapi.json'),
    get('/v1/configuration')]);
  return { ...found, health, about };
}

/** Whether work gets done, and every setting with where it comes from. */
function configuration({ health, about, settings }) {
  const rows = settings.map((one) => {
    const isSet = one.source !== 'default';
    return row(el('code', {}, shown(one.setting)), one.value === null ? el('span', { class: 'hint' }, 'not set') : code(one.value),
      el('span', { class: isSet ? 'whence' : 'whence hint' }, shown(one.source)), prose(one.doc));
  });
  return [el('dl', {}, el('dt', {}, 'server'), el('dd', {}, 'version ', shown(about.info?.version ?? 'unknown')),
    el('dt', {}, 'work gets done'), el('dd', {},
      health.status === 'ok' ? 'yes' : shown(`no: ${(health.reasons ?? ['it does not say why']).join('; ')}`))),
  table(['Setting', 'Value', 'From', 'What it is for'], rows, { free: 'What it is for' }),
  el('p', { class: 'hint' }, 'A setting is changed where the server runs (file, environment, command line), and is in force when '
    + 'it has started again. What was changed is recorded: ',
  el('a', { href: listOf(`${term('tenant', '_system')} type:config.changed`) }, 'the records'), '.')];
}
