// Personal values in the page: what a server discloses is held against the leaf, and what cannot be is said to be so;
// a row of the list that was checked shows what was checked.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { verbatim } from '../json.js';
import { held } from '../leaf.js';
import { Place, addressOf, browser, changed, lying, until, visit } from './support.js';

let place;
let closed;
let chrome;
let sealed;
let agent;
let masked;
const keys = {};
const actor = { type: 'user', id: 'dana', name: 'Dana Petrov', email: 'dana@acme.example', ip: '192.0.2.17' };
const target = { type: 'user', id: 'amy@acme.example', name: 'Amy Cole' };
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
  [sealed, agent] = await place.send([{ actor, target, data: { pages: 3 } },
    { actor: { type: 'agent', id: 'agent:reviewer', name: 'Reviewer Person' }, context: { request_id: 'run-1' },
      ai: { agent_type: 'reviewer', trace: { node: 'check' } } }]);
  closed = new Place();
  await closed.serve();
  [masked] = await closed.send([{ actor: { ...actor, id: 'dana@acme.example' }, target }]);
  keys.admin = await closed.make({ role: 'admin', tenants: '*' });
  keys.reader = await closed.make({ role: 'reader', tenants: ['acme'] }, { by: keys.admin });
  keys.officer = await closed.make({ role: 'privacy_officer', tenants: '*' }, { by: keys.admin });
  keys.viewer = await closed.make({ tenant: 'acme' }, { path: 'viewer-tokens', by: keys.officer });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
  await closed?.remove();
});

const lied = (change, look, more) => lying(chrome, place, { receipt: sealed, change, ...more }, look);
const row = (page) => page.locator('#rows tr', { has: page.locator('[aria-current], .badge.proved, .badge.failed') });

test('a personal value that leads to its commitment is under the proof, and its row is shown as it was checked', async () => {
  const renamed = changed(({ records }) => {
    for (const { record: { event } } of records) if (event.actor?.name) event.actor.name = 'Listed Otherwise';
  });
  await lied(renamed, async (panel, page) => {
    await panel.locator('.proof .verdict.good').waitFor();
    const step = panel.locator('.steps .committed');
    assert.equal(await step.locator('.pill').textContent(), 'holds');
    assert.match(await step.textContent(), /Committed to by the leaf, though not in it: actor\.email, actor\.ip, actor\.name, target\.id, target\.name\./);
    assert.equal(await panel.locator('.unproved').count(), 0);
    assert.doesNotMatch(await panel.textContent(), /server.s word/);
    assert.equal(await panel.locator('dd .tag', { hasText: /^personal$/ }).count(), 5);
    assert.equal(await panel.locator('.said').textContent(), 'Dana Petrov viewed the user Amy Cole');
    const proved = row(page);
    await proved.locator('.badge.proved').waitFor();
    assert.match(await proved.textContent(), /Dana Petrov/);
    assert.doesNotMatch(await proved.textContent(), /Otherwise/);
    // So it stays when the list is read anew.
    await page.getByRole('combobox', { name: 'Query' }).fill('tenant:acme');
    await page.keyboard.press('Enter');
    await until(async () => page.url().includes('q=tenant'), 'the other list');
    await page.locator('#rows .badge.proved').waitFor();
    assert.doesNotMatch(await row(page).textContent(), /Otherwise/);
  }, { what: 'list' });
});

test('a personal value that the server changes is red, named, and shown nowhere', async () => {
  const framed = changed(({ record: { event } }) => { event.actor.name = 'Framed Person'; });
  await lied(framed, async (panel, page) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    assert.equal(await panel.locator('.verdict.good').count(), 0);
    for (const verdict of await panel.locator('.verdict.bad').allTextContents()) {
      assert.match(verdict, /^What the server shows is not what was committed: actor\.name\./);
    }
    assert.equal(await panel.locator('.said').textContent(), 'Dana Petrov viewed the user Amy Cole');
    await page.locator('#rows .badge.failed').waitFor();
    assert.match(await row(page).textContent(), /Dana Petrov/);
    assert.doesNotMatch(await page.locator('body').textContent(), /Framed/);
  });
  const made = changed(({ record: { event } }) => { event.metadata = { approved: 'made up' }; });
  await lied(made, async (panel) => {
    await panel.locator('.proof .verdict.bad', { hasText: 'not what was committed: metadata.' }).waitFor();
    assert.doesNotMatch(await panel.textContent(), /made up/);
  });
});

