/**
 * The baseline of the echo bench: bare viewer → relay → PTY on `ws` defaults, each in a process of its own, and nothing else.
 * Run as `node bare-pair.ts relay` or `node bare-pair.ts pty <relay port>`.
 */

import { WebSocket, WebSocketServer } from 'ws';
import { bareShell } from './bare-shell.ts';

const [role, relayPort] = process.argv.slice(2);

/** Dies with its parent: the other end of standard input is the bench. */
process.stdin.on('end', () => process.exit(0)).resume();

if (role === 'relay') {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const peers: WebSocket[] = [];
  server.on('connection', (socket) => {
    peers.push(socket);
    socket.on('message', (data) => {
      for (const peer of peers) if (peer !== socket) peer.send(data.toString());
    });
  });
  server.on('listening', () => {
    const address = server.address();
    if (typeof address === 'object' && address !== null) process.stdout.write(`${address.port}\n`);
  });
} else {
  const socket = new WebSocket(`ws://127.0.0.1:${relayPort}`);
  socket.on('open', () => {
    const pty = bareShell();
    pty.onData((data) => socket.send(data));
    socket.on('message', (data) => pty.write(data.toString()));
    pty.onExit(() => process.exit(0));
    process.stdout.write('ready\n');
  });
}
