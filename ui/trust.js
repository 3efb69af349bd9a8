// What can be said of every log, in words that can be quoted: both verdicts, what is anchored and what is not,
// what is missing and who said so. All of it is the server's word; each record's proof is checked by the page.

import { get } from '/ui/api.js';
import { href, listOf } from '/ui/address.js';
import { ago, counted, el, shown, when } from '/ui/dom.js';
import { save } from '/ui/fields.js';
import { term } from '/ui/query.js';

const PAGES_MAX = 20;
const CARDS_MAX = 100;

/** All pages of a list, up to a bound. */
export async function all(path, name, query = {}) {
  const found = [];
  let cursor;
  let last;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    last = await get(path, { ...query, limit: 500, cursor });
    found.push(...last[name]);
    cursor = last.next_cursor;
    if (!cursor) break;
  }
  return { ...last, [name]: found, more: Boolean(cursor) };
}

/** The same, or the problem where the key may not see it. */
const perhaps = (promise) => promise.catch((problem) => {
  if (problem.status === 403) return problem;
  throw problem;
});

export const page = {
  title: 'Trust',
  lives: true,
  async content({ tenant }) {
    const query = tenant ? { tenant } : {};
    const [tenants, streams, checkpoints] = await Promise.all([
      all('/v1/tenants', 'tenants'), perhaps(all('/v1/streams', 'streams', query)),
      perhaps(all('/v1/checkpoints', 'tenants'))]);
    const shownLogs = tenants.tenants.filter((log) => !tenant || log.tenant_id === tenant)
      .sort((a, b) => worth(b) - worth(a) || a.tenant_id.localeCompare(b.tenant_id));
    if (!tenants.tenants.length) {
      return el('p', { class: 'panel' }, el('b', {}, 'No log yet. '), 'The first event of a tenant makes its log.');
    }
    const cards = shownLogs.slice(0, CARDS_MAX).map((log) => card(log, { streams, checkpoints }));
    const left = shownLogs.length - cards.length;
    return [sum(tenants.logs, checkpoints), tenant && el('p', {}, el('a', { href: href({ page: 'trust' }) },
      'All logs')),
      el('div', { class: 'cards' }, cards),
      (left > 0 || tenants.more) && el('p', { class: 'hint' },
        `${left > 0 ? counted(left, 'log') : 'Others'} more are not shown.`)];
  },
};

/** What comes first: broken logs, then logs of tenants, then the ledger's own. */
function worth(log) {
  if (log.verdict?.integrity === 'broken') return 2;
  return log.tenant_id.startsWith('_') ? 0 : 1;
}

const pill = (tone, words) => el('span', { class: `pill ${tone}` }, words);

/** The ledger as a whole: how many logs are as they were, and what was signed last. */
function sum(logs, checkpoints) {
  const tone = logs.broken ? 'bad' : logs.anchored === logs.all ? 'good' : 'plain';
  const words = logs.broken ? `${counted(logs.broken, 'log')} of ${logs.all} broken`
    : logs.anchored === logs.all ? `${counted(logs.all, 'log')} intact`
      : `${logs.anchored} of ${counted(logs.all, 'log')} anchored`;
  return el('section', { class: 'panel', 'aria-label': 'The ledger' },
    el('p', {}, pill(tone, words), ' ', el('b', {}, 'Integrity'),
      ': every committed record is what was committed, in that order. ',
      el('b', {}, 'Completeness'), ': what is known about what is missing.'),
    signed(checkpoints),
    el('p', { class: 'hint' }, 'These are the words of the server about itself. Whoever does not want to rely on it runs ',
      el('code', {}, `indelible verify --url ${location.origin} --key KEY --require-anchor`),
      ' with the key that ', el('code', {}, 'indelible keys show'), ' prints where the ledger is.'));
}

function signed(checkpoints) {
  if (checkpoints instanceof Error) return el('p', { class: 'hint' }, 'Checkpoints are shown to auditors.');
  const { registry } = checkpoints;
  if (!registry) return el('p', {}, pill('plain', 'Nothing signed yet'),
    ' The first checkpoint comes with the first records.');
  const { number, slots, time } = JSON.parse(registry.snapshot);
  const [origin] = registry.checkpoint.split('\n', 1);
  return el('p', {}, `The newest signed checkpoint has snapshot ${number.toLocaleString('en')} of all `
    + `${counted(slots, 'log')}, taken `, when(time), ` (${ago(time)}), signed as `, el('code', {}, shown(origin)),
      '. ',
  save('checkpoint.txt', registry.checkpoint, 'Save it', 'link'),
  ': whoever keeps one elsewhere sees later whether the ledger was rewritten.');
}

const INTEGRITY = {
  anchored: ['good', 'Intact, anchored'],
  consistent_not_anchored: ['plain', 'Consistent, not anchored'],
  broken: ['bad', 'Broken'],
};