test('disclosures that lead elsewhere, or are not there, are red for whose they are, and nothing of them is shown', async () => {
  const both = changed(({ record: { event }, disclosures }) => {
    event.actor.name = 'Framed Person';
    for (const one of disclosures) one.disclosures = one.disclosures.map((text) => text.replace('Dana Petrov', 'Framed Person'));
  });
  await lied(both, async (panel, page) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    const step = panel.locator('.steps .committed');
    assert.equal(await step.locator('.pill').textContent(), 'does not hold');
    assert.match(await step.locator('.finding').textContent(), /^sub_[0-9a-f]{32}: .*does not lead to the commitment$/);
    assert.match(await step.textContent(), /though not in it: target\.id, target\.name\./);
    assert.equal(await panel.locator('.said').textContent(), 'dana viewed the user Amy Cole');
    const hidden = await panel.locator('.hidden-values li').allTextContents();
    assert.equal(hidden.length, 1);
    assert.match(hidden[0], /^sealed sub_.*not shown/);
    assert.doesNotMatch(await page.locator('body').textContent(), /Framed/);
    await page.locator('#rows .badge.failed').waitFor();
  });
  const none = changed((answer) => { delete answer.disclosures; });
  await lied(none, async (panel) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    assert.match(await panel.locator('.verdict.bad').first().textContent(), /sends nothing to check them by/);
    assert.equal(await panel.locator('.tag', { hasText: 'personal' }).count(), 0);
    assert.doesNotMatch(await panel.textContent(), /Petrov|Amy/);
  });
});

test('what belongs to a record, and a trace, show of it what was checked', async () => {
  const related = changed((answer) => {
    const all = [answer.record, ...(answer.correlation?.records ?? []), ...answer.ancestors, ...answer.descendants];
    for (const one of all) one.actor = 'Framed Person';
    answer.above.end = 'missing';
  });
  await lied(related, async (panel) => {
    await panel.locator('.tree li.here', { hasText: 'Dana Petrov' }).waitFor();
    assert.doesNotMatch(await panel.textContent(), /Framed/);
  }, { what: 'related' });
  const reasoned = changed(({ record: { event } }) => { event.ai.reasoning = 'because it was made up'; });
  await lying(chrome, place, { path: `/?page=traces&record=acme%2F${agent.audit_id}`, change: reasoned }, async (_, page) => {
    const node = page.locator('.node');
    await node.locator('.verdict.bad', { hasText: 'not what was committed: ai.reasoning.' }).waitFor();
    assert.doesNotMatch(await node.textContent(), /made up/);
  });
});

/** Opens the record with a key in use, or in the frame. */
async function seenBy(name, { change, width = 1440, scheme } = {}, look) {
  const isViewer = name === 'viewer';
  const path = isViewer ? `/embed?record=acme%2F${masked.audit_id}#token=${keys.viewer}` : addressOf(masked);
  await visit(chrome, closed, { path: '/docs', width, scheme, expected: ['Failed to load resource'] }, async (page) => {
    if (!isViewer) await page.evaluate((key) => sessionStorage.setItem('indelible-key', key), keys[name]);
    if (change) {
      await page.route(/\/v1\/records\/[^/?]+(?:\?|$)/, async (route) =>
        route.fulfill({ json: change(await (await route.fetch()).text()) }));
    }
    await page.goto(closed.url + path);
    await look(page.locator('#record'), page);
  });
}

