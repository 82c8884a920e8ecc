import { describe, expect, it } from 'vitest';
import { parseListenAddress } from '../../../src/kernel/listen-address.ts';

describe('parseListenAddress', () => {
  it.each([
    ['127.0.0.1:7890', { host: '127.0.0.1', port: 7890 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:80', { host: '::1', port: 80 }],
  ])('%s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected);
  });

  it.each(['7890', 'host', ':80', '::1:80', 'a:b', 'host:65536', 'http://host:80', ''])(
    'not "%s"',
    (text) => {
      expect(() => parseListenAddress(text)).toThrow(/no address to listen on/);
    },
  );
});
