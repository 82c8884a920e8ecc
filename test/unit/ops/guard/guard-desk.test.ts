import { Server } from 'node:http';
import { expect, it } from 'vitest';
import { GuardDesk } from '../../../../src/ops/guard/guard-desk.ts';

it('a desk that has stopped has let go of everybody', async () => {
  const asked = Promise.withResolvers<void>();
  let letGo = false;
  const desk = await GuardDesk.open(
    { host: '127.0.0.1', port: 0 },
    {
      'GET /slow': ({ socket }) => {
        // what Node's HTTP server sets on its sockets: the server is closed when the last of them is
        const server: unknown = Reflect.get(socket, 'server');
        if (server instanceof Server) server.once('close', () => (letGo = true));
        asked.resolve();
      },
    },
  );
  const answer = fetch(`${desk.url}/slow`).catch(() => 'broken off');
  await asked.promise;
  await desk.stop();
  expect(letGo).toBe(true);
  expect(await answer).toBe('broken off');
  await desk.stop();
});
