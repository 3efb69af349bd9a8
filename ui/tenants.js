// The tenants and the two verdicts on each, as far as the server's verifier has come.

import { get } from '/ui/api.js';
import { byId, el, fill, when } from '/ui/dom.js';

const INTEGRITY = {
  anchored: ['good', 'intact, anchored'],
  consistent_not_anchored: ['plain', 'consistent, not anchored'],
  broken: ['bad', 'broken'],
};

/** Shows all tenants; `choose` is called with the name of one that is clicked. */
export async function refresh(choose) {
  const { tenants } = await get('/v1/tenants');
  const cards = tenants.map((tenant) => card(tenant, choose));
  fill(byId('tenants'), cards.length ? cards : el('p', { class: 'hint' }, 'There is no log yet.'));
}

function card(tenant, choose) {
  const records = tenant.records ?? 0;
  const unit = records === 1 ? 'record' : 'records';
  return el('div', { class: 'card' },
    el('div', { class: 'bar' },
      el('button', { type: 'button', class: 'link', onclick: () => choose(tenant.tenant_id) }, tenant.tenant_id),
      el('span', { class: 'hint' }, `${records.toLocaleString('en')} ${unit}`)),
    tenant.verdict ? verdicts(tenant.verdict) : el('p', { class: 'hint' }, 'not verified yet'));
}

function verdicts(verdict) {
  const [tone, words] = INTEGRITY[verdict.integrity] ?? ['plain', verdict.integrity];
  const title = `${verdict.records} records checked at ${when(verdict.verified_at)}, `
    + `${verdict.anchored_records} under a trusted checkpoint`;
  return el('p', { class: 'verdicts' },
    el('span', { class: `pill ${tone}`, title }, words),
    ' ', completeness(verdict),
    el('span', { class: 'hint' }, ` at ${when(verdict.verified_at)}`),
    verdict.findings.map((finding) => el('span', { class: 'finding' }, finding)));
}

function completeness(verdict) {
  const bad = verdict.completeness.filter((stream) => !stream.clean);
  const all = verdict.completeness.length;
  if (bad.length) {
    return el('span', { class: 'pill bad', title: bad[0].verdict }, `${bad.length} of ${all} streams with gaps`);
  }
  if (all) return el('span', { class: 'pill good' }, `${all} streams without gaps`);
  return el('span', { class: 'pill plain', title: 'Nobody numbered these events, so there is no claim.' }, 'unnumbered');
}