test('who sees shapes sees them marked as the server\u2019s word, beside the sentence too, and nothing else in their place', async () => {
  for (const name of ['reader', 'viewer']) {
    await seenBy(name, {}, async (panel, page) => {
      await panel.locator('.proof .verdict.good').waitFor();
      const words = await panel.locator('.unproved').textContent();
      assert.match(words, /^Not under this proof: actor\.email, actor\.ip, actor\.name, target\.name\. These are masked: that such fields are there, and their shapes, is the server\u2019s word\. .* values of 2 people or things/);
      assert.equal(await panel.locator('dd .tag.unchecked', { hasText: /^masked$/ }).count(), 4);
      // Of how many people the leaf has commitments, and whose values are not shown, is always told.
      const step = panel.locator('.committed');
      assert.equal(await step.locator('.pill').textContent(), 'not shown');
      assert.match(await step.textContent(), /commits to values of 2 people or things: not shown are those of sub_[0-9a-f]{32}, sub_[0-9a-f]{32}\.$/);
      assert.equal(await panel.locator('.hidden-values li', { hasText: /^masked sub_/ }).count(), 2);
      // A handle says more than a shape, and stands in the leaf.
      assert.match(await panel.locator('.said').textContent(), /^sub_[0-9a-f]{32} viewed the user sub_[0-9a-f]{32}$/);
      await page.locator('#rows .badge.proved').waitFor();
      assert.doesNotMatch(await panel.textContent(), /Petrov|Amy|acme\.example/);
    });
    const framed = changed(({ record: { event } }) => { event.actor.name = 'Framed Person'; });
    await seenBy(name, { change: framed }, async (panel, page) => {
      await panel.locator('.proof .verdict.bad', { hasText: 'not what was committed: actor.name.' }).waitFor();
      assert.doesNotMatch(await page.locator('body').textContent(), /Framed/);
    });
  }
  // Where nothing but a shape names somebody, the sentence has it and says so.
  const [nameless] = await send([{ actor: { type: 'user', id: 'dana' }, target: { type: 'person', name: 'Amy Cole' } }]);
  await visit(chrome, closed, { path: '/docs' }, async (page) => {
    await page.evaluate((key) => sessionStorage.setItem('indelible-key', key), keys.reader);
    await page.goto(closed.url + addressOf(nameless));
    await page.locator('#record .said .tag.unchecked', { hasText: /^masked$/ }).waitFor();
    assert.match(await page.locator('#record .said').textContent(), /^dana viewed the person \*\*\* *masked$/);
  });
});

