// A server of its own for a file of tests, and pages that tell on themselves.
//
// The real binary and Debian's Chromium; loopback only, a free port, data in a temporary directory.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const INDELIBLE = process.env.INDELIBLE_BINARY;
const CHROMIUM = process.env.INDELIBLE_CHROMIUM ?? '/usr/bin/chromium';
// The browser may call nobody by itself. A root user, as on CI, has no sandbox to put it in.
const FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];

/** One directory with a ledger in it, and the command to act on it. */
export class Place {
  constructor() {
    assert.ok(INDELIBLE, 'INDELIBLE_BINARY names no program: run `cargo xtask browser`');
    this.path = mkdtempSync(join(tmpdir(), 'indelible-ui-'));
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('INDELIBLE_'));
    this.env = { ...Object.fromEntries(kept), HOME: this.path, XDG_CONFIG_HOME: this.path };
  }

  /** Runs the command and gives what it prints. */
  run(...words) {
    return execFileSync(INDELIBLE, words, { cwd: this.path, env: this.env, encoding: 'utf8' });
  }

  /** Serves; resolves when it listens. */
  async serve({ demo = false, port = 0 } = {}) {
    const where = demo ? ['--demo'] : ['--data', 'data'];
    const words = ['serve', '--json', '--listen', `127.0.0.1:${port}`, ...where];
    const child = spawn(INDELIBLE, words, {
      cwd: this.path, env: this.env, stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    this.url = await new Promise((listens, fails) => {
      child.once('error', fails);
      child.once('exit', (code) => fails(new Error(`serve ended with ${code}`)));
      child.stdout.once('data', (line) => listens(JSON.parse(line).listening));
    });
    return this.url;
  }

  /** Ends the server as Ctrl-C does; its exit code must be 0. */
  async stop() {
    const { child } = this;
    this.child = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => { child.once('exit', done); });
    child.kill('SIGINT');
    assert.equal(await ended, 0, 'the server ended well');
  }

  async remove() {
    await this.stop();
    rmSync(this.path, { recursive: true });
  }

  /** Makes a key, or a token, by another one. */
  async make(what, { path = 'keys', by } = {}) {
    // A key for which nobody is named is for all.
    const whole = path === 'keys' ? { tenants: '*', ...what } : what;
    const answer = await fetch(`${this.url}/v1/${path}`, { method: 'POST', body: JSON.stringify(whole),
      headers: { 'content-type': 'application/json', ...(by && { authorization: `Bearer ${by}` }) } });
    return (await answer.json()).bearer;
  }

  /** Sends events, each with what is given over a plain one. */
  async send(events, tenant = 'acme') {
    const whole = events.map((event) => ({
      event_type: 'document.viewed', outcome: 'success', occurred_at: new Date().toISOString(),
      actor: { type: 'user', id: 'dana' }, target: { type: 'document', id: 'document-1' }, ...event,
    }));
    const response = await fetch(`${this.url}/v1/events:batch?tenant=${tenant}`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(whole),
    });
    const answer = await response.json();
    assert.equal(answer.accepted, events.length, JSON.stringify(answer).slice(0, 500));
    return answer.results.map((result) => result.receipt);
  }
}

/** Starts the browser; with scroll bars, as people see it, when that is said. */
export function browser({ bars = false } = {}) {
  const ignoreDefaultArgs = bars ? ['--hide-scrollbars'] : [];
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS, ignoreDefaultArgs });
}

/**
 * Opens a page, gives it to `test`, and then asks: was anybody else called, was anything written to
 * the console, did the page break its own policy? `expected` are parts of lines that may be there.
 */
export async function visit(chrome, place, options, test) {
  const { path = '/', width = 1440, height = 900, scheme = 'light', zone = 'UTC', expected = [] } = options;
  const context = await chrome.newContext({
    viewport: { width, height }, colorScheme: scheme, acceptDownloads: true, timezoneId: zone,
  });
  const told = [];
  const elsewhere = [];
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('console', (line) => told.push(line.text()));
  page.on('pageerror', (error) => told.push(String(error)));
  page.on('dialog', (dialog) => { told.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
  page.on('popup', () => told.push('a window was opened'));
  context.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${place.url}/`) && !url.startsWith(`blob:${place.url}/`)) elsewhere.push(url);
  });
  try {
    const answer = await page.goto(place.url + path);
    const policy = answer.headers()['content-security-policy'];
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    await test(page);
    const unexpected = told.filter((line) => !expected.some((part) => line.includes(part)));
    assert.deepEqual(unexpected, [], 'nothing on the console');
    assert.deepEqual(elsewhere, [], 'nobody else was called');
  } finally {
    await context.close();
  }
}

/** Where the record of a receipt is open. */
export const addressOf = ({ tenant_id: tenant, audit_id: id }) => `/?live=off&record=${tenant}%2F${id}`;

/** An answer, changed. */
export const changed = (does) => (text) => {
  const answer = JSON.parse(text);
  does(answer);
  return answer;
};

const ANSWERS = { record: /\/v1\/records\/[^/?]+(?:\?|$)/, proof: /\/proof(?:\?|$)/, related: /\/related(?:\?|$)/,
  list: /\/v1\/records(?:\?|$)/ };

/** Opens the record of a receipt at a server that changes answers: `record`, `proof`, `related` or `list`. */
export function lying(chrome, place, { receipt, path = addressOf(receipt), what = 'record', change, options }, look) {
  return visit(chrome, place, { path: '/docs', expected: ['Failed to load resource'], ...options }, async (page) => {
    await page.route(ANSWERS[what], async (route) => {
      const answer = await change(await (await route.fetch()).text());
      await route.fulfill({ contentType: 'application/json',
        body: typeof answer === 'string' ? answer : JSON.stringify(answer) });
    });
    await page.goto(place.url + path);
    await look(page.locator('#record'), page);
  });
}

/** Waits until `what` says something true. */
export async function until(what, words) {
  for (let tries = 0; tries < 150; tries += 1) {
    const found = await what();
    if (found) return found;
    await new Promise((done) => { setTimeout(done, 100); });
  }
  return assert.fail(`it never came: ${words}`);
}
