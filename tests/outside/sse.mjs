// The stock graphql-sse client, in both modes of its protocol.
import { createClient } from 'graphql-sse';
import { CHANGES, TOKEN, TOKEN_DOOMED, URL_HTTP, customer, equal, listen, names, please, run } from './asking.mjs';

const singleConnection = process.argv[2] === 'single';
const client = (token, options = {}) =>
  createClient({
    url: URL_HTTP,
    singleConnection,
    headers: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
    ...options,
  });

await run(`graphql-sse, ${singleConnection ? 'single connection' : 'distinct connections'}`, {
  'a query and its end': async () => {
    const { next, ended } = listen(client(TOKEN), '{ me { role } }');
    equal((await next()).data, { me: { role: 'admin' } });
    equal(await ended, {});
  },
  'events of a subscription': async () => {
    const { next, stop } = listen(client(TOKEN), CHANGES);
    equal(names(await next()), []);
    await customer('sse');
    equal(names(await next()), ['sse']);
    stop();
  },
  'several subscriptions': async () => {
    const one = client(TOKEN);
    const both = [listen(one, CHANGES), listen(one, CHANGES)];
    for (const { next } of both) await next();
    await customer('both');
    for (const { next } of both) equal(names(await next()), ['both']);
    both.forEach(({ stop }) => stop());
  },
  'errors in the document': async () => {
    const { next, ended } = listen(client(TOKEN), '{ nothing }');
    const first = await Promise.race([next(), ended]);
    equal((first.errors ?? [first.error]).length, 1);
  },
  'a stranger is refused': async () => {
    const { error } = await listen(client('rgl_api_nobody'), CHANGES).ended;
    equal(error.response.status, 401);
  },
  'resumes from a cursor after the server was killed': async () => {
    const { next, stop } = listen(client(TOKEN), CHANGES);
    const { cursor } = (await next()).data.changes;
    stop();
    await customer('missed');
    await please('restart');
    const again = listen(client(TOKEN), CHANGES, { after: cursor });
    equal(names(await again.next()), ['missed']);
    again.stop();
  },
  'a revoked token ends it within a second': async () => {
    const { next, ended } = listen(client(TOKEN_DOOMED), CHANGES);
    await next();
    await please('revoke');
    const begun = Date.now();
    await ended;
    equal(Date.now() - begun < 1000, true);
    return `${Date.now() - begun} ms after the command ended`;
  },
});
