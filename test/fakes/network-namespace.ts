/**
 * A network of its own for one program, joined to this one by a pair of virtual cards that a test can unplug: packets are then lost in
 * silence, as on a real network. What listens on the loopback here is found on the same ports of the loopback in there.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dieWithParent } from '../../local/dynamodb/die-with-parent.ts';

export interface NetworkNamespace {
  /** Goes before a command line that runs in there. */
  readonly wrap: readonly string[];
  unplug(): void;
  plug(): void;
  close(): Promise<void>;
}

/** Runs inside: takes each port on the loopback to the same port of the host's card. */
const FORWARDER = `
const { createServer, connect } = require('node:net');
const [host, ...ports] = process.argv.slice(1);
let left = ports.length;
for (const port of ports) createServer((client) => {
  const server = connect(Number(port), host);
  for (const [from, to] of [[client, server], [server, client]]) from.pipe(to).on('error', () => from.destroy()), from.on('error', () => to.destroy());
}).listen(Number(port), '127.0.0.1', () => --left === 0 && console.log('ready'));
`;

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Ports that a process listens on. */
export const listeningPorts = (pid: number): number[] => {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // Closed while we looked.
      }
    }),
  );
  return readFileSync(`/proc/${pid}/net/tcp`, 'latin1')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      return state === '0A' && sockets.has(inode) ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
    });
};

/** @returns the reason where this machine does not permit it */
export const networkNamespace = async (ports: readonly number[]): Promise<NetworkNamespace | string> => {
  const name = `vt-${randomBytes(4).toString('hex')}`;
  const [outside, inside] = [`${name}o`, `${name}i`];
  const net = `10.211.${randomInt(1, 255)}`;
  const here = `${net}.1`;
  try {
    ip('netns', 'add', name);
  } catch (error) {
    return `network namespaces are not permitted here: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
  const cleanUps: (() => Promise<unknown> | unknown)[] = [() => ip('netns', 'del', name)];
  const close = async (): Promise<void> => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  };
  try {
    // The pair goes with the namespace.
    ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
    ip('addr', 'add', `${here}/24`, 'dev', outside);
    ip('link', 'set', outside, 'up');
    const within = ['netns', 'exec', name];
    for (const args of [
      ['addr', 'add', `${net}.2/24`, 'dev', inside],
      ['link', 'set', inside, 'up'],
      ['link', 'set', 'lo', 'up'],
    ])
      ip(...within, 'ip', ...args);
    for (const port of ports) {
      const server = createServer((client) => {
        const target = connect(port, '127.0.0.1');
        for (const [from, to] of [
          [client, target],
          [target, client],
        ] as const) {
          from.pipe(to);
          from.on('error', () => to.destroy());
          from.on('close', () => to.destroy());
        }
        cleanUps.push(() => client.destroy());
      });
      server.listen(port, here);
      await once(server, 'listening');
      cleanUps.unshift(() => new Promise((resolve) => server.close(resolve)));
    }
    const forward = ['netns', 'exec', name, process.execPath, '-e', FORWARDER, here, ...ports.map(String)];
    const { command, args, stdin } = dieWithParent('ip', forward);
    const child = spawn(command, args, { stdio: [stdin, 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    cleanUps.push(() => {
      child.kill('SIGKILL');
      return ended;
    });
    await once(child.stdout ?? child, 'data');
  } catch (error) {
    await close();
    throw error;
  }
  return {
    wrap: ['ip', 'netns', 'exec', name],
    unplug: () => ip('link', 'set', outside, 'down'),
    plug: () => ip('link', 'set', outside, 'up'),
    close,
  };
};
