// Records as they are committed, by the server's tail. Read with `fetch`, since an EventSource sends no key.

import { NOT_IN_FORCE, Problem, opened } from '/ui/api.js';

const AGAIN_MS = [500, 1000, 2000, 5000, 10_000];
/** Longer than the server is ever silent. */
const SILENT_MS = 40_000;

/**
 * Follows a query until the function that it gives back is called. `told.open` is called when nothing is
 * left out any more, `told.record` for each record, `told.lost` with the problem when the connection is being made anew,
 * `told.failed` with the problem when it will not be.
 */
export function follow(q, told) {
  const control = new AbortController();
  run(q, told, control.signal).catch((error) => {
    if (!control.signal.aborted) told.failed(error);
  });
  return () => control.abort();
}

async function run(q, told, signal) {
  let after;
  for (let tries = 0; !signal.aborted; tries += 1) {
    let lost = new Problem(0, { detail: 'The server cannot be reached.' });
    try {
      for await (const { event, id, data } of messages(await opened('/v1/tail', { q, after }, signal), signal)) {
        after = id || after;
        tries = 0;
        if (event === 'open') told.open();
        else if (event === 'record') told.record(data);
        else if (event === 'end' && data.reason === 'not-in-force') throw new Problem(401, { detail: NOT_IN_FORCE });
      }
    } catch (error) {
      const isWrong = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (isWrong || signal.aborted) throw error;
      if (error instanceof Problem) lost = error;
    }
    if (signal.aborted) return;
    told.lost(lost);
    const pause = Math.max(AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)], 1000 * (lost.after ?? 0));
    await new Promise((done) => { setTimeout(done, pause); });
  }
}

/** The messages of an answer in the form of server-sent events. */
async function* messages(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}), { once: true });
  let rest = '';
  for (;;) {
    const { value, done } = await timely(reader);
    if (done) return;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) {
      const fields = { event: 'message', id: '', data: '' };
      for (const line of part.split('\n')) {
        const at = line.indexOf(':');
        const name = line.slice(0, at);
        if (name in fields) fields[name] = (name === 'data' ? fields.data : '') + line.slice(at + 1).trimStart();
      }
      if (fields.data) yield { ...fields, data: JSON.parse(fields.data) };
    }
  }
}

async function timely(reader) {
  let timer;
  const silence = new Promise((_, fails) => {
    timer = setTimeout(() => fails(new Problem(0, { detail: 'The server fell silent.' })), SILENT_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
