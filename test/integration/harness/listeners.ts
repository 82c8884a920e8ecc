import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  /** As the kernel prints it: `0100007F` is 127.0.0.1. */
  readonly address: string;
  readonly port: number;
}

const tcpListen = '0A';
const loopbackV4 = '0100007F';

export const isLoopback = (listener: Listener): boolean => listener.address === loopbackV4;

/** Everything that the processes of `pids` listen on, read from /proc, so that no tool's parsing stands in between. */
export function listenersOf(pids: readonly number[]): Listener[] {
  const inodes = new Set(pids.flatMap(socketInodes));
  const tables = [
    ['tcp', '/proc/net/tcp'],
    ['tcp', '/proc/net/tcp6'],
    ['udp', '/proc/net/udp'],
    ['udp', '/proc/net/udp6'],
  ] as const;
  return tables.flatMap(([protocol, file]) =>
    readTable(file)
      .filter(({ state, inode }) => inodes.has(inode) && (protocol === 'udp' || state === tcpListen))
      .map(({ address, port }) => ({ protocol, address, port })),
  );
}

/** Whether anybody at all listens on a TCP port. */
export function isTcpPortTaken(port: number): boolean {
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((file) =>
    readTable(file).some((row) => row.port === port && row.state === tcpListen),
  );
}

/** All descendants of a process, itself included. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = parentOf(Number(entry));
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function socketInodes(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => socketInode(`/proc/${pid}/fd/${fd}`) ?? []);
  } catch {
    return [];
  }
}

function socketInode(link: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1];
  } catch {
    return undefined;
  }
}

function readTable(file: string): Array<{ address: string; port: number; state: string; inode: string }> {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const fields = line.trim().split(/\s+/);
      const [address = '', port = '0'] = (fields[1] ?? '').split(':');
      return { address, port: Number.parseInt(port, 16), state: fields[3] ?? '', inode: fields[9] ?? '' };
    });
}
