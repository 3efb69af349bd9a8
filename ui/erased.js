// What a log says of erasing: of whom a record names it says so only where that record was checked as any other is.
//
// An erasure is a record of type `privacy.erased` of the same log, which only the ledger writes (spec/event.md §6), and
// which names the subjects in `data.subjects` (spec/receipt.md §3).

import { get, text } from '/ui/api.js';
import { verbatim } from '/ui/json.js';
import { held } from '/ui/leaf.js';
import { named, proven } from '/ui/prove.js';

const SAID_MAX = 100;
const CHECKED_MAX = 8;
const TYPE = 'privacy.erased';

/** Whom the leaf of a record says to be erased. */
const subjectsOf = ({ record: { event } }) => {
  const subjects = event?.event_type === TYPE ? event.data?.subjects : null;
  return Array.isArray(subjects) ? subjects : [];
};

/** The record by which the server says it, read and checked; throws with what is not so. */
async function checked({ tenant, id }, own) {
  const path = `/v1/records/${encodeURIComponent(id)}`;
  const row = await held(verbatim(await text(path, { tenant })), { tenant, id });
  if (row.differs.length) throw new Error('what the server shows of that record is not what was committed');
  const names = subjectsOf(row);
  if (!names.length) throw new Error('that record is none of an erasure');
  const { isTheirs } = await proven(row, await text(`${path}/proof`, { tenant }), own);
  return { names: new Set(names), number: row.record.sequence_number, isTheirs };
}

/** Of the records that the server names for a subject, what holds: one that is proved, and before all one that cannot be. */
function verdictOn(subject, ids, { found, number }) {
  const all = ids.map((id) => {
    const one = found.get(id) ?? { why: 'more records say such things than this page checks' };
    const isProved = Boolean(one.names?.has(subject));
    return { id, number: one.number, isProved, isTheirs: Boolean(one.isTheirs),
      // A handle is for one generation (spec/sealing.md §1): under a key that was destroyed nothing is committed any more.
      isOlder: isProved && Number(one.number) < Number(number),
      why: isProved ? '' : one.why ?? 'that record does not name this person' };
  });
  return all.find(({ isOlder }) => isOlder) ?? all.find(({ isProved }) => isProved) ?? all[0];
}

/**
 * What the log of a tenant says of these subjects, to whose values the record of this number commits, having been erased:
 * of each that the server names a record for its number and id, and whether that was proved (`isProved`, and by whose
 * key) or `why` not; `isOlder` where it was proved and cannot be. Never more than is known.
 */
export async function erasures({ tenant, number }, subjects) {
  const q = `type:${TYPE} data.subjects:${subjects.join(',')}`;
  const { records } = await get('/v1/records', { q, tenant, limit: SAID_MAX });
  const said = new Map();
  for (const row of records) {
    const id = row.record.event?.audit_id;
    if (typeof id !== 'string' || row.record.tenant_id !== tenant) continue;
    for (const subject of new Set(subjectsOf(row))) {
      if (subjects.includes(subject)) said.set(subject, [...said.get(subject) ?? [], id]);
    }
  }
  const own = said.size ? await named(tenant).catch(() => '') : '';
  // One for each before a second for any: what is said often keeps no other from being checked.
  const most = Math.max(0, ...[...said.values()].map((ids) => ids.length));
  const ids = new Set(Array.from({ length: most }, (_, at) => [...said.values()].map((all) => all[at])).flat().filter(Boolean));
  const found = new Map(await Promise.all([...ids].slice(0, CHECKED_MAX).map(async (id) => [id,
    await checked({ tenant, id }, own).catch(({ message }) => ({ why: message }))])));
  return new Map([...said].map(([subject, all]) => [subject, verdictOn(subject, all, { found, number })]));
}
