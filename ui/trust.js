// What can be said of every log, in words that can be quoted: both verdicts, what is anchored and what is not,
// what is missing and who said so. All of it is the server's word; each record's proof is checked by the page.

import { get } from '/ui/api.js';
import { href, listOf } from '/ui/address.js';
import { ago, counted, el, shown, when } from '/ui/dom.js';
import { save } from '/ui/fields.js';
import { answered, made } from '/ui/parts.js';
import { term } from '/ui/query.js';

const PAGES_MAX = 20;
const PAGE_LOGS = 500;
const CARDS_MAX = 100;
// An open stream of which nothing was heard for so long is silent.
const SILENT_MS = 3_600_000;

/** All pages of a list, up to a bound. */
export async function all(path, name, query = {}) {
  const found = [];
  let cursor;
  let last;
  for (let pages = 0; pages < PAGES_MAX; pages += 1) {
    last = await get(path, { ...query, limit: PAGE_LOGS, cursor });
    found.push(...last[name]);
    cursor = last.next_cursor;
    if (!cursor) break;
  }
  return { ...last, [name]: found, more: Boolean(cursor) };
}

export const page = {
  title: 'Trust',
  lives: true,
  made({ tenant }, { own }) {
    const seen = { streams: own.may.has('whole'), checkpoints: own.may.has('audit') };
    let logs;
    const reads = { tenants: () => { logs = all('/v1/tenants', 'tenants'); return logs; } };
    if (seen.checkpoints) {
      reads.checkpoints = async () => {
        // Logs grow: what is signed of them is asked for after what they are, so that it is never less.
        await logs?.catch(() => null);
        return all('/v1/checkpoints', 'tenants');
      };
    }
    if (seen.streams) {
      reads.streams = async () => {
        // Of a log that is not there nothing more is asked: it would be refused, and the refusal recorded.
        const known = tenant && await (logs ?? all('/v1/tenants', 'tenants')).catch(() => null);
        if (known && !known.tenants.some((log) => log.tenant_id === tenant)) return { streams: [] };
        return all('/v1/streams', 'streams', tenant ? { tenant } : {});
      };
    }
    return { reads, draw: (part) => drawn(part, { tenant, seen }) };
  },
};

function drawn(part, { tenant, seen }) {
  const found = { streams: part.value('streams'), checkpoints: part.value('checkpoints'), tenant, seen };
  return [tenant && el('p', {}, el('a', { href: href({ page: 'trust' }) }, 'All logs')),
    ledger(part, found), part('streams', 'What is known of streams', () => null),
    part('tenants', 'The logs and their verdicts', (tenants) => cards(tenants, found))];
}

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isText = (value) => typeof value === 'string';

/** Whether a verdict has the form of one. */
const isVerdict = (verdict) => isText(verdict?.integrity) && isText(verdict.verified_at)
  && [verdict.records, verdict.anchored_records, verdict.unnumbered].every(isCount)
  && Array.isArray(verdict.findings) && verdict.findings.every(isText) && Array.isArray(verdict.completeness)
  && verdict.completeness.every((one) => isText(one?.stream) && isText(one.verdict));

/** Whether what is said of a log has the form that it has; of others nothing is summed. */
const isKnown = (log) => isText(log?.tenant_id) && (log.records === null || isCount(log.records)) && isCount(log.published)
  && (log.verdict === null || isVerdict(log.verdict));

const pointOf = (checkpoints, name) => checkpoints?.tenants.find((one) => one?.tenant_id === name);
const sizeOf = (point) => (isText(point?.checkpoint) ? Number(point.checkpoint.split('\n')[1]) : NaN);

