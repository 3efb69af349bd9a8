// One record: what it says, what belongs to it, its proof and the exact bytes that were hashed.

import { access, roleOf, seesWhole } from '/ui/access.js';
import { isViewer, mayPass, text } from '/ui/api.js';
import { copy, href, read as address } from '/ui/address.js';
import { brief } from '/ui/columns.js';
import { byId, cut, el, exactly, fill, outcome, shown } from '/ui/dom.js';
import { erasures } from '/ui/erased.js';
import { chain, changes, decision, evidence, fields, isLie, lies, marked, save } from '/ui/fields.js';
import { states, unshown } from '/ui/hidden.js';
import { verbatim } from '/ui/json.js';
import { held } from '/ui/leaf.js';
import { answered, countdown, due } from '/ui/parts.js';
import { prove } from '/ui/prove.js';
import { pivots, relate } from '/ui/related.js';
import { named, sentence } from '/ui/words.js';

const TITLE_CHARS = 60;
const NARROW = matchMedia('(max-width: 70rem)');

const panel = byId('record');
let turn = 0;
let shownNow = '';
let leave = () => {};

/** Says what is called when somebody closes the record. */
export function onClose(does) {
  leave = does;
}

/** Reads a record and shows it; whoever asks again meanwhile wins. */
export async function show(tenant, id, tries = 0) {
  const name = `${tenant}/${id}`;
  if (panel.open && shownNow === name) return;
  const mine = ++turn;
  const current = () => mine === turn;
  shownNow = name;
  const path = `/v1/records/${encodeURIComponent(id)}`;
  fill(panel, head('Record'), el('p', { class: 'hint' }, 'Reading the record …'));
  open();
  try {
    const [row, own] = await Promise.all([text(path, { tenant }).then((answer) => held(parsed(answer), { tenant, id })),
      access().catch(() => null)]);
    if (!current()) return;
    row.reader = own;
    const proof = el('section', { class: 'proof', 'aria-label': 'Proof' });
    const related = el('section', { 'aria-label': 'What belongs to it' });
    const hidden = el('section', { 'aria-label': 'What cannot be read' });
    fill(panel, whole(row, { proof, related, hidden }));
    panel.scrollTop = 0;
    panel.querySelector('h2').focus();
    if (!row.record.event) return;
    // What is beside the record takes nothing of it away.
    const beside = (section, title, work) => work.catch((problem) => current() && fill(section, el('h3', {}, title),
      el('p', { class: 'finding' }, `It could not be read: what the server sent has another form. ${problem.message}`)));
    await Promise.all([
      unreadable(hidden, row, current).catch(() => {}),
      beside(proof, 'Proof', prove(proof, row, { path: `${path}/proof`, tenant, current })),
      // A viewer sees one record at a time.
      !isViewer() && beside(related, 'What belongs to it', relate(related, { path: `${path}/related`, tenant, current, row })),
    ]);
  } catch (problem) {
    if (!current()) return;
    // Whoever asks for it once more is not told that it is there.
    shownNow = '';
    const again = () => current() && panel.open && show(tenant, id, tries + 1);
    fill(panel, head('Record'), failed(problem, again, tries));
  }
}

function parsed(answer) {
  try {
    return verbatim(answer);
  } catch {
    throw new Error('What the server sent is no JSON: it was cut off or changed.');
  }
}

/** What the server said and the leaf, with what leads to its commitments, does not. */
function differing(row) {
  return isLie(row) && el('p', { class: 'verdict bad', role: 'alert' }, lies(row), ' Shown here is what the leaf says.');
}

/** Shapes that come to somebody who sees personal values as they are. */
function withheld({ personal, subjects, reader }) {
  const isMasked = [...personal.values(), ...[...subjects.values()].map(({ state }) => state)].includes('masked');
  return isMasked && reader && seesWhole(reader) && el('p', { class: 'verdict warn', role: 'status' },
    `This is not as it should be: the key in use is of the role ${roleOf(reader)}, which sees personal values as they are, and `
    + 'the server sends shapes of them, by which nothing can be checked.');
}