async function send(events) {
  const whole = events.map((event) => ({ event_type: 'document.viewed', outcome: 'success', occurred_at: new Date().toISOString(),
    target: { type: 'document', id: 'document-1' }, ...event }));
  const answer = await fetch(`${closed.url}/v1/events:batch?tenant=acme`, { method: 'POST', body: JSON.stringify(whole),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${keys.admin}` } });
  const { results } = await answer.json();
  for (const { receipt, problem } of results) assert.ok(receipt, JSON.stringify(problem));
  return results.map(({ receipt }) => receipt);
}

test('what one key was shown, the next one is not', async () => {
  await seenBy('officer', {}, async (panel, page) => {
    await panel.locator('.proof .verdict.good').waitFor();
    await page.locator('#rows .badge.proved').waitFor();
    assert.match(await row(page).textContent(), /Dana Petrov/);
    // The key goes out of force, and somebody else gives theirs.
    await page.evaluate(() => sessionStorage.setItem('indelible-key', 'ind_0011223344556677_00'));
    await page.getByRole('combobox', { name: 'Query' }).fill('tenant:acme');
    await page.keyboard.press('Enter');
    await page.locator('#login').waitFor();
    await page.locator('#key').fill(keys.reader);
    await page.keyboard.press('Enter');
    await page.locator('#rows tr', { hasText: 'document.viewed' }).first().waitFor();
    assert.doesNotMatch(await page.locator('#rows').textContent(), /Petrov|Amy/);
  });
});

test('to who sees shapes the head of a trace says that it names by one', async () => {
  await send([{ actor: { type: 'agent', id: 'agent:reviewer' }, target: { type: 'user', id: 'amy@acme.example', name: 'Amy Cole' },
    context: { request_id: 'run-masked' }, ai: { agent_type: 'reviewer', trace: { node: 'check' } } }]);
  await visit(chrome, closed, { path: '/docs' }, async (page) => {
    await page.evaluate((key) => sessionStorage.setItem('indelible-key', key), keys.reader);
    await page.goto(`${closed.url}/?page=traces&tenant=acme&execution=run-masked`);
    const on = page.locator('.facts > div', { hasText: /^On/ });
    await on.waitFor();
    const words = await on.textContent();
    assert.doesNotMatch(words, /Amy/);
    if (words.includes('***')) await on.locator('.tag.unchecked', { hasText: /^masked$/ }).waitFor();
    else assert.match(words, /^Onsub_[0-9a-f]{32}$/);
  });
});

test('values that are kept back without a shape are told, of each person', async () => {
  const bare = changed(({ record: { event } }) => {
    for (const one of [event.actor, event.target]) for (const name of ['name', 'email', 'ip']) delete one[name];
  });
  for (const name of ['reader', 'viewer']) {
    await seenBy(name, { change: bare }, async (panel) => {
      await panel.locator('.proof .verdict.good').waitFor();
      assert.equal(await panel.locator('.hidden-values li', { hasText: /^masked sub_[0-9a-f]{32}/ }).count(), 2);
      await panel.locator('.committed', { hasText: 'values of 2 people or things: not shown are those of sub_' }).waitFor();
    });
  }
});

test('where the browser has no hashes, personal values are shown as not checked', async () => {
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    await page.addInitScript(() => Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined }));
    await page.goto(place.url + addressOf(sealed));
    const panel = page.locator('#record');
    await panel.locator('.proof .verdict.warn').waitFor();
    assert.equal(await panel.locator('dd .tag.unchecked', { hasText: 'personal, not checked' }).count(), 5);
    await panel.locator('.said .tag.unchecked').waitFor();
    await panel.locator('.unproved', { hasText: 'nothing to check by' }).waitFor();
    assert.equal(await page.locator('#rows .badge:is(.proved, .failed)').count(), 0);
  });
});

test('an honest server\u2019s shapes are taken, whatever was sealed under the default policy', async () => {
  const odd = [
    { data: { clientIps: ['192.0.2.1', '2001:db8::1'], peers: { remoteIP: '::ffff:192.0.2.9', 'x-ip': '10.0.0.1' } } },
    { data: { contact: 'carol@example.com', list: ['a', 'eve@example.com'], phone: 'kim@example.com', mobile: '+1 555 123 4567' } },
    { raw: { eventName: 'x', user: { mail: 'x@example.com' } }, description: 'call 030 1234567 or mail bo@example.com' },
    { actor: { type: 'user', id: 'a@example.com', name: '"', email: 'not an address', ip: 'localhost', user_agent: 'curl/8.5' } },
    { target: { type: 'user', id: 'dana', name: 'Dana', ip: '203.0.113.9' }, actor: { type: 'user', id: 'dana', name: 'Dana' } },
    { target: { type: 'document' }, actor: { type: 'user', id: 'x', name: 'No Target' }, error: { message: 'no route to 192.0.2.8' } },
    { changes: { before: { email: 'old@example.com' }, after: { email: 'new@example.com' } } },
  ];
  const receipts = await send(odd.map((one) => ({ actor: { type: 'user', id: 'plain' }, ...one })));
  const checks = [];
  for (const [at, { audit_id: id }] of receipts.entries()) {
    const answer = await fetch(`${closed.url}/v1/records/${id}?tenant=acme`, { headers: { authorization: `Bearer ${keys.reader}` } });
    const found = await held(verbatim(await answer.text()), { tenant: 'acme', id });
    assert.deepEqual(found.differs, [], JSON.stringify([odd[at], found.record.event]));
    checks.push(...found.personal.keys());
  }
  assert.ok(checks.length >= 8 && checks.includes('data.contact') && checks.includes('data.peers.remoteIP'), checks.join(', '));
});
