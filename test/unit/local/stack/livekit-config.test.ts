import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { liveKitConfig } from '../../../../src/local/livekit.ts';

test('livekit-server is told to stay on loopback', () => {
  const config = parse(
    liveKitConfig({ apiKey: 'APIkey', apiSecret: '0123456789abcdef' }, { port: 7880, udpPort: 7882 }),
  );
  expect(config.bind_addresses).toEqual(['127.0.0.1']);
  // any other value listens on every address, whatever bind_addresses says
  expect(config.rtc.tcp_port).toBe(0);
  expect(config.rtc).toMatchObject({
    node_ip: '127.0.0.1',
    udp_port: 7882,
    interfaces: { includes: ['lo'] },
  });
  expect(config.rtc.use_external_ip).toBe(false);
  expect(config.turn.enabled).toBe(false);
  expect(config.keys).toEqual({ APIkey: '0123456789abcdef' });
});

test('a secret of digits stays a text', () => {
  const secret = '12345678901234567890123456789012';
  const config = parse(liveKitConfig({ apiKey: '1234', apiSecret: secret }, { port: 1, udpPort: 2 }));
  expect(config.keys['1234']).toBe(secret);
});
