// A server that lies: what of a record is shown as proved is what stands in the leaf that was proved.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, addressOf, browser, changed, lying, until, visit } from './support.js';

let place;
let chrome;
let plain;
let other;
before(async () => {
  place = new Place();
  chrome = await browser();
  await place.serve();
  [plain, other] = await place.send([{ outcome: 'denied', description: 'kept out' }, { event_type: 'other.seen' }]);
  await place.send([{}], 'globex');
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

/** Opens a record at a server that changes an answer about it. */
const lied = (receipt, lie, look) => lying(chrome, place, { receipt, ...lie }, look);

test('what the server shows and the leaf does not say is red, named, and not shown', async () => {
  const change = changed(({ record: { event } }) => {
    event.outcome = 'success';
    event.target.id = 'swapped-target';
    event.decision = { result: 'approved' };
  });
  await lied(plain, { change }, async (panel, page) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    for (const verdict of await panel.locator('.verdict.bad').allTextContents()) {
      assert.match(verdict, /^What the server shows is not what was committed: outcome, target\.id, decision\./);
    }
    assert.equal(await panel.locator('.verdict.bad').count(), 2);
    assert.equal(await panel.locator('.verdict.good').count(), 0);
    const text = await panel.textContent();
    assert.ok(!text.includes('swapped-target') && !text.includes('approved'), text);
    assert.equal(await panel.locator('.bar .pill').first().textContent(), 'denied');
    await panel.getByText('The leaf, which is what is shown here, stands in the log.').waitFor();
    await page.locator(`#rows tr[data-name] .badge.failed`).waitFor();
  });
});

test('a hash that is not that of the leaf is red, and the computed one is shown', async () => {
  const hash = `${plain.record_hash[0] === '0' ? '1' : '0'}${plain.record_hash.slice(1)}`;
  const change = changed((answer) => { answer.record_hash = hash; });
  await lied(plain, { change }, async (panel) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    const step = panel.locator('.steps > li').first();
    await step.locator('.pill.bad').waitFor();
    assert.equal(await step.locator('code').first().textContent(), plain.record_hash);
    assert.equal(await step.locator('.finding').textContent(), `The server says another hash: ${hash}`);
  });
});

test('another record than was asked for is refused, with its proof or without', async () => {
  const fetched = async ({ tenant_id: tenant, audit_id: id }, part = '') =>
    (await fetch(`${place.url}/v1/records/${id}${part}?tenant=${tenant}`)).text();
  await lied(plain, { change: () => fetched(other) }, async (panel) => {
    const told = await panel.locator('.finding').textContent();
    assert.ok(told.includes(`${plain.audit_id} of acme was asked for, and ${other.audit_id} of acme came`), told);
    assert.ok(!(await panel.textContent()).includes('other.seen'));
    assert.equal(await panel.locator('.verdict').count(), 0);
  });
  await lied(plain, { what: 'proof', change: () => fetched(other, '/proof') }, async (panel) => {
    await panel.locator('.proof .verdict.bad').waitFor();
    await panel.getByText('kept out', { exact: true }).waitFor();
  });
});

test('a record whose source says another record\'s id is not shown in its place', async () => {
  const [victim] = await place.send([{ description: 'what happened' }], 'posed');
  const [impostor] = await place.send([{ description: 'a better story', source_event_id: victim.audit_id }], 'posed');
  const story = (await fetch(`${place.url}/v1/records/${impostor.audit_id}?tenant=posed`)).text();
  await lied(victim, { change: () => story }, async (panel) => {
    await panel.getByText(/Another record was asked for than the server sent/).waitFor();
    assert.ok(!(await panel.textContent()).includes('a better story'));
  });
});

