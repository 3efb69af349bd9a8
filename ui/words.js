// An event as a sentence: who did what to what, and how it ended, from its fields alone.

import { el, shown } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';

const CHARS_MAX = 60;

// Verbs that events are named by, in the two forms that a sentence needs. Where one is not here the
// sentence says the name of the event as it stands, rather than words that nobody wrote.
const VERBS = `abort aborted|accept accepted|acknowledge acknowledged|add added|approve approved|archive archived
assign assigned|attach attached|authenticate authenticated|block blocked|call called|cancel cancelled
capture captured|challenge challenged|change changed|check checked|classify classified|close closed|commit committed
complete completed|configure configured|confirm confirmed|connect connected|copy copied|create created
decline declined|delete deleted|deliver delivered|deny denied|deploy deployed|detach detached|disable disabled
download downloaded|edit edited|enable enabled|end ended|erase erased|escalate escalated|execute executed
export exported|fail failed|find found|finish finished|generate generated|get read|grant granted|import imported
install installed|invite invited|invoke invoked|issue issued|list listed|lock locked|log logged|login signed in
logout signed out|lose lost|merge merged|move moved|open opened|pay paid|place placed|post posted|publish published
put wrote|query queried|read read|receive received|refund refunded|register registered|reject rejected
release released|remove removed|rename renamed|request requested|reset reset|resolve resolved|restore restored
retrieve retrieved|revoke revoked|rotate rotated|run ran|scan scanned|schedule scheduled|search searched|send sent
share shared|start started|stop stopped|submit submitted|suspend suspended|sync synced|test tested|transfer transferred
update updated|upload uploaded|use used|validate validated|verify verified|view viewed|write wrote`
  .split(/[|\n]/).map((pair) => [pair.slice(0, pair.indexOf(' ')), pair.slice(pair.indexOf(' ') + 1)]);
const PAST = new Map(VERBS);
const BASE = new Map(VERBS.map(([base, past]) => [past, base]));
const INFINITIVE = { login: 'sign in', logout: 'sign out', get: 'read' };

/** The verb of an event type in both forms, or nothing. `s3.GetObject` and `object.viewed` have one. */
function verb(type) {
  const last = type.split('.').at(-1).replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase().split(/[ _]/);
  for (const word of [last[0], last.at(-1)]) {
    if (PAST.has(word)) return { past: PAST.get(word), base: INFINITIVE[word] ?? word };
    if (BASE.has(word)) return { past: word, base: BASE.get(word) };
  }
  return null;
}

const MASKED = 'The shape of a personal value, and the server\u2019s word: only the value itself could be checked';
const bold = (value) => el('b', isMasked(value) ? { class: 'shape', title: MASKED } : {}, el('bdi', {}, shown(short(value))));
const short = (value) => (value.length > CHARS_MAX ? `${value.slice(0, CHARS_MAX)}…` : value);

/** Which field names it: the first that says more than a shape, else the first. */
function naming(one, fields) {
  const said = fields.filter((field) => one?.[field]);
  return said.find((field) => !isMasked(one[field])) ?? said[0];
}
const namesActor = (actor) => naming(actor, ['name', 'id']);
const namesTarget = (target) => naming(target, ['name', 'id', 'uid']);

/** Who: a name that people know, and the system and nobody called so. */
export function who(actor) {
  const field = namesActor(actor);
  if (field) return String(actor[field]);
  return actor?.type === 'anonymous' ? 'somebody unknown' : actor?.type || 'somebody not named';
}

export const what = (target) => String(target?.[namesTarget(target)] || target?.type || '');

/** The fields by which a sentence names who did it and to what. */
export const named = ({ actor, target }) => [['actor', namesActor(actor)], ['target', namesTarget(target)]]
  .filter(([, field]) => field).map((path) => path.join('.'));

/** How a verb stands with how it ended. */
function told(verb, outcome) {
  switch (outcome) {
    case 'denied': return [`was not allowed to ${verb.base}`, ''];
    case 'blocked': return [`was kept from trying to ${verb.base}`, ''];
    case 'failure': return [`tried to ${verb.base}`, ': it failed'];
    case 'timed_out': return [`tried to ${verb.base}`, ': it took too long'];
    case 'pending': return [`waits to ${verb.base}`, ''];
    case 'in_progress': return [`began to ${verb.base}`, ''];
    case 'partial': return [verb.past, ', in part'];
    case 'rolled_back': return [verb.past, ', which was rolled back'];
    case 'unknown': return [verb.past, ': how it ended is unknown'];
    default: return [verb.past, ''];
  }
}

/** The sentence as nodes; who and what stand out. */
export function sentence({ type, actor, target, kind, outcome }) {
  const found = verb(type ?? '');
  const on = target && bold(target);
  const subject = el('span', { class: 'subject' }, bold(actor), ' ');
  if (!found) {
    const ended = outcome && outcome !== 'success' ? `: ${outcome.replaceAll('_', ' ')}` : '';
    return [subject, shown(short(type || 'did something')), on && [' · ', on], ended];
  }
  const [does, end] = told(found, outcome);
  const isBare = !on || (kind === 'session' && /^sign/.test(found.base));
  const object = !isBare && (kind && !target.startsWith(kind) ? ['the ', shown(short(kind)), ' ', on] : on);
  return [subject, does, object && [' ', object], end];
}
