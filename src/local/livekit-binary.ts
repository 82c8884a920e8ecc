import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { messageOf } from '../kernel/errors.ts';
import type { Progress } from '../kernel/log.ts';

/** The version everything here was measured against. 1.13 cannot be `go install`ed: its go.mod has replace directives. */
export const testedLiveKitVersion = '1.11.0';

const goPackage = `github.com/livekit/livekit-server/cmd/server@v${testedLiveKitVersion}`;

/** A build takes about 2 minutes on two cores with an empty module cache; a slow network may take as long again. */
const buildMs = 15 * 60_000;

/** `livekit-server --version` answers in 50 ms. */
const versionMs = 10_000;

export interface LiveKitSearch {
  /** Named by the user (`TROLLFIX_LIVEKIT_BIN`): this one or none. */
  readonly bin?: string | undefined;
  /** trollfix's tool cache, usually `~/.cache/trollfix`. */
  readonly cacheDir: string;
  /** Whether it may be built with Go when it is nowhere. */
  readonly allowBuild: boolean;
  /** The search path, as in `PATH`. */
  readonly pathEnv: string;
}

export type LiveKitBinary =
  | { readonly found: true; readonly path: string; readonly version: string }
  | { readonly found: false; readonly reason: string };

/**
 * Looks for livekit-server: the one named, on the search path, in the tool cache; else builds it into the cache
 * when there is Go. A missing binary is an answer, not an error: everything else of the stack works without it.
 */
export async function findLiveKit(
  search: LiveKitSearch,
  progress: Progress,
  signal: AbortSignal,
): Promise<LiveKitBinary> {
  if (search.bin !== undefined) {
    if (await isExecutable(search.bin)) return checked(search.bin, progress);
    return missing(`TROLLFIX_LIVEKIT_BIN names ${search.bin}, which is not an executable file`);
  }
  const onPath = await findOnPath('livekit-server', search.pathEnv);
  if (onPath !== undefined) return checked(onPath, progress);
  const cached = cachedBinary(search.cacheDir);
  if (await isExecutable(cached)) return checked(cached, progress);
  return build(search, cached, progress, signal);
}

export function cachedBinary(cacheDir: string): string {
  return path.join(cacheDir, 'livekit', testedLiveKitVersion, 'livekit-server');
}

function missing(reason: string): LiveKitBinary {
  return {
    found: false,
    reason: `${reason}; to get it: put livekit-server ${testedLiveKitVersion} on PATH, or name it in TROLLFIX_LIVEKIT_BIN, or install Go 1.25 and run \`trollfix up\` again`,
  };
}

/** Its exit code says nothing (0 even on fatal errors): what counts is that it says its version. */
async function checked(file: string, progress: Progress): Promise<LiveKitBinary> {
  try {
    const { stdout } = await promisify(execFile)(file, ['--version'], { timeout: versionMs });
    const version = /livekit-server version (\S+)/.exec(stdout)?.[1];
    if (version === undefined) return missing(`${file} is not livekit-server`);
    if (version !== testedLiveKitVersion) {
      progress({
        kind: 'note',
        text: `livekit-server ${version} at ${file}: only ${testedLiveKitVersion} was tested`,
      });
    }
    return { found: true, path: file, version };
  } catch (error) {
    return missing(`${file} does not run: ${messageOf(error)}`);
  }
}

async function build(
  search: LiveKitSearch,
  target: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<LiveKitBinary> {
  const nowhere = 'livekit-server is neither on PATH nor in the tool cache';
  if (!search.allowBuild) return missing(`${nowhere}, and building it was not asked for`);
  const go = await findOnPath('go', search.pathEnv);
  if (go === undefined) return missing(`${nowhere}, and there is no Go to build it with`);
  progress({
    kind: 'step',
    text: `building livekit-server ${testedLiveKitVersion} with ${go} into ${path.dirname(target)} (once, about 2 minutes)`,
  });
  const workshop = `${path.dirname(target)}.build-${process.pid}`;
  try {
    await mkdir(workshop, { recursive: true });
    // `env` adds one variable to what Go needs of ours (HOME, GOPROXY, GOFLAGS …)
    await promisify(execFile)('env', [`GOBIN=${workshop}`, go, 'install', goPackage], {
      timeout: buildMs,
      signal,
      // go lists every module it downloads
      maxBuffer: 16 * 1024 * 1024,
    });
    await mkdir(path.dirname(target), { recursive: true });
    // the command's folder is called cmd/server, and so is what go makes of it
    await rename(path.join(workshop, 'server'), target);
  } catch (error) {
    signal.throwIfAborted();
    return missing(`${nowhere}, and building it failed: ${lastLineOf(error)}`);
  } finally {
    // a cache that cannot be written to is why it is missing; that it cannot be tidied either is no news
    await rm(workshop, { recursive: true, force: true }).catch(() => {});
  }
  progress({ kind: 'done', text: `livekit-server ${testedLiveKitVersion} built` });
  return checked(target, progress);
}

function lastLineOf(error: unknown): string {
  // execFile's errors carry what the program wrote
  const stderr = (error as { stderr?: string }).stderr?.trim();
  return stderr?.split('\n').at(-1) ?? messageOf(error);
}

async function findOnPath(name: string, pathEnv: string): Promise<string | undefined> {
  for (const folder of pathEnv.split(path.delimiter)) {
    // an empty entry would mean the current folder: never run what happens to lie there
    if (folder === '') continue;
    const file = path.join(folder, name);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