/** What of the server's words on a log cannot be true together. */
function contradictions({ records, published, verdict, tenant_id: name }, { checkpoints }) {
  if (records === null) return [];
  const has = `The log has ${counted(records, 'record')}, and`;
  const signedFor = sizeOf(pointOf(checkpoints, name));
  return [
    published > records && `${has} ${published.toLocaleString('en')} are said to be under a signed checkpoint.`,
    signedFor < published && `Its newest signed checkpoint is over ${counted(signedFor, 'record')}, and `
      + `${published.toLocaleString('en')} are said to be under one.`,
    verdict?.records > records && `${has} the verifier is said to have read ${verdict.records.toLocaleString('en')}.`,
    verdict?.anchored_records > verdict?.records && `${counted(verdict.records, 'record')} were read, and `
      + `${verdict.anchored_records.toLocaleString('en')} of them are said to be under a signed checkpoint.`,
  ].filter(Boolean);
}

function cards({ tenants, more }, found) {
  const { tenant } = found;
  const known = tenants.filter(isKnown);
  const strange = tenants.filter((log) => !isKnown(log) && (!tenant || log?.tenant_id === tenant));
  const wrong = new Map(known.map((log) => [log, contradictions(log, found)]));
  const logs = known.filter((log) => !tenant || log.tenant_id === tenant)
    .sort((a, b) => (wrong.get(b).length > 0) - (wrong.get(a).length > 0) || worstFirst(a, b));
  if (!tenants.length) {
    return el('p', { class: 'panel' }, el('b', {}, 'No log yet. '), 'The first event of a tenant makes its log.');
  }
  if (!logs.length && !strange.length) {
    return el('p', { class: 'panel' }, 'No log that this key may see is called ', el('b', {}, shown(tenant)), '.');
  }
  const first = logs.slice(0, CARDS_MAX);
  const left = logs.length - first.length;
  return [el('div', { class: 'cards' }, strange.slice(0, CARDS_MAX).map(stranger),
    first.map((log) => made(log.tenant_id, () => card(log, wrong.get(log), found), { path: '/v1/tenants' }))),
    (left > 0 || more) && el('p', { class: 'hint' },
      `${left > 0 ? counted(left, 'log') : 'Others'} more are not shown.`)];
}

/** What stands in the place of a log of which is said what this page does not know. */
function stranger(log) {
  const name = isText(log?.tenant_id) ? log.tenant_id : 'A log';
  return el('article', { class: 'panel log failed', 'data-tenant': name }, el('h2', {}, shown(name)),
    el('p', { class: 'finding' }, 'What is said of this log is not of the form that is known: nothing of it is shown or counted here.'),
    answered({ path: '/v1/tenants' }));
}

const INTEGRITY = {
  anchored: { tone: 'good', words: 'Intact, anchored', rank: 0 },
  consistent_not_anchored: { tone: 'warn', words: 'Consistent, not anchored', rank: 3 },
  broken: { tone: 'bad', words: 'Broken', rank: 8 },
};
const UNKNOWN = { tone: 'warn', words: 'Not verified yet', rank: 2 };
// A key that is bound to a query is told the names of logs, and no more of them.
const HIDDEN = { tone: 'plain', words: 'No verdict', rank: 2 };

function integrityOf({ records, verdict }) {
  if (!verdict) return records === null ? HIDDEN : UNKNOWN;
  return INTEGRITY[verdict.integrity] ?? { tone: 'warn', words: verdict.integrity, rank: 3 };
}

// Each as it stands at the beginning of a verdict (spec/stream.md §4), and how a log is counted that has it.
const STREAMS = [
  { begins: 'undeclared gap', tone: 'bad', words: 'Undeclared gap', rank: 7, counts: 'with an undeclared gap' },
  { begins: 'declared loss', tone: 'warn', words: 'Declared loss', rank: 6, counts: 'with a declared loss' },
  { begins: 'ended unclean', tone: 'warn', words: 'Ended unclean', rank: 5, counts: 'that ended unclean' },
  { begins: 'silent', tone: 'warn', words: 'Silent', rank: 4, counts: 'with a silent producer' },
  { begins: 'open', tone: 'plain', words: 'Open', rank: 0 },
  { begins: 'complete', tone: 'good', words: 'Complete', rank: 0 },
];
const UNNUMBERED = { tone: 'plain', words: 'Unnumbered', rank: 1 };

