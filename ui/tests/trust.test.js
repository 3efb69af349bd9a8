// Trust and traces, of ledgers whose state is known: the worst first, in words, and each log by itself.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

let place;
let chrome;
const AT = Date.parse('2026-03-01T10:00:00Z');
const time = (ms) => new Date(AT + ms).toISOString();
const step = (node, ms, more = {}) => ({ event_type: `agent.${node}.finished`, occurred_at: time(ms),
  actor: { type: 'agent', id: `agent:${more.agent ?? 'reviewer'}` }, target: { type: 'document', id: 'plan-7' },
  context: { request_id: 'run-1' }, performance: { duration_ms: 2000 },
  ai: { agent_type: more.agent ?? 'reviewer', trace: { node, ...more.trace } } });

before(async () => {
  place = new Place();
  chrome = await browser();
  await place.serve();
  await place.send([step('plan', 0), step('review', 3_600_000 * 11, { trace: { checkpoint_id: 'cp-2',
    parent_checkpoint_id: 'cp-1', replay_url: 'https://graph.example/replay?from=cp-2' } }),
  step('write', 3_600_000 * 11 + 1000, { trace: { replay_url: 'javascript:alert(1)' } })], 'acme');
  await place.send([step('plan', 60_000, { agent: 'other' })], 'globex');
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

test('an execution is one of its log: the list and the address say which, and another with its id is told', async () => {
  await visit(chrome, place, { path: '/?page=traces' }, async (page) => {
    await page.locator('.executions li').nth(1).waitFor();
    const lines = await page.locator('.executions li').evaluateAll((all) => all.map((one) =>
      [...one.children].map((part) => part.textContent)));
    assert.deepEqual(lines.map(([id, agent, tenant, outcome, , count]) => [id, agent, tenant, outcome, count]),
      [['run-1', 'reviewer', 'acme', 'success', '3 records'], ['run-1', 'other', 'globex', 'success', '1 record']]);
    await page.locator('.executions a').nth(1).click();
    const head = page.getByRole('region', { name: 'Execution' });
    await head.getByText('other', { exact: true }).waitFor();
    assert.deepEqual(['tenant', 'execution'].map((name) => new URL(page.url()).searchParams.get(name)), ['globex', 'run-1']);
    assert.match(await head.textContent(), /Logglobex/);
    await page.getByText('Another log has an execution with the same id').getByRole('link', { name: 'acme' }).click();
    await head.getByText('reviewer', { exact: true }).waitFor();
    await page.goto(`${place.url}/?page=traces&execution=run-1`);
    await page.getByText('2 logs have an execution run-1').waitFor();
    assert.deepEqual(await page.locator('.executions a').allTextContents(), ['acme', 'globex']);
  });
});

test('what no record says of tokens, cost and work is left out, and not told as nothing', async () => {
  const bare = ({ performance, ai: { agent_type, trace }, ...rest }) => ({ ...rest, ai: { agent_type, trace } });
  await place.send([bare(step('plan', 0)), bare(step('write', 1000))].map((one) => ({ ...one, context: { request_id: 'run-bare' } })), 'bare');
  await visit(chrome, place, { path: '/?page=traces&tenant=bare&execution=run-bare' }, async (page) => {
    const head = page.getByRole('region', { name: 'Execution' });
    await head.waitFor();
    assert.match(await head.textContent(), /From first record to last1\.00 s.*Records2/);
    await page.locator('.node', { hasText: 'Of time, models, tokens and cost nothing is said.' }).waitFor();
    assert.deepEqual(await page.locator('.nodes .hint').allTextContents(), ['1 record', '1 record']);
    assert.doesNotMatch(await page.locator('#other').textContent(), /Tokens|Cost|Time at work|\b0 ms|\$0|duration/);
  });
  // What is said of some is told, and of those alone.
  await visit(chrome, place, { path: '/?page=traces&tenant=globex&execution=run-1' }, async (page) => {
    const head = page.getByRole('region', { name: 'Execution' });
    await head.waitFor();
    assert.match(await head.textContent(), /Time at work2\.00 s/);
    assert.doesNotMatch(await head.textContent(), /Tokens|Cost/);
  });
});

test('waiting is not work: what an execution took says both, and bars are as long as the work', async () => {
  for (const width of [1280, 390]) {
    await visit(chrome, place, { path: '/?page=traces&tenant=acme&execution=run-1', width }, async (page) => {
      const head = page.getByRole('region', { name: 'Execution' });
      await head.waitFor();
      assert.match(await head.textContent(), /Time at work6\.00 sFrom first record to last11\.0 h/);
      await page.getByText(/11\.0 h of waiting between them is not drawn/).waitFor();
      const bars = await page.locator('.lane').evaluateAll((all) => all.map((lane) => {
        const [whole, bar] = [lane, lane.firstChild].map((one) => one.getBoundingClientRect());
        return [(bar.left - whole.left) / whole.width, bar.width / whole.width];
      }));
      assert.equal(bars.length, 3);
      for (const [left, share] of bars) assert.ok(left >= 0 && share > 0.3 && left + share < 1.01, JSON.stringify(bars));
      assert.ok(bars[1][0] < bars[2][0] && bars[2][0] < bars[1][0] + bars[1][1], 'what was at once overlaps');
      const tags = await page.locator('.lanes .tag').evaluateAll((all) => all.map((tag) => {
        const [own, around] = [tag, tag.parentElement].map((one) => one.getBoundingClientRect());
        return own.width > 20 && own.right <= around.right + 1;
      }));
      assert.deepEqual(tags, [true, true, true], 'no tag is cut');
    });
  }
});

test('a node has its checkpoint, and a link to replay from it where its producer says one', async () => {
  await visit(chrome, place, { path: '/?page=traces&tenant=acme&execution=run-1' }, async (page) => {
    const node = page.getByRole('region', { name: 'Node' });
    await page.locator('.nodes button', { hasText: 'review' }).click();
    const link = node.getByRole('link', { name: 'Replay from this checkpoint' });
    await link.waitFor();
    assert.equal(await link.getAttribute('href'), 'https://graph.example/replay?from=cp-2');
    assert.match(await node.textContent(), /checkpointcp-2goes on fromcp-1/);
    await page.locator('.nodes button', { hasText: 'write' }).click();
    await node.getByText('agent.write.finished').waitFor();
    assert.equal(await link.count(), 0, 'what is no address of the web is no link');
    await page.route(/\/v1\/records\/[^/?]+\?/, async (route) => {
      const json = await (await route.fetch()).json();
      json.record.event.ai.reasoning = 'it was told so';
      await route.fulfill({ json });
    });
    await page.locator('.nodes button', { hasText: 'review' }).click();
    await node.getByText('What the server shows is not what was committed: ai.reasoning').waitFor();
    assert.ok(!(await node.textContent()).includes('it was told so'), 'what a node did is what its leaves say');
  });
});

test('what a node took is what its leaves say, and the server\u2019s word is told as that', async () => {
  const at = '/?page=traces&tenant=acme&execution=run-1';
  await visit(chrome, place, { path: at }, async (page) => {
    const node = page.getByRole('region', { name: 'Node' });
    await node.getByText('Summed from the leaves of 1 record.').waitFor();
    assert.match(await node.locator('dl').first().textContent(), /^duration2\.00 s/);
    assert.equal(await node.locator('.verdict').count(), 0);
    await page.getByText(/These figures, those of the nodes and the tree in time are the server.s word/).waitFor();
    // A server that says other sums than its records.
    const lie = { does: () => {} };
    await page.route(/\/related\?/, async (route) => {
      const json = await (await route.fetch()).json();
      lie.does(json.execution);
      await route.fulfill({ json });
    });
    lie.does = ({ nodes: [first] }) => Object.assign(first, { tokens: 9_000_000, cost_usd: 123, models: ['small-1'], duration_ms: 1 });
    await page.goto(place.url + at);
    await node.locator('.verdict.bad', { hasText: 'What the server says of this node is not what its records say: duration 1 ms, '
      + 'models small-1, tokens 9,000,000, cost $123.00.' }).waitFor();
    assert.match(await node.locator('dl').first().textContent(), /^duration2\.00 s$/);
    // A node of which not all records are here has the server's figures, marked as such.
    lie.does = ({ nodes: [first] }) => { first.records = 40; };
    await page.goto(place.url + at);
    await node.locator('.unproved', { hasText: /These are the server.s word, for 40 records/ }).waitFor();
    // A record of another node is none of this one.
    lie.does = ({ nodes, records }) => {
      nodes[0].records = 2;
      records.find((one) => one.node === 'review').node = 'plan';
    };
    await page.goto(place.url + at);
    await node.getByText('The server says that a record is of this node, and its leaf does not.').waitFor();
    assert.equal(await node.locator('article').count(), 1);
  });
});

const verdict = (integrity, ...completeness) => ({ verified_at: time(0), records: 972, anchored_records: 970, integrity,
  findings: integrity === 'broken' ? ['link-broken at 7'] : [], unnumbered: completeness.length ? 0 : 12,
  completeness: completeness.map((words, at) => ({ stream: `app-${at}`, verdict: words, clean: false })) });
const log = (tenant_id, ...words) => ({ tenant_id, log_id: '00', records: 984, published: 984,
  last_ingested_at: time(1000), verdict: verdict(...words) });

test('the worst log stands first, what is missing is counted, and what is well is folded on a phone', async () => {
  const lately = new Date().toISOString();
  const tenants = [log('_system', 'anchored'), log('a-well', 'anchored', `open to 5, last heard ${lately}`),
    log('b-complete', 'anchored', 'complete to 19 (clean end)'), log('c-silent', 'anchored', `open to 5, last heard ${time(0)}`),
    log('d-loss', 'anchored', `declared loss (6, queue full) · open to 9, last heard ${lately}`),
    log('e-gap', 'anchored', 'undeclared gap (1, 4)'), log('f-broken', 'broken', 'complete to 19 (clean end)'),
    log('g-loose', 'consistent_not_anchored', 'complete to 1 (clean end)'), log('h-bare', 'anchored')];
  const answer = { tenants, logs: { all: 9, anchored: 7, broken: 1 }, next_cursor: null };
  for (const width of [1280, 390]) {
    await visit(chrome, place, { path: '/docs', width }, async (page) => {
      await page.route('**/v1/tenants?*', (route) => route.fulfill({ json: answer }));
      await page.route('**/v1/checkpoints?*', (route) => route.fulfill({ json: { registry: null, tenants: [], next_cursor: null } }));
      await page.goto(`${place.url}/?page=trust`);
      await page.locator('.log').nth(8).waitFor();
      const names = () => page.locator('.log').evaluateAll((all) => all.map((one) => one.dataset.tenant));
      assert.deepEqual(await names(), ['f-broken', 'e-gap', 'd-loss', 'c-silent', 'g-loose', 'h-bare', 'a-well',
        'b-complete', '_system']);
      const ledger = await page.getByRole('region', { name: 'The ledger' }).locator('.pill').allTextContents();
      assert.deepEqual(ledger.slice(0, 5), ['1 log of 9 broken', '1 log with an undeclared gap', '1 log with a declared loss',
        '1 log with a silent producer', '2 logs with unnumbered records']);
      const card = (name) => page.locator(`.log[data-tenant="${name}"]`);
      const pills = (name) => card(name).locator('.bar + p .pill').allTextContents();
      assert.deepEqual(await pills('c-silent'), ['Intact, anchored', 'Silent']);
      assert.deepEqual(await pills('a-well'), ['Intact, anchored', 'Open']);
      assert.deepEqual(await pills('b-complete'), ['Intact, anchored', 'Complete']);
      const words = await card('d-loss').locator('details').textContent();
      assert.match(words, /this log had 972 records: .* and 970 of them lay under a signed checkpoint\. Since then 12 more were committed; now records 0 to 983 are under a signed checkpoint, and none is newer\./);
      const isOpen = (name) => card(name).locator('details').evaluate((details) => details.open);
      assert.deepEqual([await isOpen('e-gap'), await isOpen('a-well')], [true, width > 640]);
      if (width > 640) return;
      assert.ok(await page.evaluate(() => document.documentElement.scrollHeight) < 4000, 'the page is short');
      await card('a-well').getByText('In words').click();
      const before = await card('a-well').elementHandle();
      await page.evaluate(() => window.dispatchEvent(new Event('address')));
      await until(() => before.evaluate((one) => !one.isConnected), 'the page to read anew');
      assert.equal(await isOpen('a-well'), true, 'what was unfolded stays so');
    });
  }
});

test('what a log\u2019s card says is copied as a text with its times, the place and the date, and names the checkpoint\u2019s age', async () => {
  await visit(chrome, place, { path: '/docs', expected: [] }, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const card = page.locator('.log[data-tenant="acme"]');
    await until(async () => {
      await page.goto(`${place.url}/?page=trust`);
      await card.waitFor();
      return /Intact, anchored/.test(await card.textContent());
    }, 'the log to be verified');
    await until(async () => /The last verification was .* ago\), the one of the log that waits longest/.test(
      await page.getByRole('region', { name: 'The ledger' }).textContent()), 'the last verification');
    assert.match(await card.textContent(), /Its newest signed checkpoint is over 4 records, and was in force when the ledger was signed last, .* ago\)\./);
    await card.getByRole('button', { name: 'Copy these words' }).click();
    await card.getByText('copied').waitFor();
    const lines = (await page.evaluate(() => navigator.clipboard.readText())).trim().split('\n');
    assert.equal(lines[0], 'Log acme: Intact, anchored, unnumbered.');
    assert.match(lines[1], /^When it was verified, \d{4}-\d\d-\d\dT[\d:.]+Z \(\d+ s ago\), this log had 4 records: each was read again, hashed, and found chained/);
    assert.match(lines.at(-1), new RegExp(`^As ${place.url} said of itself at \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z; not verified apart from it\\.$`));
  });
});

test('a log that is not there is told so, and no more is asked of it', async () => {
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    const asked = [];
    page.on('request', (request) => { if (/no-such/.test(request.url()) && /\/v1\//.test(request.url())) asked.push(request.url()); });
    await page.goto(`${place.url}/?page=trust&tenant=no-such-log`);
    await page.getByText('No log that this key may see is called no-such-log.').waitFor();
    assert.deepEqual(asked, []);
  });
});

test('a key that is told the names of logs alone is not told that they were not verified', async () => {
  const tenants = [{ tenant_id: 'acme', log_id: '00', records: null, published: 0, last_ingested_at: null, verdict: null }];
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    await page.route('**/v1/tenants?*', (route) => route.fulfill({ json: { tenants, next_cursor: null,
      logs: { all: 1, anchored: 1, broken: 0 } } }));
    await page.goto(`${place.url}/?page=trust`);
    const text = await page.locator('.log').textContent();
    assert.match(text, /^acmeNo verdict.*this key sees only some of its records/);
    const ledger = await page.getByRole('region', { name: 'The ledger' }).textContent();
    assert.match(ledger, /No verdict is shown/);
    assert.doesNotMatch(ledger, /not verified|known to be missing/);
  });
});
