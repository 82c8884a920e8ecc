import { TrollfixError } from './errors.ts';

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
}

/** Reads `127.0.0.1:7890`, `[::1]:7890` or `localhost:0`. @throws TF-CLI-004 */
export function parseListenAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    throw new TrollfixError('TF-CLI-004', `"${text}" is no address to listen on`, {
      hint: 'give host and port: 127.0.0.1:7890, 0.0.0.0:7890 for every address, port 0 for any free one',
    });
  }
  return { host, port };
}
