import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import pg from 'pg';

/**
 * A pooler in transaction mode, as Supavisor and PgBouncer are on port 6543: each transaction of a client may be run by
 * another backend. This one makes it certain: after each transaction it goes on with the next of its backends.
 */
export class TransactionPooler implements AsyncDisposable {
  readonly #server: Server;
  readonly #backends: readonly Socket[];
  readonly #sockets = new Set<Socket>();
  #turn = 0;
  /** Transactions it has passed on. */
  transactions = 0;
  readonly url: string;

  private constructor(server: Server, backends: readonly Socket[]) {
    this.#server = server;
    this.#backends = backends;
    this.url = `postgresql://anybody:any@127.0.0.1:${(server.address() as AddressInfo).port}/postgres`; // it listens on TCP
  }

  /** @param size backends, for one client at a time: what two of them send would be mixed up */
  static async start(databaseUrl: string, size = 2): Promise<TransactionPooler> {
    const backends = await Promise.all(Array.from({ length: size }, () => authenticatedSocket(databaseUrl)));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const pooler = new TransactionPooler(server, backends);
    server.on('connection', (socket) => pooler.#serve(socket));
    return pooler;
  }

  #serve(client: Socket): void {
    this.#sockets.add(client);
    client.on('error', () => client.destroy());
    let greeted = false;
    client.on('data', (chunk) => {
      if (greeted) {
        // 'X' is the client's goodbye: the backends stay
        if (chunk[0] !== 0x58) this.#backend().write(chunk);
        return;
      }
      greeted = true;
      client.write(welcome);
    });
    const answer = messagesOf((type, message) => {
      client.write(message);
      // ReadyForQuery outside of a transaction block
      if (type !== 'Z' || message.at(-1) !== 0x49) return;
      this.transactions++;
      this.#turn++;
    });
    for (const backend of this.#backends) backend.on('data', answer);
    client.on('close', () => {
      for (const backend of this.#backends) backend.off('data', answer);
      this.#sockets.delete(client);
    });
  }

  #backend(): Socket {
    return this.#backends[this.#turn % this.#backends.length]!; // start() makes at least one
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.#sockets, ...this.#backends]) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** AuthenticationOk, and ReadyForQuery in no transaction. */
const welcome = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);

/** node-postgres logs in; from then on the socket is ours. */
async function authenticatedSocket(url: string): Promise<Socket> {
  const client = new pg.Client({ connectionString: url, application_name: 'test pooler' });
  await client.connect();
  // not in its types: where the client keeps its socket
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.removeAllListeners();
  stream.on('error', () => {});
  return stream;
}

/** Cuts a stream of backend messages (type, length, body) into whole ones. */
function messagesOf(onMessage: (type: string, message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length >= rest.readUInt32BE(1) + 1) {
      const length = rest.readUInt32BE(1) + 1;
      onMessage(String.fromCharCode(rest[0]!), rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  };
}
