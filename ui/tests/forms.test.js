// A server whose answers have a form that nobody knows, or that contradict each other: one bad part is one bad part, and
// what cannot be true together is said.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Place, browser, until, visit } from './support.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const NOT_WORDS = /undefined|NaN|object Object|not iterable|is not a function|Unexpected token|JSON at|Cannot read/;
const FAILED = ['Failed to load resource'];

let place;
let closed;
let chrome;
before(async () => {
  place = new Place();
  closed = new Place();
  chrome = await browser();
  await place.serve();
  await closed.serve();
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  const node = { event_type: 'agent.plan.finished', actor: { type: 'agent', id: 'agent:reviewer' },
    context: { request_id: 'run-1' }, ai: { agent_type: 'reviewer', trace: { node: 'plan' } } };
  await place.send([...Array.from({ length: 12 }, (_, n) => ({ occurred_at: at(n * 30 + 2), outcome: n % 3 ? 'success' : 'denied',
    actor: { type: 'user', id: `user-${n % 4}`, ip: `192.0.2.${n % 5}` } })), node]);
  await place.send([{}], 'globex');
  await closed.make({ role: 'admin', tenants: '*' });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
  await closed?.remove();
});

/** Opens a page at a server that changes what it answers at a path. */
const changing = (which, change, path, look, options = {}) => visit(chrome, place, { path: '/docs', expected: FAILED, ...options },
  async (page) => {
    await page.route((url) => which.test(url.pathname + url.search), async (route) => {
      const json = await (await route.fetch()).json();
      await route.fulfill({ json: change(json) ?? json });
    });
    await page.goto(place.url + path);
    await look(page);
  });