/** What a verdict of a stream is; one that is open and was not heard of for long is silent. */
function streamOf(words) {
  const kind = STREAMS.find(({ begins }) => words.startsWith(begins));
  const heard = kind?.begins === 'open' && Date.parse(/last heard (\S+)/.exec(words)?.[1]);
  return heard && Date.now() - heard > SILENT_MS ? STREAMS.find(({ begins }) => begins === 'silent') : kind;
}

/** The worst that is known of what a log misses. */
function completenessOf({ verdict }) {
  const kinds = (verdict?.completeness ?? []).map(({ verdict: words }) => streamOf(words)).filter(Boolean);
  return STREAMS.find((kind) => kinds.includes(kind)) ?? UNNUMBERED;
}

const isOwn = (log) => log.tenant_id.startsWith('_');

/** How much is wrong with a log. The ledger's own has no producer to number it. */
function rank(log) {
  const all = log.verdict ? completenessOf(log) : null;
  return Math.max(integrityOf(log).rank, !all || (all === UNNUMBERED && isOwn(log)) ? 0 : all.rank);
}

/** By both verdicts, the worst first; of those alike the ledger's own last. */
function worstFirst(a, b) {
  return rank(b) - rank(a) || isOwn(a) - isOwn(b) || a.tenant_id.localeCompare(b.tenant_id);
}

const pill = (tone, words) => el('span', { class: `pill ${tone}` }, words);

/** The ledger as a whole by both verdicts, what was signed last, and what this key is not shown. */
function ledger(part, found) {
  const { seen } = found;
  const unseen = [!seen.checkpoints && 'signed checkpoints, which are for auditors',
    !seen.streams && 'how many records logs have, their verdicts and their streams: it sees records, and nothing of whole logs']
    .filter(Boolean);
  return el('section', { class: 'panel', 'aria-label': 'The ledger' },
    part('tenants', 'The logs and their verdicts', (tenants) => sum(tenants, found)),
    part('checkpoints', 'The newest checkpoint', signed),
    unseen.length > 0 && el('p', { class: 'hint' }, `The key in use is not shown ${unseen.join('; nor ')}.`),
    el('p', { class: 'hint' }, 'These are the words of the server about itself. Whoever does not want to rely on it runs ',
      el('code', {}, `indelible verify --url ${location.origin} --key KEY --require-anchor`),
      ' with the key that ', el('code', {}, 'indelible keys show'), ' prints where the ledger is.'));
}

/** What the counts of logs cannot be together, of one answer. */
function miscounted({ all: many, anchored, broken }, { tenants, more }) {
  if (![many, anchored, broken].every(isCount)) return 'How many logs there are was not answered in a form that is known.';
  if (anchored + broken > many) {
    return `The server counts ${counted(many, 'log')}, of which ${anchored.toLocaleString('en')} are anchored and `
      + `${broken.toLocaleString('en')} broken.`;
  }
  const isWhole = !more && tenants.length <= PAGE_LOGS;
  return isWhole && tenants.length !== many && `The server counts ${counted(many, 'log')}, and names ${tenants.length}.`;
}

function sum(answer, found) {
  const { more } = answer;
  const logs = answer.logs ?? {};
  const tenants = answer.tenants.filter(isKnown);
  const strange = answer.tenants.length - tenants.length;
  const wrong = tenants.filter((log) => contradictions(log, found).length).length;
  const odd = miscounted(logs, answer);
  const untrue = [odd, wrong > 0 && `What the server says of ${counted(wrong, 'log')} contradicts itself.`,
    strange > 0 && `What is said of ${counted(strange, 'log')} is not of the form that is known.`].filter(Boolean);
  return [untrue.length > 0 && el('p', { class: 'verdict bad' }, untrue.join(' ')),
    summed({ logs, tenants, more, strange, isOdd: Boolean(odd) || wrong > 0 })];
}

