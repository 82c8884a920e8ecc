import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { GuardDesk } from '../../../../src/ops/guard/guard-desk.ts';
import { WebhookInbox } from '../../../../src/ops/guard/webhook-inbox.ts';

let desk: GuardDesk | undefined;
afterEach(() => desk?.stop());

/** An inbox that takes every body for an event, and what was known of its answer when the event was told. */
async function openInbox() {
  const told: Array<{ readonly answered: boolean }> = [];
  const results: string[] = [];
  let answer: ServerResponse | undefined;
  const inbox = new WebhookInbox({
    verify: async (body) => ({ id: body, kind: 'room_started', room: null, identity: null }),
    log: silentLogger,
    onEvent: () => told.push({ answered: answer?.writableEnded === true }),
    onResult: (result) => results.push(result),
  });
  desk = await GuardDesk.open(
    { host: '127.0.0.1', port: 0 },
    {
      'POST /webhook': (request, response) => {
        answer = response;
        return inbox.receive(request, response);
      },
    },
  );
  return { url: `${desk.url}/webhook`, port: Number(new URL(desk.url).port), told, results };
}

describe('a webhook', () => {
  it('is answered before anybody is told of it, and told of once', async () => {
    const { url, told } = await openInbox();
    for (let i = 0; i < 2; i++) expect((await fetch(url, { method: 'POST', body: 'EV_1' })).status).toBe(200);
    expect(told).toEqual([{ answered: true }]);
  });

  it('that is too long hears so, whole, and its connection ends', async () => {
    const { url, results } = await openInbox();
    const answer = await fetch(url, { method: 'POST', body: 'x'.repeat(300_000) });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('connection')).toBe('close');
    expect(results).toEqual(['malformed']);
  });

  it('that goes on and on hears so at once, and is not listened to for ever', async () => {
    const { port, results } = await openInbox();
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {}); // a reset is an end, too
    let received = '';
    socket.setEncoding('latin1').on('data', (text) => {
      received += text;
    });
    socket.write(
      `POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n${'x'.repeat(300_000)}`,
    );
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await closed;
    expect(received).toMatch(/^HTTP\/1\.1 400 /);
    expect(results).toEqual(['malformed']);
  });
});
