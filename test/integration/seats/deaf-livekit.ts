import { createServer, request as forward } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

export interface DeafLiveKit extends AsyncDisposable {
  readonly url: string;
  readonly ignored: () => number;
}

/** A real LiveKit behind a front that says yes to one kind of call and does nothing: what a probe must not be fooled by. */
export async function startDeafLiveKit(
  realUrl: string,
  to: 'RemoveParticipant' | 'UpdateParticipant' = 'RemoveParticipant',
): Promise<DeafLiveKit> {
  const { hostname, port } = new URL(realUrl);
  let count = 0;
  const server = createServer((request, response) => {
    if (request.url?.endsWith(`/${to}`)) {
      count += 1;
      request.resume();
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      return;
    }
    const { method, headers, url } = request;
    const onward = forward({ hostname, port, method, headers, path: url }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('upgrade', (request, socket, head) => {
    const onward = connect(Number(port), hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) {
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      }
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    socket.on('close', () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo; // listening on TCP
  return {
    url: `ws://127.0.0.1:${address.port}`,
    ignored: () => count,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
