import { isObject } from '../json-object.ts';

/** What the gateway tells the page about itself (`/demo/config.json`). */
export interface DemoConfig {
  readonly anonKey: string;
  readonly streamId: string;
}

/** @throws when the gateway does not answer, or with something else */
export async function loadConfig(): Promise<DemoConfig> {
  const response = await fetch('config.json', { cache: 'no-store' });
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  const config: unknown = await response.json();
  if (!isObject(config)) throw new Error('config.json is no object');
  const { anonKey, streamId } = config;
  if (typeof anonKey !== 'string' || typeof streamId !== 'string') {
    throw new Error('config.json: anonKey and streamId must be there');
  }
  return { anonKey, streamId };
}
