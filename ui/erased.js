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

/**
 * What the log of a tenant says of these subjects having been erased: of each that the server names a record for its
 * number and id, and whether that was proved (`isProved`, and by whose key) or `why` not. Never more than is known.
 */
export async function erasures(tenant, subjects) {
  const q = `type:${TYPE} data.subjects:${subjects.join(',')}`;
  const { records } = await get('/v1/records', { q, tenant, limit: SAID_MAX });
  const said = new Map();
  for (const row of records) {
    const id = row.record.event?.audit_id;
    if (typeof id !== 'string' || row.record.tenant_id !== tenant) continue;
    for (const subject of subjectsOf(row)) if (subjects.includes(subject) && !said.has(subject)) said.set(subject, id);
  }
  const own = said.size ? await named(tenant).catch(() => '') : '';
  const ids = [...new Set(said.values())];
  const found = new Map(await Promise.all(ids.slice(0, CHECKED_MAX).map(async (id) => [id,
    await checked({ tenant, id }, own).catch(({ message }) => ({ why: message }))])));
  return new Map([...said].map(([subject, id]) => {
    const one = found.get(id) ?? { why: 'more records say such things than this page checks' };
    const isProved = Boolean(one.names?.has(subject));
    return [subject, { id, number: one.number, isProved, isTheirs: Boolean(one.isTheirs),
      why: isProved ? '' : one.why ?? 'that record does not name this person' }];
  }));
}
