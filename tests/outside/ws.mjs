// The stock graphql-ws client.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { CHANGES, TOKEN, TOKEN_DOOMED, URL_WS, customer, equal, listen, names, please, run } from './asking.mjs';

const client = (token, options = {}) =>
  createClient({
    url: URL_WS,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0,
    ...options,
  });

await run('graphql-ws', {
  'a query and its end': async () => {
    const { next, ended } = listen(client(TOKEN), '{ me { role } }');
    equal((await next()).data, { me: { role: 'admin' } });
    equal(await ended, {});
  },
  'a mutation': async () => {
    const query = 'mutation { customerCreate(idempotencyKey: "ws", input: { name: "ws" }) { __typename } }';
    equal((await listen(client(TOKEN), query).next()).data.customerCreate, { __typename: 'CustomerSaved' });
  },
  'events of a subscription': async () => {
    const { next, stop } = listen(client(TOKEN), CHANGES);
    equal(names(await next()), []);
    await customer('one');
    equal(names(await next()), ['one']);
    stop();
  },
  'several subscriptions on one socket': async () => {
    let sockets = 0;
    const one = client(TOKEN, { on: { opened: () => sockets++ } });
    const both = [listen(one, CHANGES), listen(one, CHANGES)];
    for (const { next } of both) await next();
    await customer('both');
    for (const { next } of both) equal(names(await next()), ['both']);
    equal(sockets, 1);
    both.forEach(({ stop }) => stop());
  },
  'errors in the document': async () => {
    const { error } = await listen(client(TOKEN), '{ nothing }').ended;
    equal(error[0].extensions.code, 'argument_invalid');
  },
  'pings of the client': async () => {
    let pongs = 0;
    const one = client(TOKEN, { keepAlive: 50, on: { pong: () => pongs++ } });
    const { next, stop } = listen(one, CHANGES);
    await next();
    while (pongs < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    stop();
  },
  'a stranger is refused': async () => {
    const { error } = await listen(client('rgl_api_nobody'), CHANGES).ended;
    equal([error.code, error.reason.split(':')[0]], [4403, 'token_invalid']);
  },
  'the legacy subprotocol is refused': async () => {
    const socket = new WebSocket(URL_WS, 'graphql-ws');
    const code = await new Promise((resolve) => {
      socket.on('close', resolve);
      socket.on('error', (error) => resolve(error.message));
    });
    // ws itself gives up on a handshake that takes none of what it offered.
    equal(code === 4406 || code === 'Server sent no subprotocol', true);
    return String(code);
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
  'reconnects by itself when the server was killed': async () => {
    const retryWait = () => new Promise((resolve) => setTimeout(resolve, 250));
    const one = client(TOKEN, { retryAttempts: 100, retryWait, shouldRetry: () => true });
    const { next, stop } = listen(one, CHANGES);
    await next();
    await please('restart');
    equal(names(await next()), []);
    await customer('after');
    equal(names(await next()), ['after']);
    stop();
  },
  'a revoked token ends it within a second': async () => {
    const { next, ended } = listen(client(TOKEN_DOOMED), CHANGES);
    await next();
    await please('revoke');
    const begun = Date.now();
    const { error } = await ended;
    equal([error.code, Date.now() - begun < 1000], [4403, true]);
    return `${Date.now() - begun} ms after the command ended`;
  },
});