function summed({ logs, tenants, more, strange, isOdd }) {
  const isHidden = tenants.every((log) => integrityOf(log) === HIDDEN);
  const tone = isHidden ? 'plain' : logs.broken || isOdd ? 'bad' : logs.anchored === logs.all && !strange ? 'good' : 'warn';
  const words = isHidden ? 'No verdict is shown' : isOdd ? 'In contradiction' : logs.broken ? `${counted(logs.broken, 'log')} of ${logs.all} broken`
    : logs.anchored === logs.all && !strange ? `${counted(logs.all, 'log')} intact`
      : `${logs.anchored} of ${counted(logs.all, 'log')} anchored`;
  const times = tenants.map(({ verdict }) => verdict?.verified_at).filter(Boolean).sort();
  return [el('p', {}, pill(tone, words), ' ', el('b', {}, 'Integrity'),
    ': every committed record is what was committed, in that order.'),
  el('p', { class: 'missing' }, missing(tenants), ' ', el('b', {}, 'Completeness'),
    ': what is known about what is missing', more && `, of the first ${counted(tenants.length, 'log')}`, '.'),
  times.length > 0 && el('p', {}, 'The last verification was ', when(times.at(-1)), ` (${ago(times.at(-1))})`,
    times.length > 1 && [', the one of the log that waits longest ', when(times[0]), ` (${ago(times[0])})`], '.')];
}

/** How many logs miss what, and of how many nobody can say; a log counts by its worst. */
function missing(logs) {
  const verified = logs.filter(({ verdict }) => verdict);
  const late = logs.filter((log) => integrityOf(log) === UNKNOWN).length;
  const kinds = STREAMS.filter(({ counts }) => counts).map((kind) =>
    [kind, verified.filter((log) => completenessOf(log) === kind).length]).filter(([, many]) => many);
  const bare = verified.filter(({ verdict }) => verdict.unnumbered > 0).length;
  const pills = [...kinds.map(([kind, many]) => pill(kind.tone, `${counted(many, 'log')} ${kind.counts}`)),
    bare > 0 && pill('plain', `${counted(bare, 'log')} with unnumbered records`),
    late > 0 && pill('warn', `${counted(late, 'log')} not verified yet`),
  ].filter(Boolean);
  if (!verified.length && !late) return pill('plain', 'No verdict is shown');
  if (!pills.length) return pill('good', 'Nothing is known to be missing');
  return [kinds.length === 0 && [pill('good', 'Nothing that was numbered is known to be missing'), ' '],
    pills.flatMap((one, at) => [at > 0 && ' ', one])];
}

function signed(checkpoints) {
  const { registry } = checkpoints;
  if (!registry) return el('p', {}, pill('plain', 'Nothing signed yet'),
    ' The first checkpoint comes with the first records.');
  const { number, slots, time } = signedAt(registry);
  const [origin] = registry.checkpoint.split('\n', 1);
  return el('p', {}, 'The newest signed checkpoint is of ', when(time), ` (${ago(time)}). It covers `
    + `${slots === 1 ? 'the only log' : `all ${counted(slots, 'log')}`} as they stood then, is number `
    + `${number.toLocaleString('en')}, and is signed as `, el('code', {}, shown(origin)), '. ',
  save('checkpoint.txt', registry.checkpoint, 'Save it', 'link'),
  ': whoever keeps one elsewhere sees later whether the ledger was rewritten.');
}

/** What the ledger's snapshot says; throws where it is of another form. */
function signedAt({ snapshot }) {
  const found = JSON.parse(snapshot);
  if (!isCount(found?.number) || !isCount(found.slots) || Number.isNaN(Date.parse(found.time))) throw new TypeError('snapshot');
  return found;
}

const NARROW = matchMedia('(max-width: 40rem)');

/** What somebody folded or unfolded, which stays when the page reads anew. */
const folded = new Map();

