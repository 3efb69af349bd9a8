// What of a record cannot be read, which it is, and why: sealed, masked, erased, pruned. From the record and its
// leaf alone, and what a log says of erasures; it asks nobody and runs in node as it does in a browser.

import { pathName, verbatim } from './json.js';

const MARKS = { '[email]': 'an e-mail address', '[phone]': 'a phone number', '[ip]': 'an IP address' };
const MARK = /\[(?:email|phone|ip)\]/g;

/** Every value with its path; an object or list without any is one too. */
export function walk(value, path = []) {
  if (value === null || typeof value !== 'object') return [[path, value]];
  const inner = Object.entries(value);
  return path.length && !inner.length ? [[path, value]] : inner.flatMap(([name, one]) => walk(one, [...path, name]));
}

/** Whether of a value only its shape is shown. */
export const isMasked = (value) => typeof value === 'string' && value.includes('***');

const at = (value, path) => path.reduce((inner, name) => inner?.[name], value);

/** Whether values of a subject are shown, whatever they are worth. */
const isShown = ({ state }) => state === 'checked' || state === 'unchecked';

/** The handles of those whose values the leaf commits to and the page does not show. */
export const unshown = ({ subjects }) => [...subjects].filter(([, one]) => !isShown(one)).map(([subject]) => subject);

/** What is to be said of one whose values are not shown. `said` is what the log says of erasing them. */
function ofSubject({ state, why }, said, { number, isCustomer }) {
  if (state === 'refused') return { state: 'sealed', why: `Personal values of this person are not shown: ${why}.` };
  if (said?.isProved && said.isOlder) {
    return { state: 'contradiction', by: said.id, why: `Record ${said.number} of this log, which is proved, says that the key of `
      + `this person was destroyed. This record, number ${number}, was committed later, to values under that same key. Both cannot `
      + 'be: who keeps these values back can do so still, and the log has to be looked into.' };
  }
  if (said?.isProved) {
    return { state: 'erased', by: said.id,
      why: `Erased, proved by record ${said.number} of this log, under the key that ${said.isTheirs ? 'you gave' : 'the log names'}: `
      + 'the key of this person was destroyed, and nobody can read these values again. The commitment to them stays, so '
      + 'that every proof holds.' };
  }
  if (said) {
    return { state: 'sealed', by: said.id, why: `The server says that this person was erased. That is not proved: ${said.why}. It `
      + 'shows none of these values.' };
  }
  if (state === 'masked') {
    return { state: 'masked', why: `Personal values of this person are kept beside the log. ${isCustomer ? 'This view' : 'The role of '
      + 'this key'} sees no more than their shapes, where the server shows any: that is its word.` };
  }
  return { state: 'sealed', why: 'Personal values of this person are kept beside the log, encrypted under a key of theirs. The server '
    + 'says that it has none to open them by: that is its word, and no proof.' };
}

/**
 * The states of a record, as `leaf.js` holds it: one of `sealed`, `masked`, `erased`, `pruned` each, with where and why,
 * or `contradiction`. Of each whose values are not shown it says so. `erased` has the subjects that the server says were
 * erased (`erased.js`), each with the record that it says so by, and whether that was proved: only then it is told as
 * what is. `by` is the id of that record. A customer has no key and no role.
 */
export function states({ record, leaf, personal, subjects }, erased = new Map(), isCustomer = false) {
  if (!leaf || !record?.event) {
    return [{ state: 'pruned', where: 'the record', why: 'The server says that its content was removed when its time to be '
      + 'kept was over. Its hash, its id and its place in the log stay, and with them every proof.' }];
  }
  const { event: inLeaf, ledger } = verbatim(leaf);
  const found = unshown({ subjects }).map((subject) => ({ where: subject,
    ...ofSubject(subjects.get(subject), erased.get(subject), { number: record.sequence_number, isCustomer }) }));
  for (const [path, value] of walk(record.event)) {
    if (path[0] === 'sealed' || typeof value !== 'string') continue;
    const pointer = pathName(path);
    if (value === '[sealed]') {
      found.push({ state: 'sealed', where: pointer,
        why: 'An item of a list that is a personal value and kept beside the log.' });
    } else if (typeof at(inLeaf, path) === 'string' && at(inLeaf, path) === value && MARK.test(value)) {
      const kinds = [...new Set(value.match(MARK))].map((mark) => MARKS[mark]);
      found.push({ state: 'masked', where: pointer,
        why: `In this text stands a mark in the place of ${kinds.join(' and ')}. `
        + 'The whole text is sealed.' });
    } else if (personal.get(pointer) === 'masked') {
      found.push({ state: 'masked', where: pointer,
        why: isCustomer ? 'A personal value. This view shows its shape alone, as the server says.'
          : 'As the server says, a personal value, of which the role of this key sees the shape. '
          + 'A privacy officer sees all of it.' });
    }
    MARK.lastIndex = 0;
  }
  for (const pointer of ledger?.redactions ?? []) {
    found.push({ state: 'masked', where: pointer || 'the event',
      why: 'A secret stood here, and was taken out before the '
      + 'event was committed. It is kept nowhere.' });
  }
  return found;
}
