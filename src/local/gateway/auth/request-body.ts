import { isObject } from '../../../kernel/json-object.ts';
import { AuthError } from './auth-error.ts';

export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The body of an auth request; none counts as `{}`. @throws AuthError bad_json */
export function readObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = text === '' ? {} : JSON.parse(text);
  } catch {
    throw badJson();
  }
  if (!isObject(value)) throw badJson();
  return value;
}

function badJson(): AuthError {
  return new AuthError(400, 'bad_json', 'Could not parse request body as JSON');
}