test('after a key was given, another ledger under another name is not proved by its own', async () => {
  const impostor = new Place();
  await impostor.serve();
  try {
    const [forged] = await impostor.send([{ description: 'never happened' }]);
    const key = place.run('keys', 'show', '--data', 'data').trim();
    const theirs = impostor.run('keys', 'show', '--data', 'data').trim();
    await visit(chrome, place, { path: addressOf(plain), expected: ['Failed to load resource'] }, async (page) => {
      const panel = page.locator('#record');
      await panel.locator('.proof .verdict.good').waitFor();
      await panel.getByText('Check with a key of your own').click();
      await panel.getByLabel('Verifier key').fill(key);
      await panel.getByRole('button', { name: 'Check with it' }).click();
      await panel.getByText('under the key that you gave').waitFor();
      // From now on somebody else answers.
      await page.route(/\/v1\//, async (route) => {
        const { pathname, search } = new URL(route.request().url());
        const answer = await fetch(impostor.url + pathname + search);
        await route.fulfill({ status: answer.status, contentType: 'application/json', body: await answer.text() });
      });
      await page.goto(place.url + addressOf(forged));
      const verdict = panel.locator('.proof .verdict.bad');
      await verdict.waitFor();
      const [is, was] = [theirs, key].map((one) => one.split('+')[0]);
      const words = new RegExp(`not proved: it is signed as another ledger, ${is}, than the one that you gave a key for, ${was}\\.`);
      assert.match(await verdict.textContent(), words);
      assert.equal(await panel.locator('.verdict.good').count(), 0);
      assert.equal(await panel.locator('.steps > li', { hasText: 'Checkpoint' }).locator('.pill').first().textContent(), 'does not hold');
      await page.locator('#rows .badge.failed').waitFor();
      // The key of this one, given too, says what it says; the other stays.
      await panel.getByLabel('Verifier key').fill(key);
      await panel.getByRole('button', { name: 'Check with it' }).click();
      await until(async () => words.test(await verdict.textContent()), 'the same verdict');
      await panel.getByLabel('Verifier key').fill(theirs);
      await panel.getByRole('button', { name: 'Check with it' }).click();
      await panel.getByText('under the key that you gave').waitFor();
      await panel.getByText('The key that you gave', { exact: true }).click();
      await panel.getByLabel('Verifier key').fill('');
      await panel.getByRole('button', { name: 'Check with it' }).click();
      await verdict.waitFor();
      await panel.getByRole('button', { name: 'Forget the key that I gave' }).click();
      await panel.getByText('under the key that the log itself names').waitFor();
    });
  } finally {
    await impostor.remove();
  }
});

test('a proof that is none takes nothing of the record away', async () => {
  for (const garbage of ['{}', 'null', '[]', '{"log":7}', '<h1>', '']) {
    await lied(plain, { what: 'proof', change: () => garbage }, async (panel) => {
      const verdict = panel.locator('.proof .verdict.bad');
      await verdict.waitFor();
      assert.match(await verdict.textContent(), /^The proof could not be read/, garbage);
      assert.ok(await panel.getByText('kept out', { exact: true }).isVisible(), garbage);
      await panel.getByText('It names no parent').waitFor();
    });
  }
  await lied(plain, { what: 'related', change: () => '{}' }, async (panel) => {
    await panel.locator('.proof .verdict.good').waitFor();
    await panel.getByText('It could not be read: what the server sent has another form').waitFor();
  });
});

test('a record of another form is told in words', async () => {
  for (const garbage of ['{"records": 7}', 'null', '{"rec', '{"record":{"event":{}}}', '{"record":{},"leaf":"{}"}']) {
    await lied(plain, { change: () => garbage }, async (panel) => {
      const told = panel.locator('.finding', { hasText: 'The record cannot be shown.' });
      await told.waitFor();
      assert.match(await told.textContent(), /[Ww]hat the server sent|sent no leaf/, garbage);
      assert.doesNotMatch(await panel.textContent(), /destructure|undefined|Unexpected|JSON at/, garbage);
    });
  }
});

test('a witness that cosigned is named, and that it was not checked is said', async () => {
  const change = changed((proof) => {
    proof.registry.checkpoint += `\u2014 witness.example/w1 ${Buffer.alloc(76, 7).toString('base64')}\n`;
  });
  await lied(plain, { what: 'proof', change }, async (panel) => {
    await panel.locator('.proof .verdict.good').waitFor();
    await panel.getByText('witness.example/w1').waitFor();
    await panel.getByText('not checked, no key of this witness was given').waitFor();
  });
  await lied(plain, { what: 'proof', change: (text) => text }, async (panel) => {
    await panel.getByText('No witness has cosigned it.').waitFor();
  });
});

test('an action of 256 characters is a short heading, and stands whole among the fields', async () => {
  const type = `a.${'b'.repeat(254)}`;
  const [long] = await place.send([{ event_type: type }]);
  await visit(chrome, place, { path: addressOf(long), width: 390 }, async (page) => {
    const heading = page.locator('#record h2');
    await page.locator('#record .said').waitFor();
    assert.ok((await heading.boundingBox()).height < 110, `${(await heading.boundingBox()).height} pixels`);
    await until(async () => (await page.locator('#record dd').allTextContents()).includes(type), 'the whole action');
  });
});
