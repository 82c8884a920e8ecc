import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { env } from 'node:process';

/**
 * As much of Deno as an Edge Function needs, for Node: loaded with `--import` before the function itself. Serves on a
 * free port of loopback and tells its parent which (`process.send`).
 */
type Handler = (request: Request) => Response | Promise<Response>;

const Deno = {
  env: { get: (name: string): string | undefined => env[name] },
  serve(handler: Handler): void {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', async () => {
        const { method = 'GET' } = request;
        const hasBody = method !== 'GET' && method !== 'HEAD';
        const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
        try {
          const answer = await handler(
            new Request(`http://localhost${request.url}`, {
              method,
              headers: Object.fromEntries(headers),
              ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
            }),
          );
          response.writeHead(answer.status, Object.fromEntries(answer.headers));
          response.end(Buffer.from(await answer.arrayBuffer()));
        } catch (error) {
          process.stderr.write(`${String(error)}\n`);
          response.writeHead(500).end('Internal Server Error');
        }
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo; // listening on TCP
      process.send?.({ port });
    });
    process.on('disconnect', () => process.exit());
  },
};
Object.assign(globalThis, { Deno });
