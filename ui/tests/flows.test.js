// What a person does with the list and a record: narrow down, choose, keep, share, and look closely.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

const ID = (number) => `019a9b00-0000-7000-8000-${String(number).padStart(12, '0')}`;
const PICTURE = Buffer.from('not really a picture');
const DIGEST = `sha256:${createHash('sha256').update(PICTURE).digest('hex')}`;

let place;
let chrome;
before(async () => {
  place = new Place();
  chrome = await browser();
  await place.serve();
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  const many = Array.from({ length: 240 }, (_, n) => ({
    occurred_at: at(n * 6), audit_id: ID(n + 100), outcome: n % 6 ? 'success' : 'denied',
      severity: n % 9 ? 'info' : 'critical',
    event_type: ['document.viewed', 'document.deleted', 'auth.login'][n % 3], actor: { type: 'user',
      id: `user-${n % 5}` },
    target: { type: 'document', id: `document-${n}` },
  }));
  await place.send([
    { audit_id: ID(1), event_type: 'user.role.changed', occurred_at: at(3), target: { type: 'user', id: 'ada' },
      outcome: 'denied',
      actor: { type: 'user', id: 'dana', name: 'Dana Petrov', ip: '192.0.2.9', session_id: 's-7' },
      changes: { before: { role: 'viewer', seats: 3 }, after: { role: 'admin', seats: 3, note: 'new' },
        fields: ['role'] },
      decision: { decision: 'deny', required_role: 'owner', actual_role: 'editor' }, error: { code: 'MissingRole' },
      context: { correlation_id: 'corr-1', request_id: 'req-1', trace_id: 'trace-1' } },
    { audit_id: ID(2), event_type: 'ticket.classified', occurred_at: at(2), target: { type: 'ticket', id: 'ticket-1' },
      actor: { type: 'agent', id: 'agent:triage' }, ai: { model: 'large-3', tools_used: ['search', 'label'] },
      context: { correlation_id: 'corr-1', parent_id: ID(1), refs: { user_id: 'dana' } },
      description: 'wrote to bob@example.com about it' },
    { audit_id: ID(3), event_type: 'ticket.closed', occurred_at: at(1), target: { type: 'ticket', id: 'ticket-1' },
      actor: { type: 'system', id: 'system' }, context: { parent_id: ID(2) } },
    ...many,
  ]);
  const put = await fetch(`${place.url}/v1/attachments/${DIGEST}?tenant=acme`, { method: 'PUT', body: PICTURE,
    headers: { 'content-type': 'image/png' } });
  const { attachment } = await put.json();
  await place.send([{ audit_id: ID(4), event_type: 'shot.taken', data: { shot: { attachment } } }]);
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

const loaded = (page) => page.locator('#table').getAttribute('aria-rowcount').then((text) => Number(text) - 1);
const query = (page) => new URL(page.url()).searchParams.get('q') ?? '';
const field = (page) => page.getByRole('combobox', { name: 'Query' });

test('facets, presets and the histogram narrow a query down, and the address keeps it', async () => {
  await visit(chrome, place, {}, async (page) => {
    const facet = (name) => page.locator(`[data-facet="${name}"]`);
    await facet('outcome:denied').waitFor();
    assert.match(await facet('outcome:denied').textContent(), /denied41$/);
    await facet('outcome:denied').click();
    await until(async () => await page.locator('#count').textContent() === '41 records', 'the count');
    assert.equal(query(page), 'outcome:denied');
    assert.equal(await facet('outcome:denied').getAttribute('aria-pressed'), 'true');
    await page.locator('#facets li', { has: facet('severity:critical') }).getByTitle('Without these').click();
    await until(() => query(page) === 'outcome:denied -severity:critical', 'what is left out');
    await page.getByRole('button', { name: '7 days' }).click();
    await until(() => query(page).endsWith('since:7d'), 'the preset');
    await page.reload();
    // Of every 18 two of six are denied and one of them is critical.
    await until(async () => (await page.locator('#count').textContent()) === '27 records', 'the count after reloading');
    assert.equal(await page.getByRole('button', { name: '7 days' }).getAttribute('aria-pressed'), 'true');
    // By keyboard the last bar but one; by mouse half of what is there.
    const slider = page.getByRole('slider');
    await slider.focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Shift+ArrowLeft');
    assert.match(await slider.getAttribute('aria-valuetext'), / to .*: \d+ records?$/);
    await page.keyboard.press('Enter');
    await until(() => /since:\S+Z until:\S+Z$/.test(query(page)) && !query(page).includes('7d'), 'the span');
    await page.goBack();
    await until(() => query(page).endsWith('since:7d'), 'back');
    await until(async () => (await page.locator('#count').textContent()) === '27 records', 'the count once more');
    // It is drawn anew with each count.
    let box = null;
    await until(async () => {
      box = await page.getByRole('slider').boundingBox().catch(() => null);
      return box !== null;
    }, 'the histogram');
    await page.mouse.move(box.x + 2, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + 20, { steps: 4 });
    await page.mouse.up();
    await until(() => /since:\S+Z until:\S+Z$/.test(query(page)), 'the span that was dragged over');
    await until(async () => {
      const shown = Number.parseInt(await page.locator('#count').textContent(), 10);
      return shown > 0 && shown < 27;
    }, 'fewer records');
  });
});

test('the search box completes qualifiers, known values and values that are there', async () => {
  await visit(chrome, place, {}, async (page) => {
    const hints = page.getByRole('option');
    await page.locator('#rows tr').first().waitFor();
    await page.keyboard.press('/');
    await field(page).pressSequentially('outc');
    await hints.filter({ hasText: 'outcome:' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.equal(await field(page).inputValue(), 'outcome:');
    await hints.filter({ hasText: 'denied' }).click();
    assert.equal(await field(page).inputValue(), 'outcome:denied ');
    await field(page).pressSequentially('actor:user-3');
    await field(page).press('Backspace');
    await hints.filter({ hasText: 'user-3' }).waitFor();
    assert.equal(await field(page).getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('ArrowDown');
    assert.match(await field(page).getAttribute('aria-activedescendant'), /^hint-/);
    await page.keyboard.press('Escape');
    assert.equal(await field(page).getAttribute('aria-expanded'), 'false');
    await field(page).fill('tenant:');
    await hints.filter({ hasText: 'tenant:acme' }).waitFor();
    await page.keyboard.press('Escape');
    await field(page).fill('outcome:denied');
    await page.keyboard.press('Enter');
    await until(() => query(page) === 'outcome:denied', 'the query');
  });
});

test('columns are chosen, a view is kept, a link is copied', async () => {
  await visit(chrome, place, { path: '/?q=outcome%3Adenied' }, async (page) => {
    await page.locator('#rows tr').first().waitFor();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('#columns summary').click();
    await page.getByLabel('Severity').check();
    await page.getByLabel('What happened').uncheck();
    await page.locator('th.severity').waitFor();
    assert.equal(await page.locator('th.said').count(), 0);
    assert.match(new URL(page.url()).searchParams.get('columns'), /severity/);
    await page.locator('#views summary').click();
    await page.getByLabel('Name of the view').fill('Denied <b>ones</b>');
    await page.getByRole('button', { name: 'Keep' }).click();
    const link = page.getByRole('link', { name: 'Denied <b>ones</b>' });
    await link.waitFor();
    await page.goto(place.url);
    await page.locator('th.said').waitFor();
    await page.locator('#views summary').click();
    await link.click();
    await page.locator('th.severity').waitFor();
    assert.equal(query(page), 'outcome:denied');
    await page.locator('#rows tr').first().click();
    await page.locator('.steps').waitFor();
    assert.match(new URL(page.url()).searchParams.get('record'), /^acme\//);
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, page.url());
    // The link alone gives the same to somebody else: the query, the columns, the record.
    await page.goto(copied);
    await page.locator('.verdict.good').waitFor();
    assert.equal(await page.locator('th.severity').count(), 1);
  });
});

test('times are local, with UTC to be had, and who is no person is told so', async () => {
  await visit(chrome, place, { path: '/?q=id%3A019a9b00-0000-7000-8000-000000000003' }, async (page) => {
    const row = page.locator('#rows tr');
    await row.waitFor();
    assert.equal(await row.locator('td.actor').textContent(), 'system');
    assert.match(await row.locator('time').getAttribute('title'), /^\d{4}-\d\d-\d\d \S+ UTC$/);
    assert.match(await row.locator('td.said').textContent(), /closed ticket-1$/);
    assert.match(await row.locator('.badge').getAttribute('aria-label'), /checkpoint/);
  });
});

test('a record: before and after, decision, actors, what belongs to it, and ways on', async () => {
  await visit(chrome, place, { path: `/?record=acme%2F${ID(1)}` }, async (page) => {
    const panel = page.locator('#record');
    await panel.locator('.verdict.good').waitFor();
    assert.equal(await panel.locator('.said').textContent(), 'Dana Petrov was not allowed to change the user ada');
    const diff = await panel.locator('.diff tbody tr').allTextContents();
    assert.deepEqual(diff, ['roleVieweradmin'.replace('V', 'v'), 'notewas not therenew']);
    await panel.getByText('1 more stayed as they were').waitFor();
    const beside = await panel.locator('.beside').textContent();
    for (const part of ['Decision', 'deny', 'owner', 'editor', 'Outcome', 'denied', 'MissingRole']) {
      assert.ok(beside.includes(part), `${part}: ${beside}`);
    }
    const tree = panel.locator('.tree li');
    await until(async () => await tree.count() === 3, 'parents and children');
    assert.deepEqual((await tree.locator('a').allTextContents()), ['user.role.changed', 'ticket.classified',
      'ticket.closed']);
    assert.equal(await panel.locator('.timeline li').count(), 2);
    const ways = await panel.locator('.ways a').allTextContents();
    assert.deepEqual(ways, ['Same actor', 'Same target', 'Same action', 'Same session', 'Same trace', 'Same address',
      'Same correlation', 'Same request', '± 5 minutes']);
    for (const way of ways) {
      await page.goto(`${place.url}/?record=acme%2F${ID(1)}`);
      await panel.getByRole('link', { name: way }).click();
      await until(() => query(page).startsWith('tenant:acme '), way);
      await page.locator('#rows tr').first().waitFor();
      assert.equal(await page.locator('#error').isVisible(), false, way);
    }
    await page.goto(`${place.url}/?record=acme%2F${ID(2)}`);
    await until(async () => (await panel.locator('.chain li').allTextContents()).join()
      === 'for dana,agent agent:triage,model large-3,tool search,tool label', 'the chain');
    await panel.locator('.tree a', { hasText: 'ticket.closed' }).click();
    await until(() => page.url().includes(ID(3)), 'its child');
    await panel.locator('h2', { hasText: 'ticket.closed' }).waitFor();
  });
});

test('before and after hides no change: not behind a dot, nor what is empty, nor a type', async () => {
  const [receipt] = await place.send([{ changes: {
    before: { role: { admin: false }, 'role.admin': false, roles: [], note: null, level: 1 },
    after: { role: { admin: true }, 'role.admin': false, roles: {}, note: 'null', level: '1' } } }], 'diffs');
  await visit(chrome, place, { path: `/?live=off&record=diffs%2F${receipt.audit_id}` }, async (page) => {
    const panel = page.locator('#record');
    await panel.locator('.verdict.good').waitFor();
    const lines = await panel.locator('.diff tbody tr').evaluateAll((all) => all.map((line) => [...line.cells].map((cell) => cell.textContent)));
    assert.deepEqual(lines.sort(), [['level', '1', '"1"'], ['note', 'null', '"null"'], ['role.admin', 'false', 'true'], ['roles', '[]', '{}']]);
    await panel.getByText('1 more stayed as they were').waitFor();
    await page.locator('#word', { hasText: 'Rows are as the server sends them' }).waitFor();
  });
  await visit(chrome, place, { path: '/?q=actor:nobody-at-all' }, async (page) => {
    await page.locator('#empty').waitFor();
    assert.equal(await page.locator('#word').isVisible(), false, 'of no rows nothing is said');
  });
});

test('an attachment is fetched, and held against the digest that the record names', async () => {
  await visit(chrome, place, { path: `/?record=acme%2F${ID(4)}` }, async (page) => {
    const panel = page.locator('#record');
    const fetch = panel.getByRole('button', { name: 'Fetch and check' });
    const download = page.waitForEvent('download');
    await fetch.click();
    await download;
    await panel.getByText('its bytes are those that the record names').waitFor();
    await page.route('**/v1/attachments/**', (route) => route.fulfill({ body: 'other bytes' }));
    await fetch.click();
    await panel.getByText('they were changed').waitFor();
  });
});

for (const [what, part, change] of [
  ['a leaf', 'Record', (row) => ({ ...row, leaf: row.leaf.replace('"denied"', '"success"') })],
  ['a proof', 'Log', null],
]) {
  test(`${what} that was changed on its way is found out here`, async () => {
    await visit(chrome, place, {}, async (page) => {
      await page.locator('#rows tr').first().waitFor();
      const path = change ? `**/v1/records/${ID(1)}?*` : `**/v1/records/${ID(1)}/proof?*`;
      await page.route(path, async (route) => {
        const answer = await (await route.fetch()).json();
        if (change) return route.fulfill({ json: change(answer) });
        answer.log.path[0] = `${answer.log.path[0][0] === '0' ? '1' : '0'}${answer.log.path[0].slice(1)}`;
        return route.fulfill({ json: answer });
      });
      await page.goto(`${place.url}/?record=acme%2F${ID(1)}`);
      const panel = page.locator('#record');
      await panel.locator('.proof .verdict.bad').waitFor();
      assert.equal(await panel.locator('.steps li', { hasText: 'does not hold' }).locator('b').textContent(), part);
      await page.locator('.badge.failed').waitFor();
    });
  });
}

test('what cannot be read says which it is, and why', async () => {
  await visit(chrome, place, { path: `/?record=acme%2F${ID(1)}` }, async (page) => {
    const panel = page.locator('#record');
    await panel.locator('.verdict.good').waitFor();
    await panel.locator('dd', { hasText: 'Dana Petrov' }).getByText('personal').waitFor();
    assert.equal(await panel.locator('.hidden-values li').count(), 0, 'all of it can be read here');
    // As it comes where the keys are not at hand: the leaf as it is.
    await page.route(`**/v1/records/${ID(1)}?*`, async (route) => {
      const answer = await (await route.fetch()).json();
      return route.fulfill({ json: { ...answer, record: JSON.parse(answer.leaf), personal: 'sealed', disclosures: undefined } });
    });
    await page.goto(`${place.url}/?record=acme%2F${ID(1)}&q=x`);
    const said = panel.locator('.hidden-values li');
    await said.first().waitFor();
    assert.match(await said.first().textContent(), /^sealed sub_.*encrypted under a key of theirs/);
    await panel.locator('.verdict.good').waitFor();
  });
});