const TRUST = '/?page=trust';
for (const [name, which, change, path, title, stays] of [
  ['a snapshot that is none', /^\/v1\/checkpoints/, (json) => { json.registry.snapshot = 'no'; }, TRUST, 'The newest checkpoint',
    '.log[data-tenant=acme] .words'],
  ['a log without a form', /^\/v1\/tenants/, (json) => { json.tenants.find((one) => one.tenant_id === 'globex').verdict = {}; }, TRUST,
    null, '.log[data-tenant=acme] .words'],
  ['a log that is null', /^\/v1\/tenants/, (json) => { json.tenants[1] = null; }, TRUST, null, '.log .words'],
  ['checkpoints of logs that are none', /^\/v1\/checkpoints/, (json) => { json.tenants = [null, { tenant_id: 'acme', checkpoint: 7 }]; },
    TRUST, null, '.log[data-tenant=globex] .words'],
  ['streams that are none', /^\/v1\/streams/, (json) => { json.streams = [{}]; }, '/?page=admin', 'Streams', 'text=server.listen'],
  ['settings that are none', /^\/v1\/configuration/, (json) => { json.settings = [null]; }, '/?page=admin', 'Configuration in force',
    'text=Make its log'],
  ['nodes that are a number', /^\/v1\/.*\/related/, (json) => { json.execution.nodes = 5; }, '/?page=traces&tenant=acme&execution=run-1', 'Nodes',
    '.lanes'],
  ['counts that are none', /^\/v1\/counts.*denied/, () => ({ total: 3, counted: { exact: true }, facets: [{}] }), '/?page=overview', 'Denied',
    '.figure >> text=Committed'],
  ['newest records that are none', /^\/v1\/records/, (json) => { delete json.records[0].record.event; }, '/?page=overview',
    'From event to log', '.figure >> text=Committed'],
]) {
  test(`${name}: the rest of the page stays, and that part says in words who answered so`, async () => {
    await changing(which, change, path, async (page) => {
      await page.locator(stays).first().waitFor();
      const bad = title ? page.getByRole('region', { name: title, exact: true }).filter({ hasText: /form that this page does not know/ })
        : page.locator('#other').getByText(/not of the form that is known/).first();
      await bad.first().waitFor();
      if (title) assert.match(await bad.first().textContent(), /\/v1\//, 'who answered is named');
      assert.equal(await page.locator('#error').isVisible(), false, 'the page is there');
      assert.doesNotMatch(await page.locator('main').innerText(), NOT_WORDS);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((each) => each.html).join(' ')}`), []);
    });
  });
}

test('a row of another form says that it is one, and the others are as ever', async () => {
  for (const [width, columns] of [[1280, ''], [390, ''], [1280, '&columns=time,event,number']]) {
    await changing(/^\/v1\/records/, (json) => {
      json.records[1].record.event = {};
      json.records[2].record.event.actor = 'me';
      json.records[3].record.event.target = { id: { a: 1 } };
      delete json.records[4].record.sequence_number;
    }, `/?live=off&q=tenant:acme${columns}`, async (page) => {
      await page.locator('#rows tr').nth(12).waitFor();
      assert.equal(await page.locator('#rows').getByText(columns ? 'no known form' : 'This row is not of a form that is known').count(), 4);
      const text = await page.locator('#table').innerText();
      assert.match(text, columns ? /no known form/ : /This row is not of a form that is known/);
      assert.doesNotMatch(text, /somebody not named|object Object|NaN|undefined|Invalid/);
    }, { width, height: 1400 });
  }
});

test('without a key every page has its heading, and says what the list says', async () => {
  await visit(chrome, closed, { path: '/', expected: FAILED }, async (page) => {
    for (const [name, heading] of [['overview', 'Overview'], ['trust', 'Trust'], ['traces', 'Agent traces'], ['admin', 'Administration']]) {
      await page.goto(`${closed.url}/?page=${name}`);
      await page.getByRole('heading', { level: 1, name: heading }).waitFor();
      const other = page.locator('#other');
      await other.getByText('No records without a key').waitFor();
      assert.match(await other.textContent(), /indelible keys create --role reader/);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(violations.map(({ id }) => id), []);
    }
    // Whoever goes elsewhere without one is told there.
    await page.getByRole('link', { name: 'Trust' }).click();
    await page.getByRole('heading', { level: 1, name: 'Trust' }).waitFor();
    await page.getByRole('link', { name: 'Records' }).click();
    await page.locator('#empty').getByText('No records without a key').waitFor();
    assert.equal(await page.locator('#other').isVisible(), false);
  });
});

const COUNTED = { by: 'records', exact: false, looked_at: 5, of: 900 };
test('where the server says that it is not exact each part says so once, and nothing is said flatly', async () => {
  const about = 'These counts are not exact: they are of the newest 5 of 900, which were looked at.';
  await changing(/^\/v1\/counts/, (json) => { json.counted = COUNTED; }, '/?page=overview', async (page) => {
    await page.locator('.top-list').first().waitFor();
    for (const title of ['By hour', 'Who did most', 'What was done most', 'Who was denied most', 'Addresses seen for the first time']) {
      const part = page.locator('section.panel', { has: page.getByRole('heading', { name: title, exact: true }) });
      assert.equal(await part.getByText(about).count(), 1, title);
    }
    assert.match(await page.locator('.hours .ends').textContent(), /about \d+ records? in the fullest hour/);
    await page.getByText(/were in no record that happened before, as far as was counted: not all records were/).waitFor();
  });
  await changing(/^\/v1\/counts/, (json) => { json.counted = COUNTED; }, '/?live=off', async (page) => {
    await page.locator('#facets section').first().waitFor();
    assert.equal(await page.locator('#facets').getByText(about).count(), 1);
    assert.equal(await page.locator('#histogram').getByText(about).count(), 1);
  });
  await visit(chrome, place, { path: '/?page=overview' }, async (page) => {
    await page.locator('.top-list').first().waitFor();
    assert.doesNotMatch(await page.locator('#other').textContent(), /about|not exact/);
  });
});

const log = (more) => ({ tenant_id: 'acme', log_id: '00', records: 3, published: 3, last_ingested_at: '2026-03-01T10:00:00Z',
  verdict: null, ...more });
for (const [name, logs, tenant, signed, summary, card] of [
  ['more are signed for than there are', { all: 1, anchored: 0, broken: 0 }, { published: 99 }, 99, /contradicts itself/,
    /The log has 3 records, and 99 are said to be under a signed checkpoint\./],
  ['more are signed for than the checkpoint is over', { all: 1, anchored: 0, broken: 0 }, { records: 99, published: 99 }, 10, /contradicts itself/,
    /Its newest signed checkpoint is over 10 records, and 99 are said to be under one\./],
  ['more were read than there are', { all: 1, anchored: 1, broken: 0 }, { verdict: { verified_at: '2026-03-01T10:00:00Z', records: 7,
    anchored_records: 8, integrity: 'anchored', findings: [], unnumbered: 0, completeness: [] } }, 3, /contradicts itself/,
    /verifier is said to have read 7\..*7 records were read, and 8 of them/],
  ['more are anchored than there are', { all: 1, anchored: 5, broken: 0 }, {}, 3, /The server counts 1 log, of which 5 are anchored and 0 broken\./, null],
  ['another number of logs is named', { all: 4, anchored: 0, broken: 0 }, {}, 3, /The server counts 4 logs, and names 1\./, null],
  ['nothing contradicts', { all: 1, anchored: 0, broken: 0 }, {}, 5, null, null],
]) {
  test(`trust: ${name}`, async () => {
    await visit(chrome, place, { path: '/docs', width: 390 }, async (page) => {
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.route('**/v1/tenants?*', (route) => route.fulfill({ json: { tenants: [log(tenant)], logs, next_cursor: null } }));
      await page.route('**/v1/checkpoints?*', (route) => route.fulfill({ json: { registry: null, next_cursor: null,
        tenants: [{ tenant_id: 'acme', checkpoint: `audit.example\n${signed}\nAAAA\n` }] } }));
      await page.goto(place.url + TRUST);
      await page.locator('.log').waitFor();
      const ledger = page.getByRole('region', { name: 'The ledger' });
      await until(async () => /Copy these words/.test(await page.locator('.log').textContent()), 'the card');
      const red = ledger.locator('.verdict.bad');
      if (summary) assert.match(await red.textContent(), summary);
      else assert.equal(await page.locator('.verdict.bad').count(), 0);
      const own = page.locator('.log .verdict.bad');
      assert.equal(await own.count(), card ? 1 : 0);
      if (!card) return;
      assert.match(await own.textContent(), card);
      assert.ok(await own.isVisible(), 'it is not folded');
      assert.equal(await page.locator('.log .pill').first().textContent(), 'Contradicts itself');
      if (tenant.published > 3) assert.doesNotMatch(await page.locator('.log').textContent(), /records 0 to 98/);
    });
  });
}

test('copied words stand in lines of their own, and a loss that was declared is said once', async () => {
  const verdict = { verified_at: '2026-03-01T10:00:00Z', records: 3, anchored_records: 3, integrity: 'anchored', findings: [], unnumbered: 0,
    completeness: [{ stream: 'globex-app', verdict: 'declared loss (6, queue full) · open to 9, last heard 2026-03-01T10:00:00.502781Z' }] };
  const streams = [{ tenant_id: 'acme', stream: 'globex-app', verdict: verdict.completeness[0].verdict, lost: [[1, 6, 'queue full']], gaps: [] }];
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.route('**/v1/tenants?*', (route) => route.fulfill({ json: { tenants: [log({ verdict })], logs: { all: 1, anchored: 1, broken: 0 },
      next_cursor: null } }));
    await page.route('**/v1/streams?*', (route) => route.fulfill({ json: { streams, behind: 0, next_cursor: null } }));
    await page.goto(place.url + TRUST);
    const item = page.locator('.streams li').first();
    await item.getByText(/The producer declared as lost/).waitFor();
    assert.match(await item.textContent(), /^Declared loss globex-app \(6, queue full\) · open to 9, last heard/);
    await page.getByRole('button', { name: 'Copy these words' }).click();
    await page.getByText('copied').waitFor();
    const lines = (await page.evaluate(() => navigator.clipboard.readText())).trim().split('\n');
    assert.ok(lines.includes('Declared loss globex-app (6, queue full) · open to 9, last heard 2026-03-01T10:00:00.502781Z'), lines.join('\n'));
    assert.ok(lines.includes('The producer declared as lost: 1 to 6 (queue full).'), lines.join('\n'));
  });
});
