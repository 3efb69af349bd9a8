// The tenants and the two verdicts on each, as far as the server's verifier has come.

import { get } from '/ui/api.js';
import { byId, clock, counted, el, fill, shown } from '/ui/dom.js';

const CARDS_MAX = 50;
/** Streams that a pill names. */
const TOLD_MAX = 10;

const INTEGRITY = {
  anchored: ['good', 'Intact, anchored'],
  consistent_not_anchored: ['plain', 'Consistent, not anchored'],
  broken: ['bad', 'Broken'],
};

let turn = 0;

/** Shows no tenant any more. */
export function forget() {
  turn += 1;
  fill(byId('summary'));
  fill(byId('tenants'));
}

/** Shows the tenants, the worst first; `choose` is called with the name of one that is clicked. */
export async function refresh(choose) {
  const limit = CARDS_MAX;
  const mine = turn;
  const { tenants: first, logs } = await get('/v1/tenants', { limit });
  const broken = logs.broken ? await get('/v1/tenants', { limit, integrity: 'broken' }) : { tenants: [] };
  if (mine !== turn) return;
  const bad = new Set(broken.tenants.map((log) => log.tenant_id));
  const tenants = [...broken.tenants, ...first.filter((log) => !bad.has(log.tenant_id))]
    .sort((a, b) => worth(b) - worth(a) || a.tenant_id.localeCompare(b.tenant_id));
  fill(byId('summary'), summary(logs));
  const left = logs.all - Math.min(tenants.length, CARDS_MAX);
  // Whoever has the keyboard on a tenant keeps it.
  const focused = document.activeElement?.dataset?.tenant;
  const cards = tenants.slice(0, CARDS_MAX).map((log) => card(log, choose));
  fill(byId('tenants'), cards, left > 0 && el('p', { class: 'hint' }, `and ${counted(left, 'log')} more`));
  if (focused) byId('tenants').querySelector(`[data-tenant="${CSS.escape(focused)}"]`)?.focus();
}

/** What comes first: broken logs, then logs of tenants, then the ledger's own. */
function worth(log) {
  if (log.verdict?.integrity === 'broken') return 2;
  return log.tenant_id.startsWith('_') ? 0 : 1;
}

function summary(logs) {
  if (!logs.all) return pill('plain', 'No log yet');
  if (logs.broken) return pill('bad', `${counted(logs.broken, 'log')} of ${logs.all} broken`);
  if (logs.anchored === logs.all) return pill('good', `${counted(logs.anchored, 'log')} intact`);
  return pill('plain', `${logs.anchored} of ${counted(logs.all, 'log')} verified`);
}

function card(log, choose) {
  const name = log.tenant_id;
  return el('li', {},
    el('div', { class: 'bar' },
      el('button', { type: 'button', class: 'link', 'data-tenant': name,
        onclick: () => choose(name) }, shown(name)),
      el('span', { class: 'hint' }, counted(log.records ?? 0, 'record'))),
    log.verdict ? verdicts(log.verdict) : el('p', { class: 'verdicts hint' }, 'Not verified yet'));
}

function pill(tone, words, title) {
  return el('span', { class: `pill ${tone}`, title }, words);
}

function verdicts(verdict) {
  const [tone, words] = INTEGRITY[verdict.integrity] ?? ['plain', verdict.integrity];
  const title = `${counted(verdict.records, 'record')} checked, `
    + `${verdict.anchored_records.toLocaleString('en')} of them under a trusted checkpoint`;
  return [
    el('p', { class: 'verdicts' }, pill(tone, words, title), completeness(verdict),
      el('span', { class: 'hint' }, 'checked ', clock(verdict.verified_at))),
    verdict.findings.map((finding) => el('p', { class: 'finding' }, shown(finding))),
  ];
}

// How a stream's verdict begins, worst first, with its tone and the word for it where there are many.
const STREAMS = [
  ['undeclared gap', 'bad', 'with gaps'],
  ['declared loss', 'warn', 'with a declared loss'],
  ['ended unclean', 'warn', 'ended unclean'],
  ['open', 'plain', 'open'],
  ['complete', 'good', 'complete'],
];

/** One pill per kind of verdict; one stream alone in its own words. */
function completeness({ completeness: streams }) {
  if (!streams.length) {
    return pill('plain', 'Unnumbered', 'Nobody numbered these events, so nothing is claimed.');
  }
  const told = ({ stream, verdict }) => `${stream}: ${verdict}`;
  return STREAMS.map(([begins, tone, word]) => {
    const found = streams.filter(({ verdict }) => verdict.startsWith(begins));
    if (!found.length) return null;
    const [first] = found[0].verdict.split(/, last heard| · /);
    const words = streams.length === 1 ? first : `${counted(found.length, 'stream')} ${word}`;
    return pill(tone, shown(words), found.slice(0, TOLD_MAX).map(told).join('\n'));
  });
}
