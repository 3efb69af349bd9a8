// What the key in use may do, asked once for each key. What it does not allow is not asked for: it would be refused,
// and a refusal is recorded (docs/server.md, “Who read what”).

import { get, isViewer, key } from '/ui/api.js';

const VIEWER = { role: 'viewer', may: new Set(['read']), tenants: null };
/** Roles that see personal values as they are (docs/server.md, “Personal values”). */
const SEE_WHOLE = new Set(['privacy_officer', 'admin']);

let known = { of: undefined, answer: null };

/** The role, what it may, and the tenants that it is bound to, null for all. Throws what a call throws. */
export function access() {
  // A viewer's token is for records and their proofs; no other route takes it.
  if (isViewer()) return Promise.resolve(VIEWER);
  const of = key();
  if (known.answer === null || known.of !== of) {
    const answer = get('/v1/access').then(({ role, may, tenants }) => ({ role, may: new Set(may), tenants: tenants ?? null }));
    known = { of, answer };
    // What could not be read is asked for again.
    answer.catch(() => { if (known.answer === answer) known = { of: undefined, answer: null }; });
  }
  return known.answer;
}

/** Whether who has this access is shown personal values as they are. */
export const seesWhole = ({ role }) => SEE_WHOLE.has(role);

/** A role as people say it. */
export const roleOf = ({ role }) => String(role).replaceAll('_', ' ');