function whole(row, { proof, related, hidden }) {
  const { event } = row.record;
  if (!event) {
    explain(hidden, states(row, undefined, isViewer()), row.record.tenant_id);
    return [head('Pruned record'), hidden, el('p', {}, el('code', {}, shown(row.record_hash ?? '')))];
  }
  const { tenant_id: tenant, sequence_number: number } = row.record;
  // An address of a frame opens nothing without its token, which is in no link.
  const link = !isViewer() && el('button', { type: 'button', class: 'link', onclick: () => copy(link) }, 'Copy its link');
  return [
    head(event.event_type, event.outcome),
    differing(row), withheld(row),
    told(row),
    event.description && marked(row, el('p', { class: 'description' }, shown(event.description)), 'description'),
    el('p', { class: 'hint' }, 'Record ', el('b', {}, Number(number).toLocaleString('en')), ' of ', el('b', {}, tenant),
      ', ', exactly(event.occurred_at), link && [' · ', link]),
    hidden, marked(row, changes(row), 'changes'), marked(row, decision(event), 'decision', 'error', 'outcome_raw'),
    marked(row, chain(event), 'actor.name', 'actor.id', 'ai', 'context', 'data.on_behalf_of'),
    marked(row, evidence(event, { tenant, id: event.audit_id }), 'proof'),
    pivots(row), proof, related, fields(row), leaf(row),
  ];
}

/** The sentence; where it names somebody by what could not be checked it says so. */
function told(row) {
  const by = named(row.record.event);
  const unsure = new Map([...row.personal].filter(([path, how]) => how !== 'checked' && by.includes(path)));
  return marked({ personal: unsure }, el('p', { class: 'said' }, sentence(brief(row))), ...by);
}

const TONE = { sealed: 'plain', masked: 'plain', erased: 'warn', pruned: 'warn', contradiction: 'bad' };

/** Says what cannot be read, and why. */
export function explain(section, found, tenant) {
  if (!found.length) return fill(section);
  return fill(section, el('h3', {}, 'What cannot be read'), el('ul', { class: 'hidden-values' },
    found.map(({ state, where, why, by }) => el('li', {}, el('span', { class: `pill ${TONE[state]}` }, state), ' ',
      el('b', {}, shown(where)), el('p', {}, why, by && !isViewer() && [' ',
        el('a', { href: href({ ...address(), record: `${tenant}/${by}` }) }, 'The record that says so')])))));
}

/** Values that are not shown may have been erased: what the server says of that is looked up, and checked. */
async function unreadable(section, row, current) {
  const { tenant_id: tenant, sequence_number: number } = row.record;
  explain(section, states(row, undefined, isViewer()), tenant);
  const kept = unshown(row);
  if (!kept.length) return;
  const erased = await erasures({ tenant, number }, kept).catch(() => null);
  if (current() && erased?.size) explain(section, states(row, erased, isViewer()), tenant);
}

/** Beside the list where there is room, else over it. */
function open() {
  document.body.classList.add('has-record');
  if (panel.open) return;
  if (NARROW.matches) panel.showModal();
  else panel.show();
}

/** Puts the record away, if there is one. */
export function close() {
  turn += 1;
  shownNow = '';
  document.body.classList.remove('has-record');
  if (panel.open) panel.close();
}

panel.addEventListener('close', () => {
  document.body.classList.remove('has-record');
  const row = document.querySelector('tr[aria-current] .open') ?? document.querySelector('#rows .open[tabindex="0"]');
  row?.focus({ preventScroll: true });
  if (address().record) leave();
});

function failed(problem, again, tries) {
  return [el('p', { class: 'finding', role: 'alert' }, `The record cannot be shown. ${problem.message}`),
    problem.next && el('p', { class: 'hint' }, problem.next),
    mayPass(problem) && [answered(problem), countdown(due(problem, tries), again)]];
}

function head(title, ended) {
  const close = el('button', { type: 'button', 'aria-label': 'Close', class: 'close',
    onclick: () => panel.close() }, '×');
  return el('div', { class: 'bar' },
    el('h2', { tabindex: -1 }, cut(title ?? 'Record', TITLE_CHARS)),
    ended && outcome(ended), close);
}

function leaf(row) {
  return el('details', {},
    el('summary', {}, 'The leaf, as it was hashed'),
    el('p', { class: 'hint' }, 'Personal values are not in it.'),
    el('pre', { tabindex: 0, 'aria-label': 'The leaf' }, shown(row.leaf)),
    save('leaf.json', row.leaf, 'Save its bytes'));
}
