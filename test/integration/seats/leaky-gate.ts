import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { decodeJwt } from 'jose';

export interface LeakyGate extends AsyncDisposable {
  readonly url: string;
  /** Connections that went past the gate. */
  readonly leaked: () => number;
}

/** A gate that does not know aliases: neither those that are asked for, nor those that a token is signed for. */
export function isByAlias(head: string): boolean {
  const token = /^authorization: bearer (\S+)/im.exec(head)?.[1];
  const subject = token === undefined ? '' : (decodeJwt(token).sub ?? '');
  return /^GET \S*[?&]publish=/.test(head) || subject.includes('#');
}

/**
 * A front that takes some connections straight to LiveKit and all others to the gate: a gate with a rule missing.
 * @param leaks by the head of the first request of a connection
 */
export async function startLeakyGate(
  gateUrl: string,
  liveKitUrl: string,
  leaks: (head: string) => boolean,
): Promise<LeakyGate> {
  let leaked = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    client.on('close', () => open.delete(client));
    client.on('error', () => {});
    client.once('data', (first) => {
      client.pause();
      const past = leaks(first.toString('latin1'));
      if (past) leaked += 1;
      const { hostname, port } = new URL(past ? liveKitUrl : gateUrl);
      const onward = connect(Number(port), hostname, () => {
        onward.write(first);
        onward.pipe(client).pipe(onward);
      });
      onward.on('error', () => client.destroy());
      onward.on('close', () => client.destroy());
      client.on('close', () => onward.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    url: `ws://127.0.0.1:${port}`,
    leaked: () => leaked,
    async [Symbol.asyncDispose]() {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