function card(log, wrong, { streams, checkpoints, seen }) {
  const name = log.tenant_id;
  const own = streams?.streams.filter((one) => one?.tenant_id === name);
  const point = pointOf(checkpoints, name);
  const [whole, all] = [integrityOf(log), completenessOf(log)];
  const isOpen = !(folded.get(name) ?? (NARROW.matches && rank(log) < 2 && !wrong.length));
  // What contradicts itself is not said as what is.
  const now = wrong.length ? null : anchored(log, log.verdict);
  const words = el('div', { class: 'words' }, wrong.length > 0 && el('div', { class: 'verdict bad' },
    el('p', {}, 'What the server says of this log contradicts itself:'), el('ul', {}, wrong.map((one) => el('li', {}, one)))), log.verdict ? integrity(log.verdict, now) : el('p', {},
    log.records === null ? 'No verdict is shown: this key sees only some of its records, or the log cannot be read. '
      : 'The verifier has not come to this log yet. ', now),
  seen.checkpoints && checkpoints && checkpointed(log, point, checkpoints.registry),
  log.verdict && completeness(log.verdict, own));
  const details = el('details', { open: isOpen },
    el('summary', { onclick: () => folded.set(name, details.open) }, 'In words'), words,
    el('p', {}, quote(name, () => `${wrong.length ? 'contradictory: ' : ''}${whole.words}${log.verdict ? `, ${all.words.toLowerCase()}` : ''}.`, words),
      isText(point?.checkpoint) && [' ', save(`${name}.checkpoint`, point.checkpoint, 'Save its checkpoint', 'link')]));
  return el('article', { class: 'panel log', 'data-tenant': name },
    el('div', { class: 'bar' }, el('h2', {}, el('a', { href: listOf(term('tenant', name)) }, shown(name))),
      log.records !== null && el('span', { class: 'hint' }, counted(log.records, 'record'))),
    el('p', {}, wrong.length > 0 && [pill('bad', 'Contradicts itself'), ' '], pill(whole.tone, whole.words), log.verdict && [' ', pill(all.tone, all.words)]), details);
}

const timeOf = (registry) => { try { return signedAt(registry).time; } catch { return null; } };

/** How far a log's own newest checkpoint goes, and since when it is under a signature. */
function checkpointed(log, point, registry) {
  const size = sizeOf(point);
  if (point && !Number.isSafeInteger(size)) {
    return el('p', { class: 'finding' }, 'Its newest checkpoint is not of the form that is known.');
  }
  if (!Number.isSafeInteger(size)) return el('p', {}, 'It has no signed checkpoint of its own yet.');
  const time = registry && timeOf(registry);
  return el('p', {}, `Its newest signed checkpoint is over ${counted(size, 'record')}`, time && [', and was in force when the '
    + 'ledger was signed last, ', when(time), ` (${ago(time)})`], '.');
}

/** What a card says as a text that can be quoted: with times in UTC, where it was read, and when. */
function quote(name, verdicts, words) {
  const told = el('span', { class: 'hint', role: 'status' });
  const text = () => {
    const copy = words.cloneNode(true);
    for (const time of copy.querySelectorAll('time')) time.textContent = time.getAttribute('datetime');
    for (const line of copy.querySelectorAll('p, li')) {
      line.prepend('\n');
      line.append('\n');
    }
    const said = copy.textContent.split('\n').map((line) => line.replace(/\s+/g, ' ').trim()).filter(Boolean);
    return [`Log ${name}: ${verdicts()}`, ...said,
      `As ${location.origin} said of itself at ${new Date().toISOString()}; not verified apart from it.`, ''].join('\n');
  };
  return [el('button', { type: 'button', class: 'link', onclick: () => navigator.clipboard.writeText(text())
    .then(() => { told.textContent = ' copied'; }, () => { told.textContent = ' this browser does not let it be copied'; }) },
  'Copy these words'), told];
}

