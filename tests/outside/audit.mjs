// graphql-http's audit of GraphQL over HTTP: MUST, SHOULD and MAY.
import { auditServer } from 'graphql-http';
import { TOKEN, URL_HTTP } from './asking.mjs';

const fetchFn = (url, options = {}) =>
  fetch(url, { ...options, headers: { ...options.headers, authorization: `Bearer ${TOKEN}` } });
const results = await auditServer({ url: URL_HTTP, fetchFn });
const good = results.filter(({ status }) => status === 'ok');
for (const { id, name, status, reason } of results) {
  if (status !== 'ok') console.log(JSON.stringify({ suite: 'graphql-http', check: `${id} ${name}`, ok: false, note: reason }));
}
const note = `${good.length} of ${results.length}`;
console.log(JSON.stringify({ suite: 'graphql-http', check: 'audits', ok: good.length === results.length, note }));
process.exit(0);
