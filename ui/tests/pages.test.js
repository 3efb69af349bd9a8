// The pages beside the list: trust, overview, traces, administration, and the one for a frame.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { Place, browser, until, visit } from './support.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ID = (number) => `019a9b00-0000-7000-8000-${String(number).padStart(12, '0')}`;

let demo;
let own;
let chrome;
let host;
before(async () => {
  chrome = await browser();
  demo = new Place();
  await demo.serve({ demo: true });
  host = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    const to = new URL(request.url, 'http://x').searchParams.get('to') ?? '';
    response.end(`<!doctype html><title>host</title><iframe width="900" height="700" src="${to.replaceAll('&', '&amp;')}"></iframe>`);
  });
  await new Promise((done) => { host.listen(0, '127.0.0.1', done); });
  own = new Place();
  own.env = { ...own.env, INDELIBLE_SERVER__FRAME_ANCESTORS: `http://127.0.0.1:${host.address().port}` };
  await own.serve();
  const at = (seconds) => new Date(Date.now() - 60_000 + seconds * 1000).toISOString();
  const step = (number, node, more = {}) => ({
    audit_id: ID(number), occurred_at: at(number), event_type: `agent.${node}.finished`, actor: { type: 'agent',
      id: 'agent:reviewer' },
    target: { type: 'document', id: 'plan-7' }, context: { request_id: 'run-1',
      ...(number > 1 && { parent_id: ID(number > 2 ? 2 : 1) }) },
    performance: { duration_ms: 400 * number }, ...more,
    ai: { agent_type: 'reviewer', model: 'large-3', prompt_tokens: 100, completion_tokens: 20, total_tokens: 120,
      cost_usd: 0.25,
      confidence: 0.75, reasoning: 'it looked so', tools_used: ['search'], ...more.ai, trace: { node } },
  });
  await own.send([step(1, 'plan'), step(2, 'retrieve', { changes: { before: { found: 0 }, after: { found: 4 } } }),
    step(3, 'write', { outcome: 'failure', ai: { reasoning: '<b>no</b>' } }), { audit_id: ID(9),
      description: 'another one' }]);
  await own.send([{ audit_id: ID(20), actor: { type: 'user', id: 'theirs' } }], 'globex');
  const records = async () => (await (await fetch(`${demo.url}/v1/counts`)).json()).total;
  await until(async () => await records() > 3000, 'the events of the last days');
});
after(async () => {
  await chrome?.close();
  host?.close();
  await demo?.remove();
  await own?.remove();
});

test('every log has two verdicts, in words that can be quoted', async () => {
  await visit(chrome, demo, { path: '/?page=trust' }, async (page) => {
    const log = (name) => page.locator(`[data-tenant="${name}"]`);
    const says = (name, ...words) => until(async () => {
      const text = await log(name).textContent();
      return words.every((word) => word.test(text));
    }, `${name}: ${words}`);
    // The page reads anew by itself; the verifier takes its time.
    await until(async () => {
      await page.reload();
      await log('globex').waitFor();
      return (await page.getByRole('region', { name: 'The ledger' }).textContent()).startsWith('13 logs intact');
    }, 'all logs to be verified');
    await says('acme', /Intact, anchored Open/, /this log had [\d,]+ records: each was read again, hashed, and found chained/,
      /lay under a signed checkpoint/, /records 0 to [\d,]+ are under a signed checkpoint/,
      /acme-app open to \d+, last heard/);
    await says('globex', /Declared loss/, /The producer declared as lost: \d+ to \d+ \(queue full\)/);
    assert.match(await page.getByRole('region', { name: 'The ledger' }).textContent(),
      /newest signed checkpoint is of .* ago\)\. It covers all 13 logs as they stood then/);
    assert.equal(await page.locator('.log').first().getAttribute('data-tenant'), 'globex', 'the worst first');
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save it', exact: true }).click();
    assert.match(readFileSync(await (await download).path(), 'utf8'), /^indelible\.dev\/\w+\n\d+\n/);
    await log('acme').getByRole('link', { name: 'acme' }).click();
    await until(() => new URL(page.url()).searchParams.get('q') === 'tenant:acme', 'its records');
    await page.locator('#rows tr').first().waitFor();
  });
});

