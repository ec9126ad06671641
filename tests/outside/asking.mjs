// What every script here shares: what it was told, what it found, and what it asks of run.py.
import { createInterface } from 'node:readline';

export const { URL_HTTP, URL_WS, TOKEN, TOKEN_DOOMED } = process.env;
export const CHANGES =
  'subscription ($after: String) { changes(after: $after) { cursor rows { kind id row { ... on Customer { name } } } } }';
const PATIENCE_MS = 30_000;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Let run.py do something to the server: revoke, restart. */
export async function please(deed) {
  console.log(JSON.stringify({ do: deed }));
  await lines.next();
}

export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Run named checks one after the other and say how each went. */
export async function run(suite, checks) {
  for (const [check, work] of Object.entries(checks)) {
    try {
      const note = await within(work(), check);
      console.log(JSON.stringify({ suite, check, ok: true, note: note ?? '' }));
    } catch (error) {
      console.log(JSON.stringify({ suite, check, ok: false, note: String(error?.message ?? JSON.stringify(error)) }));
    }
  }
  process.exit(0);
}

export function equal(found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

let key = 0;

/** A new customer, written over plain HTTP. */
export async function customer(name) {
  const query = `mutation ($key: String!, $name: String!) {
    customerCreate(idempotencyKey: $key, input: { name: $name }) { __typename }
  }`;
  const answer = await fetch(URL_HTTP, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ query, variables: { key: `${process.pid}-${name}-${key++}`, name } }),
  });
  equal((await answer.json()).data, { customerCreate: { __typename: 'CustomerSaved' } });
}

/** The events of a subscription one by one; `next` waits, `ended` is how it ended. */
export function listen(client, query, variables) {
  const events = [];
  const waiting = [];
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  const stop = client.subscribe(
    { query, variables },
    {
      next: (event) => (waiting.length ? waiting.shift()(event) : events.push(event)),
      error: (error) => end({ error }),
      complete: () => end({}),
    },
  );
  const next = () => (events.length ? Promise.resolve(events.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { next, ended, stop };
}

export function names(event) {
  return event.data.changes.rows.map(({ row }) => row?.name);
}