function card(log, { streams, checkpoints }) {
  const name = log.tenant_id;
  const own = streams instanceof Error ? null : streams.streams.filter((one) => one.tenant_id === name);
  const point = checkpoints instanceof Error ? null : checkpoints.tenants.find((one) => one.tenant_id === name);
  return el('article', { class: 'panel log', 'data-tenant': name },
    el('div', { class: 'bar' }, el('h2', {}, el('a', { href: listOf(term('tenant', name)) }, shown(name))),
      log.records !== null && el('span', { class: 'hint' }, counted(log.records, 'record'))),
    log.verdict ? integrity(log, log.verdict) : el('p', {}, pill('plain', 'Not verified yet'),
      ' The verifier has not come to this log, or the key may not see its verdict.'),
    anchored(log, point),
    log.verdict && completeness(log.verdict, own));
}

function integrity(log, verdict) {
  const [tone, words] = INTEGRITY[verdict.integrity] ?? ['plain', verdict.integrity];
  const checked = counted(verdict.records, 'record');
  const said = {
    anchored: `The ${checked} that were there are what was committed, in that order: each was read again, hashed, and found `
      + `chained to the one before, and ${verdict.anchored_records.toLocaleString('en')} lie under a signed checkpoint.`,
    consistent_not_anchored: `The ${checked} that were there agree with each other. `
      + `${verdict.anchored_records.toLocaleString('en')} of them lie under a signed checkpoint; `
      + 'for the others nothing but the log speaks.',
    broken: `Of the ${checked} that were read, not all are what was committed, in that order.`,
  }[verdict.integrity];
  return [el('p', {}, pill(tone, words), ' ', said, ' Verified ', when(verdict.verified_at),
    ` (${ago(verdict.verified_at)}).`),
    verdict.findings.length > 0 && el('ul', { class: 'finding' }, verdict.findings.map((one) => el('li', {},
      shown(one))))];
}

/** What is anchored and what is not yet, in numbers that can be looked up. */
function anchored(log, point) {
  if (log.records === null) return null;
  const open = log.records - log.published;
  return el('p', {}, `Records 0 to ${(log.published - 1).toLocaleString('en')} are under a signed checkpoint; `,
    open > 0 ? `${counted(open, 'newer one', 'newer ones')} ${open === 1 ? 'is' : 'are'} not yet.` : 'none is newer.',
    log.last_ingested_at && [' The last was committed ', when(log.last_ingested_at), '.'],
    point && [' ', save(`${log.tenant_id}.checkpoint`, point.checkpoint, 'Save its checkpoint', 'link')]);
}

const TONES = [['undeclared gap', 'bad', 'Undeclared gap'], ['declared loss', 'warn', 'Declared loss'],
  ['ended unclean', 'warn', 'Ended unclean'], ['open', 'plain', 'Open'], ['complete', 'good', 'Complete']];

function completeness(verdict, streams) {
  const found = verdict.completeness;
  const worst = TONES.find(([begins]) => found.some((one) => one.verdict.startsWith(begins)));
  const head = worst ? pill(worst[1], worst[2]) : pill('plain', 'Unnumbered');
  const free = verdict.unnumbered > 0 && el('p', { class: 'hint' },
    `${counted(verdict.unnumbered, 'record')} bear no number of a `
    + 'producer: of these nobody can say whether others are missing.');
  const line = ({ stream, verdict: words }) => {
    const tone = TONES.find(([begins]) => words.startsWith(begins));
    const more = streams?.find((one) => one.stream && stream.includes(one.stream) && words.startsWith(one.verdict.split(',')[0]));
    return el('li', {}, pill(tone?.[1] ?? 'plain', shown(stream)), ' ', spoken(words), gaps(more));
  };
  return [el('p', {}, head, ' ', found.length
    ? `${counted(found.length, 'run')} of numbered events ${found.length === 1 ? 'was' : 'were'} heard in this log.`
    : 'No producer numbered its events, so nothing is claimed about what is missing.'),
  found.length > 0 && el('ul', { class: 'streams' }, found.slice(0, CARDS_MAX).map(line)), free];
}

/** The verdict's own words, with its time as people read it. */
function spoken(words) {
  const [before, time] = words.split('last heard ');
  const read = time && /^\S+/.exec(time)[0];
  return read ? [shown(before), 'last heard ', when(read), shown(time.slice(read.length))] : shown(words);
}

function gaps(stream) {
  if (!stream) return null;
  const span = ([first, last, why]) => `${first} to ${last}${why ? ` (${why})` : ''}`;
  return [stream.lost?.length > 0 && el('p', { class: 'hint' }, 'The producer declared as lost: ',
    shown(stream.lost.map(span).join(', ')), '.'),
    stream.gaps?.length > 0 && el('p', { class: 'finding' }, 'Missing, and nobody declared it: ',
      shown(stream.gaps.map(span).join(', ')), '.'),
    stream.submitted_by && el('p', { class: 'hint' }, 'Said by ', el('code', {}, shown(stream.submitted_by)),
      stream.credentials > 1 && ` and ${stream.credentials - 1} more`, '.')];
}