test('each figure of the overview is a link to the query that gives it', async () => {
  await visit(chrome, demo, { path: '/?page=overview' }, async (page) => {
    await page.locator('.figure').first().waitFor();
    const figures = await page.locator('.figure').count();
    assert.equal(figures, 5);
    const links = await page.locator('.figure, .top-list a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
    assert.ok(links.length > 20, `${links.length} links`);
    for (const link of links) {
      const q = new URL(link, demo.url).searchParams.get('q') ?? '';
      const answer = await fetch(`${demo.url}/v1/counts?${new URLSearchParams({ q })}`);
      assert.equal(answer.status, 200, q);
    }
    const denied = page.locator('.figure', { hasText: 'Denied' });
    const count = Number((await denied.locator('b').textContent()).replace(',', ''));
    assert.ok(count > 0);
    await denied.click();
    await until(async () => Number((await page.locator('#count').textContent()).replace(/\D/g, '')) >= count,
      'as many');
    assert.deepEqual([...new Set(await page.locator('#rows td.outcome').allTextContents())], ['denied']);
  });
});

test('an execution of an agent: its nodes, its tree in time, and what a node did', async () => {
  await visit(chrome, own, { path: '/?page=traces' }, async (page) => {
    await page.getByRole('link', { name: 'run-1' }).click();
    const head = page.getByRole('region', { name: 'Execution' });
    await head.waitFor();
    const facts = await head.textContent();
    for (const part of ['run-1', 'reviewer', 'plan-7', 'Tokens360', 'Cost$0.75',
      'Records3']) assert.ok(facts.includes(part), `${part}: ${facts}`);
    assert.deepEqual(await page.locator('.nodes b').allTextContents(), ['plan', 'retrieve', 'write']);
    assert.deepEqual(await page.locator('.lanes a').allTextContents(),
      ['agent.plan.finished', 'agent.retrieve.finished', 'agent.write.finished']);
    const node = page.getByRole('region', { name: 'Node' });
    await page.locator('.nodes button', { hasText: 'retrieve' }).click();
    await node.locator('.diff').waitFor();
    const text = await node.textContent();
    for (const part of ['large-3', 'tokens in100', 'tokens out20', 'confidence75 %', 'search', 'it looked so',
      'found04']) {
      assert.ok(text.includes(part), `${part}: ${text}`);
    }
    await page.locator('.nodes button', { hasText: 'write' }).click();
    await node.getByText('<b>no</b>').waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export the trace' }).click();
    assert.equal(JSON.parse(readFileSync(await (await download).path(), 'utf8')).execution.id, 'run-1');
    await page.locator('.lanes a', { hasText: 'agent.write.finished' }).click();
    await page.locator('#record .verdict.good').waitFor();
    await page.getByRole('link', { name: 'The execution it is part of' }).click();
    await head.waitFor();
  });
});

const frame = (url) => `http://127.0.0.1:${host.address().port}/?to=${encodeURIComponent(url)}`;

test('keys, tenants and streams are managed by who may; a viewer sees one tenant in a frame', async () => {
  let admin;
  let viewer;
  await visit(chrome, own, { path: '/?page=admin', expected: ['401', '400 (Bad Request)'] }, async (page) => {
    const keys = page.locator('section', { has: page.getByRole('heading', { name: 'Keys' }) });
    await page.getByLabel('Name of a new tenant').fill('initech');
    await page.getByRole('button', { name: 'Make its log' }).click();
    await page.getByRole('link', { name: 'initech' }).first().waitFor();
    await keys.getByText('this server is open').waitFor();
    // The first one is an admin's, as it is chosen already; any other is refused, in words.
    assert.equal(await keys.getByLabel('Role', { exact: true }).inputValue(), 'admin');
    await keys.getByLabel('Role', { exact: true }).selectOption('reader');
    await keys.getByRole('button', { name: 'Make a key' }).click();
    await keys.locator('.finding').waitFor();
    await keys.getByLabel('Role', { exact: true }).selectOption('admin');
    await keys.getByRole('button', { name: 'Make a key' }).click();
    admin = await keys.locator('.secret').textContent();
    await keys.getByRole('button', { name: 'I have it' }).click();
    await page.getByLabel('This server asks for a key').fill(admin);
    await page.keyboard.press('Enter');
    await keys.getByText('in force').waitFor();
    await keys.getByLabel('Role', { exact: true }).selectOption('reader');
    await keys.getByLabel('Tenants, parted').fill('acme');
    await keys.getByLabel('Name', { exact: true }).fill('<i>shop</i>');
    await keys.getByRole('button', { name: 'Make a key' }).click();
    viewer = await keys.locator('.secret').textContent();
    await keys.getByRole('button', { name: 'I have it' }).click();
    await keys.getByText('<i>shop</i>').waitFor();
    const line = keys.locator('tr', { hasText: '<i>shop</i>' });
    await line.getByRole('button', { name: 'Rotate' }).click();
    viewer = await line.locator('.secret').textContent();
    await line.getByRole('button', { name: 'I have it' }).click();
    const made = keys.locator('tr', { hasText: 'admin' });
    await made.getByRole('button', { name: 'Revoke' }).click();
    await made.getByRole('button', { name: 'No' }).click();
    await page.getByText('What was changed is recorded').waitFor();
  });
  const made = await fetch(`${own.url}/v1/viewer-tokens`, { method: 'POST', body: JSON.stringify({ tenant: 'acme',
    query: 'actor:agent:reviewer -outcome:failure' }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${viewer}` } });
  const { bearer } = await made.json();
  const address = `${own.url}/embed#token=${bearer}&accent=rgb(1,2,3)&paper=url(x)&ink=%23123456`;
  const context = await chrome.newContext({ viewport: { width: 1000, height: 800 } });
  const page = await context.newPage();
  const told = [];
  page.on('console', (line) => told.push(line.text()));
  await page.goto(frame(address));
  const inside = page.frameLocator('iframe');
  await inside.locator('#rows tr').first().waitFor();
  assert.deepEqual(await inside.locator('#rows td.tenant').allTextContents().then((all) => [...new Set(all)]),
    ['acme']);
  assert.ok(!(await inside.locator('#rows').textContent()).includes('failure'));
  const style = (name) => inside.locator('html').evaluate((root, which) => root.style.getPropertyValue(which), name);
  assert.deepEqual([await style('--accent'), await style('--ink'), await style('--paper')], ['rgb(1,2,3)', '#123456',
    '']);
  await inside.locator('#rows tr').first().click();
  await inside.locator('.steps').waitFor();
  await inside.locator('.steps .pill.good').nth(2).waitFor();
  await inside.getByText('no key is known').waitFor();
  assert.deepEqual(told, [], 'nothing on the console');
  // The page itself, and a server that names nobody, stand in no frame.
  for (const [base, path] of [[own.url, '/'], [demo.url, '/embed']]) {
    await page.goto(frame(base + path));
    await until(() => told.some((line) => /frame-ancestors|X-Frame-Options/.test(line)),
      `${base}${path} to be kept out`);
    told.length = 0;
  }
  await page.goto(`${own.url}/embed#token=${bearer.slice(0, -2)}00`);
  await page.getByText('This view is not good any more').waitFor();
  await context.close();
  const headers = (await fetch(`${own.url}/embed`)).headers;
  assert.match(headers.get('content-security-policy'),
    new RegExp(`frame-ancestors http://127.0.0.1:${host.address().port}$`));
  assert.equal(headers.get('x-frame-options'), null);
  assert.match((await fetch(`${own.url}/`)).headers.get('content-security-policy'), /frame-ancestors 'none'$/);
});

for (const [scheme, width] of [['light', 1440], ['dark', 1440], ['light', 390], ['dark', 390]]) {
  test(`axe finds no fault on any page: ${scheme}, ${width} pixels`, async () => {
    await visit(chrome, demo, { scheme, width }, async (page) => {
      await page.emulateMedia({ reducedMotion: 'reduce' });
      const ready = { '/?page=overview': '.top-list a', '/?page=trust': '.log .pill', '/?page=traces': '#other .panel a',
        '/?page=admin': '.plain-table td', '/embed?q=tenant%3Aacme': '#rows tr' };
      for (const [name, selector] of Object.entries(ready)) {
        await page.goto(demo.url + name);
        await page.locator(selector).first().waitFor();
        if (name === '/?page=traces') {
          await page.locator('.executions a').first().click();
          await page.locator('.node dl').first().waitFor();
        }
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => window.axe.run());
        assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`), [],
          name);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(over <= 0, `${name} is no wider than the window`);
      }
    });
  });
}
