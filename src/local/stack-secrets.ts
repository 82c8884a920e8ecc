import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { z } from 'zod';
import { TrollfixError } from '../kernel/errors.ts';

const secretsSchema = z.object({
  adminPassword: z.string(),
  authenticatorPassword: z.string(),
  postgresPassword: z.string(),
  jwtSecret: z.string(),
  livekitApiKey: z.string(),
  livekitApiSecret: z.string(),
});

/** The passwords and keys of one stack; hexadecimal, so they need no quoting in URLs. */
export type StackSecrets = z.infer<typeof secretsSchema>;

export function makeSecrets(): StackSecrets {
  const secret = (bytes: number) => randomBytes(bytes).toString('hex');
  return {
    adminPassword: secret(16),
    authenticatorPassword: secret(16),
    postgresPassword: secret(16),
    // HS256 takes 32 bytes (RFC 7518 §3.2); so does livekit-server for its secrets
    jwtSecret: secret(32),
    livekitApiKey: `API${secret(6)}`,
    livekitApiSecret: secret(32),
  };
}

/**
 * The secrets of a stack whose data stay: the same at every start, as the password is in the data and clients keep
 * their keys. In `secrets.json`, mode 0600.
 * @throws TF-STK-007 when the file is not readable as such
 */
export async function persistentSecrets(stateDir: string): Promise<StackSecrets> {
  const file = secretsFileOf(stateDir);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return writeSecrets(file);
  try {
    return secretsSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new TrollfixError('TF-STK-007', `${file} cannot be read`, {
      hint: `if the stack's data may go: trollfix down; rm -r ${stateDir}`,
      cause: error,
    });
  }
}

/** The next start makes new ones. Data of the old password must go with them. */
export async function forgetSecrets(stateDir: string): Promise<void> {
  await rm(secretsFileOf(stateDir), { force: true });
}

const secretsFileOf = (stateDir: string) => path.join(stateDir, 'secrets.json');

async function writeSecrets(file: string): Promise<StackSecrets> {
  const secrets = makeSecrets();
  await mkdir(path.dirname(file), { recursive: true });
  const temp = `${file}.${process.pid}`;
  await writeFile(temp, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  await rename(temp, file);
  return secrets;
}