/** What was found when it was verified, and how far it is anchored now: one paragraph, each figure with its time. */
function integrity(verdict, now) {
  const all = counted(verdict.records, 'record');
  const under = verdict.anchored_records === verdict.records ? 'and all of them lay under a signed checkpoint'
    : `and ${verdict.anchored_records.toLocaleString('en')} of them lay under a signed checkpoint`;
  const said = {
    anchored: `had ${all}: each was read again, hashed, and found chained to the one before, ${under}.`,
    consistent_not_anchored: `had ${all}, which agree with each other, ${under}; for the others nothing but the log speaks.`,
    broken: `had ${all} that could be read, and not all are what was committed, in that order.`,
  }[verdict.integrity] ?? `had ${all}.`;
  return [el('p', {}, 'When it was verified, ', when(verdict.verified_at), ` (${ago(verdict.verified_at)}), this log ${said} `,
    now),
    verdict.findings.length > 0 && el('ul', { class: 'finding' }, verdict.findings.map((one) => el('li', {},
      shown(one))))];
}

/** What came since, and what of it is under a checkpoint: in numbers that can be looked up. */
function anchored(log, verdict) {
  if (log.records === null) return null;
  const open = log.records - log.published;
  const since = verdict ? log.records - verdict.records : 0;
  const more = since === 1 ? '1 more was' : `${since.toLocaleString('en')} more were`;
  const newest = since > 0 ? `Since then ${more} committed; now ` : 'Now ';
  const published = log.published > 0
    ? `records 0 to ${(log.published - 1).toLocaleString('en')} are under a signed checkpoint, and `
    : 'no record is under a signed checkpoint, and ';
  return [newest, published, open > 0 ? `${counted(open, 'newer one', 'newer ones')} not yet.` : 'none is newer.',
    log.last_ingested_at && [' The last was committed ', when(log.last_ingested_at), '.']];
}

function completeness(verdict, streams) {
  const found = verdict.completeness;
  const free = verdict.unnumbered > 0 && el('p', { class: 'hint' },
    `${counted(verdict.unnumbered, 'record')} ${verdict.unnumbered === 1 ? 'bears' : 'bear'} no number of a `
    + 'producer: of these nobody can say whether others are missing.');
  const line = ({ stream, verdict: words }) => {
    const kind = streamOf(words);
    const more = streams?.find((one) => one.stream && stream.includes(one.stream)
      && words.startsWith(String(one.verdict).split(',')[0]));
    return el('li', {}, pill(kind?.tone ?? 'plain', kind?.words ?? 'Other'), ' ', el('b', {}, shown(stream)), ' ',
      spoken(kind && words.startsWith(`${kind.begins} (`) ? words.slice(kind.begins.length + 1) : words), meaning(kind, words), gaps(more));
  };
  return [el('p', {}, found.length
    ? `${counted(found.length, 'run')} of numbered events ${found.length === 1 ? 'was' : 'were'} heard in this log.`
    : 'No producer numbered its events, so nothing is claimed about what is missing.'),
  found.length > 0 && el('ul', { class: 'streams' }, found.slice(0, CARDS_MAX).map(line)), free];
}

/** What it means that a stream did not end. */
function meaning(kind, words) {
  const heard = /last heard (\S+)/.exec(words)?.[1];
  if (kind?.begins === 'silent') {
    return el('p', { class: 'finding-warn' }, `It was last heard ${ago(heard)}, and did not say that it ended: `
      + 'whether more happened since is unknown.');
  }
  return kind?.begins === 'open' ? el('p', { class: 'hint' },
    `It goes on: it was heard ${ago(heard)}, and did not say that it ended.`) : null;
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
    stream.submitted_by && el('p', { class: 'hint' }, 'Its events were sent with the key ',
      el('code', {}, shown(stream.submitted_by)),
      stream.credentials > 1 && ` and ${counted(stream.credentials - 1, 'other', 'others')}`, '.')];
}
