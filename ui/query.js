// A query's text, changed as a person would change it: a term put beside it, a qualifier taken out.
// What it means is the server's to say; here it is only known where its terms begin and end.

/** The terms at the top, each with where it stands: quotes and parentheses hold together. */
export function terms(text) {
  const found = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at])) {
      at += 1;
      continue;
    }
    const from = at;
    let depth = 0;
    let quoted = false;
    for (; at < text.length; at += 1) {
      const sign = text[at];
      if (sign === '\\') at += 1;
      else if (sign === '"') quoted = !quoted;
      else if (quoted) continue;
      else if (sign === '(') depth += 1;
      else if (sign === ')') depth -= 1;
      else if (depth <= 0 && /\s/.test(sign)) break;
    }
    found.push({ text: text.slice(from, at), from, to: Math.min(at, text.length) });
  }
  return found;
}

/** A value as it stands in a query: in quotes where it would be read as something else. */
export function quoted(value) {
  const text = String(value);
  const plain = /^[\p{L}\p{N}_@%+.:\/#~$-]+$/u.test(text) && !/^-|\.\./.test(text)
    && !/^(AND|OR|NOT)$/.test(text);
  return plain ? text : `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** An address; of anything else that stands in its place the server wants to be told that it is meant. */
const isAddress = (text) => /^(\d{1,3}\.){3}\d{1,3}$|^[\da-f]*:[\da-f:]*:[\da-f]*$/i.test(text);

/** A value as it stands behind a qualifier. */
export const written = (name, value) => (name === 'ip' && !isAddress(value)
  ? `"${String(value).replace(/["\\]/g, '\\$&')}"` : quoted(value));

export const term = (name, value) => `${name}:${written(name, value)}`;

const named = (text, names) => names.some((name) => new RegExp(`^-?${name.replaceAll('.', '\\.')}[:=<>!]`).test(text));

/** The query without the terms of these qualifiers at its top. */
export function without(text, ...names) {
  return terms(text).filter((one) => !named(one.text, names)).map((one) => one.text).join(' ');
}

/** What a qualifier at the top is followed by, or nothing. */
export function valueOf(text, name) {
  const found = terms(text).find((one) => one.text.startsWith(`${name}:`));
  return found ? found.text.slice(name.length + 1).replace(/^"(.*)"$/, '$1') : '';
}

/** Both: what is asked already, and this. */
export function and(text, more) {
  const parts = terms(text);
  if (parts.some((one) => one.text === more)) return text;
  const alternatives = parts.some((one) => one.text === 'OR');
  return [alternatives ? `(${text.trim()})` : text.trim(), more].filter(Boolean).join(' ');
}

/** The same with a qualifier's value set, or taken out. */
export function withValue(text, name, value) {
  const rest = without(text, name);
  return value ? and(rest, term(name, value)) : rest;
}

/** The same with the term if it is not there, else without it. */
export function toggled(text, one) {
  const rest = terms(text).filter((other) => other.text !== one);
  return rest.length < terms(text).length ? rest.map((other) => other.text).join(' ') : and(text, one);
}

export const has = (text, one) => terms(text).some((other) => other.text === one);

/** The term in which the caret stands, for completion. */
export function termAt(text, caret) {
  const found = terms(text).find((one) => one.from <= caret && caret <= one.to);
  return found ?? { text: '', from: caret, to: caret };
}

/** What can be asked for, with what it finds: `docs/query.md` has it in full. */
export const QUALIFIERS = [
  ['actor', 'who: id, name or last path segment'], ['actor.type', 'what kind of actor'],
  ['target', 'on what'], ['target.type', 'what kind of target'], ['type', 'the event type'],
  ['category', 'the category'], ['outcome', 'how it ended'], ['severity', 'how grave it is'],
  ['tenant', 'whose log'], ['since', 'happened at or after: 24h, 2026-11-20'],
  ['until', 'happened before'], ['correlation', 'the correlation id'], ['request', 'the request id'],
  ['trace', 'the trace or span id'], ['ip', 'the address, or a network'], ['email', 'an e-mail address'],
  ['session', 'the session id'], ['project', 'the project id'], ['service', 'the service that reported it'],
  ['investigation', 'the investigation id'], ['alert', 'the alert id'], ['subject', 'the handle of a person'],
  ['agent', 'the AI agent type'], ['model', 'the AI model'], ['light', 'the compliance traffic light'],
  ['proof', 'the type of proof'], ['agent-string', 'the whole user agent'], ['parent', 'the id of the parent'],
  ['id', 'the audit id, or the id of its source'], ['seq', 'numbers in the log: 10..20'],
  ['has', 'a part that is there: has:changes'], ['duration', 'how long: duration:500..2000'],
  ['tokens', 'tokens of an AI call'], ['cost', 'its cost in US dollars'], ['latency', 'how long an AI call took'],
  ['confidence', 'how sure it was, 0 to 1'], ['status', 'the HTTP status: 500..599'],
  ['ingested-since', 'committed at or after'], ['ingested-until', 'committed before'],
];

const OUTCOMES = ['success', 'failure', 'partial', 'pending', 'in_progress', 'denied', 'blocked', 'timed_out',
  'rolled_back', 'unknown'];

/** Qualifiers whose values are known without asking. */
export const KNOWN = {
  outcome: OUTCOMES,
  severity: ['debug', 'info', 'warning', 'error', 'critical'],
  'actor.type': ['user', 'agent', 'system', 'service', 'webhook', 'scheduler', 'anonymous'],
  light: ['green', 'amber', 'red'],
  since: ['15m', '1h', '24h', '7d', '4w', 'today', 'yesterday'],
  until: ['now', 'today', 'yesterday'],
  'ingested-since': ['15m', '1h', '24h', '7d'],
  has: ['changes', 'error', 'proof', 'attachment', 'personal', 'ai', 'data', 'target', 'parent'],
};

/** Qualifiers whose values the server can count. */
export const COUNTED = ['actor', 'target', 'target.type', 'type', 'category', 'service', 'agent', 'model', 'proof',
  'project', 'session', 'correlation', 'request'];
